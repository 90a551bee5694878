/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atoll audit credentials: an inventory.
 *
 * Theory of operation. What sandboxes were given that may be a secret is in their records, by name
 * (secrets.h); when it was first and last, and by whose. What no record can know is written down
 * here: whose it is, since when it is valid, and how often it is to be changed. That stands in
 * HOME/credentials.json, {"version": 1, "credentials": {NAME: {"owner", "issued", "rotate_days"}}},
 * which has no secret in it, and is replaced as a whole under a lock on HOME. A name is "$VARIABLE"
 * or "~/PLACE". One that is written down and was given to nobody is a grant that is not used.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/audit-internal.h"
#include "front/cli/cli.h"
#include "front/cli/secrets.h"
#include "front/cli/trails.h"
#include "policy/path.h"
#include "policy/scalar.h"

#define FILE_NAME "credentials.json"
#define PART_NAME ".credentials.json.new"
#define DAY       86400
#define DAYS_MAX  36500

struct credential_options {
	const char *owner, *issued, *rotate;
	bool forget;
	bool json;
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* ---- what is written down ---- */

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

/* *ret: {NAME: {...}}. A file that is none of ours is no inventory. */
static int load(int home, json_t **ret, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(home, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_json_ json_t *doc = NULL;
	json_t *list;

	if (fd < 0 && errno == ENOENT) {
		*ret = json_object();
		return *ret ? 0 : no_memory(e);
	}
	if (fd < 0) {
		return err_sys(e, errno, "cannot open '%s' in the state directory", FILE_NAME);
	}
	doc = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	list = json_object_get(doc, "credentials");
	if (json_integer_value(json_object_get(doc, "version")) != 1 || !json_is_object(list)) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "'%s' in the state directory is no inventory of this version; put "
			       "it right or remove it",
			       FILE_NAME);
	}
	*ret = json_incref(list);
	return 0;
}

static int store(int home, json_t *list, struct err *e)
{
	_cleanup_json_ json_t *doc = json_pack("{s:i, s:O}", "version", 1, "credentials", list);
	_cleanup_fd_ int fd = openat(home, PART_NAME,
				     O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (!doc) {
		return no_memory(e);
	}
	return fd < 0 || json_dumpfd(doc, fd, JSON_INDENT(2) | JSON_SORT_KEYS) < 0 ||
			       fsync(fd) < 0 || renameat(home, PART_NAME, home, FILE_NAME) < 0 ||
			       fsync(home) < 0
		       ? err_sys(e, errno, "cannot write '%s'", FILE_NAME)
		       : 0;
}

/* Of "2026-01-31", at midnight UTC; -1: it is no such day. */
static time_t day_of(const char *text)
{
	char back[16];
	struct tm tm = {};
	const char *end = strptime(text, "%Y-%m-%d", &tm);
	time_t t = end && *end == '\0' ? timegm(&tm) : -1;

	/* 31 February is some day of March to timegm(3). */
	return t >= 0 && gmtime_r(&t, &tm) && strftime(back, sizeof(back), "%Y-%m-%d", &tm) > 0 &&
			       strcmp(back, text) == 0
		       ? t
		       : -1;
}

static int set_days(json_t *entry, const char *word, struct err *e)
{
	uint64_t ns = 0;

	if (scalar_duration(word, &ns) < 0 || ns < DAY * 1000000000ULL ||
	    ns / 1000000000 / DAY > DAYS_MAX) {
		return err_set(e, ERR_USER, EINVAL,
			       "--rotate: '%s' is no number of days, as in 90d", word);
	}
	return json_put(entry, "rotate_days", json_integer((json_int_t)(ns / 1000000000 / DAY))) < 0
		       ? no_memory(e)
		       : 0;
}

static int set_entry(json_t *entry, const struct credential_options *o, struct err *e)
{
	int r = 0;

	if (o->issued && day_of(o->issued) < 0) {
		return err_set(e, ERR_USER, EINVAL, "--issued: '%s' is no day, as in 2026-01-31",
			       o->issued);
	}
	r = o->owner ? json_put(entry, "owner", json_string(o->owner)) : 0;
	r = r < 0 || !o->issued ? r : json_put(entry, "issued", json_string(o->issued));
	if (r < 0) {
		return err_set(e, ERR_USER, EINVAL, "--owner: it is not UTF-8");
	}
	return o->rotate ? set_days(entry, o->rotate, e) : 0;
}

/*
 * As it stands in the inventory: "$NAME" or "~/PLACE". A variable may also be written without its
 * sign, which shells take away, and a place as the path that they make of it.
 */
static int take_name(const char *word, char out[SECRET_TEXT_SIZE], struct err *e)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	const char *home = getenv("HOME"), *name = word + (word[0] == '$');
	int n = -1;

	if (strncmp(word, "~/", 2) == 0 && word[2] != '\0') {
		n = snprintf(out, SECRET_TEXT_SIZE, "%s", word);
	} else if (word[0] == '/' && home && strcmp(word, home) != 0 && path_within(word, home)) {
		n = snprintf(out, SECRET_TEXT_SIZE, "~%s", word + strlen(home));
	} else if (*name && name[strspn(name, letters)] == '\0' &&
		   (name[0] < '0' || name[0] > '9')) {
		n = snprintf(out, SECRET_TEXT_SIZE, "$%s", name);
	}
	return n > 0 && n < SECRET_TEXT_SIZE
		       ? 0
		       : err_set(e, ERR_USER, EINVAL,
				 "'%s' is no credential: write the NAME of a variable, or a place "
				 "below HOME, ~/PLACE",
				 word);
}

static int change_one(json_t *list, const char *word, const struct credential_options *o,
		      struct err *e)
{
	char name[SECRET_TEXT_SIZE];
	int r = take_name(word, name, e);
	json_t *entry = r < 0 ? NULL : json_object_get(list, name);

	if (r < 0) {
		return r;
	}
	if (o->forget) {
		return json_object_del(list, name) == 0
			       ? 0
			       : err_set(e, ERR_USER, ENOENT, "nothing is written down of '%s'",
					 name);
	}
	if (!entry) {
		entry = json_object();
		if (json_put(list, name, entry) < 0) {
			return no_memory(e);
		}
	}
	return set_entry(entry, o, e);
}

static int change(const struct state *s, const struct cli_operands *words,
		  const struct credential_options *o, struct err *e)
{
	_cleanup_fd_ int lock = openat(s->home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_json_ json_t *list = NULL;
	int r = lock < 0 || flock(lock, LOCK_EX) < 0
			? err_sys(e, errno, "cannot lock the state directory")
			: load(s->home, &list, e);

	for (size_t i = 0; i < words->n && r >= 0; i++) {
		r = change_one(list, words->words[i], o, e);
	}
	return r < 0 ? r : store(s->home, list, e);
}

/* ---- what the records know ---- */

struct inventory {
	json_t *rows; /* {NAME: row} */
	bool failed;  /* memory ran out */
};

static void must(struct inventory *v, int r)
{
	v->failed = v->failed || r < 0;
}

static json_t *row_of(struct inventory *v, const char *name)
{
	json_t *row = json_object_get(v->rows, name);

	if (!row) {
		row = json_pack("{s:s, s:n, s:n, s:i, s:[]}", "name", name, "first_used",
				"last_used", "sandboxes", 0, "used_by");
		must(v, json_put(v->rows, name, row));
	}
	return v->failed ? NULL : row;
}

static void add_user(struct inventory *v, json_t *row, const char *owner)
{
	json_t *list = json_object_get(row, "used_by");
	const json_t *known;
	size_t i;

	json_array_foreach(list, i, known)
	{
		if (strcmp(json_string_value(known), owner) == 0) {
			return;
		}
	}
	must(v, json_array_append_new(list, json_string(owner)));
}

static void use(struct inventory *v, const char *name, const char *time, const char *owner)
{
	json_t *row = row_of(v, name);
	const char *first = row ? text_of(row, "first_used") : "";

	if (!row) {
		return;
	}
	if (!*first || strcmp(time, first) < 0) {
		must(v, json_put(row, "first_used", json_string(time)));
	}
	if (strcmp(time, text_of(row, "last_used")) > 0) {
		must(v, json_put(row, "last_used", json_string(time)));
	}
	must(v, json_put(row, "sandboxes",
			 json_integer(json_integer_value(json_object_get(row, "sandboxes")) + 1)));
	if (*owner) {
		add_user(v, row, owner);
	}
}

static int take_created(void *arg, const struct line *l, const char *text, size_t len,
			struct err *e)
{
	_cleanup_json_ json_t *data = trail_data(l), *secrets = NULL;
	const json_t *plan = json_object_get(data, "plan"), *secret;
	char time[LINE_TIME_LEN + 1], name[SECRET_TEXT_SIZE];
	struct inventory *v = arg;
	size_t i;

	(void)text;
	(void)len;
	(void)snprintf(time, sizeof(time), "%.*s", LINE_TIME_LEN, l->time);
	secrets = secrets_of(plan);
	json_array_foreach(secrets, i, secret)
	{
		use(v, secret_text(secret, name), time, text_of(plan, "owner"));
	}
	return v->failed || !secrets ? no_memory(e) : 0;
}

static int take_record(const struct state *s, const char *id, void *arg, struct err *e)
{
	struct inventory *v = arg;
	const struct trail_filter f = {.any_class = true, .events = {"created"}, .n_events = 1};

	return trail_read(s, id, &f, take_created, v, e);
}

/* ---- both ---- */

/* Age and the day by which it is to be changed, of what is written down. */
static void judge(struct inventory *v, json_t *row, const json_t *entry)
{
	time_t now = (time_t)(clock_real_ns() / 1000000000),
	       issued = day_of(text_of(entry, "issued"));
	json_int_t days = json_integer_value(json_object_get(entry, "rotate_days"));
	bool dated = issued >= 0 && days > 0 && days <= DAYS_MAX;
	time_t due = dated ? issued + (time_t)days * DAY : 0;
	char text[16] = "";
	struct tm tm;

	if (dated && gmtime_r(&due, &tm)) {
		(void)strftime(text, sizeof(text), "%Y-%m-%d", &tm);
	}
	must(v, json_put(row, "written_down", json_boolean(entry != NULL)));
	must(v, json_put(row, "owner",
			 *text_of(entry, "owner") ? json_string(text_of(entry, "owner"))
						  : json_null()));
	must(v, json_put(row, "age_days",
			 issued >= 0 ? json_integer((json_int_t)((now - issued) / DAY))
				     : json_null()));
	must(v, json_put(row, "rotate_by", dated ? json_string(text) : json_null()));
	must(v, json_put(row, "overdue", json_boolean(dated && now >= due)));
	must(v, json_put(row, "unused",
			 json_boolean(json_integer_value(json_object_get(row, "sandboxes")) == 0)));
}

static int gather(const struct state *s, json_t **ret, struct err *e)
{
	static const struct cli_operands all = {};
	_cleanup_json_ json_t *known = NULL, *rows = json_object(), *list = json_array();
	struct inventory v = {.rows = rows, .failed = !rows || !list};
	const char *name;
	json_t *row;
	int r = load(s->home, &known, e);

	json_object_foreach(known, name, row)
	{
		(void)row_of(&v, name);
	}
	r = r < 0 ? r : trails_each(s, &all, take_record, &v, e);
	json_object_foreach(rows, name, row)
	{
		judge(&v, row, json_object_get(known, name));
		must(&v, json_array_append(list, row));
	}
	if (r >= 0 && v.failed) {
		r = no_memory(e);
	}
	*ret = r < 0 ? NULL : TAKE_PTR(list);
	return r;
}

/* ---- printing ---- */

/* A text of somebody's in a column of its own. */
static void put(const char *text, int width)
{
	_cleanup_buf_ struct buf b = {};

	buf_init(&b, 1 << 20);
	(void)utf8_neutralise(&b, *text ? text : "-", *text ? strlen(text) : 1);
	(void)printf("%-*s ", width, buf_str(&b));
}

static void print_row(const json_t *row)
{
	const json_t *age = json_object_get(row, "age_days");
	char days[24] = "";

	if (json_is_integer(age)) {
		(void)snprintf(days, sizeof(days), "%" PRIi64 " d",
			       (int64_t)json_integer_value(age));
	}
	put(text_of(row, "name"), 26);
	put(text_of(row, "owner"), 14);
	put(days, 7);
	put(json_is_true(json_object_get(row, "overdue")) ? "OVERDUE" : text_of(row, "rotate_by"),
	    10);
	if (json_is_true(json_object_get(row, "unused"))) {
		(void)puts("never");
		return;
	}
	(void)printf("%.10s, %" PRIi64 " in all\n", text_of(row, "last_used"),
		     (int64_t)json_integer_value(json_object_get(row, "sandboxes")));
}

static int print_rows(const json_t *rows)
{
	const json_t *row;
	size_t i;

	if (json_array_size(rows) == 0) {
		cli_say("no sandbox was given a variable of its caller's, or a place of "
			"credentials to read, and nothing is written down");
		return CLI_OK;
	}
	(void)printf("%-26s %-14s %-7s %-10s %s\n", "CREDENTIAL", "OWNER", "AGE", "ROTATE BY",
		     "LAST GIVEN TO A SANDBOX");
	json_array_foreach((json_t *)rows, i, row)
	{
		print_row(row);
	}
	return cli_written();
}

/* 1: it is one of those that were named, or none was. */
static int is_named(const json_t *row, const struct cli_operands *words, struct err *e)
{
	char name[SECRET_TEXT_SIZE];
	int r = words->n == 0;

	for (size_t i = 0; i < words->n && r == 0; i++) {
		r = take_name(words->words[i], name, e);
		r = r < 0 ? r : strcmp(name, text_of(row, "name")) == 0;
	}
	return r;
}

/* Of those that were named, or of all. */
static int choose(const json_t *rows, const struct cli_operands *words, json_t **ret, struct err *e)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *row;
	size_t i;

	json_array_foreach((json_t *)rows, i, row)
	{
		int r = is_named(row, words, e);

		if (r < 0 || (r > 0 && json_array_append(list, row) < 0)) {
			return r < 0 ? r : no_memory(e);
		}
	}
	*ret = TAKE_PTR(list);
	return *ret ? 0 : no_memory(e);
}

static int credentials(const struct cli_command *c, int argc, char **argv)
{
	struct credential_options o = {};
	_cleanup_json_ json_t *rows = NULL, *chosen = NULL;
	struct cli_operands words;
	struct state s;
	struct err e = {};
	int r = cli_parse(c, argc, argv, &o, &words);
	bool changes = o.owner || o.issued || o.rotate || o.forget;

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	if (changes && words.n == 0) {
		cli_say("audit credentials: of which one? write the NAME of a variable, or "
			"~/PLACE");
		return CLI_FAILED;
	}
	r = state_open(&s, &e);
	r = r < 0 ? r : changes ? change(&s, &words, &o, &e) : 0;
	r = r < 0 ? r : gather(&s, &rows, &e);
	state_done(&s);
	r = r < 0 ? r : choose(rows, &words, &chosen, &e);
	if (r < 0) {
		return cli_fail(&e);
	}
	if (o.json) {
		return cli_print_json(TAKE_PTR(chosen));
	}
	return o.forget ? CLI_OK : print_rows(chosen);
}

static const struct cli_option credential_options[] = {
	CLI_TAKES("--owner", "NAME", CLI_TEXT, "write down who answers for it",
		  .offset = offsetof(struct credential_options, owner)),
	CLI_TAKES("--issued", "DAY", CLI_TEXT, "write down since when it is valid: 2026-01-31",
		  .offset = offsetof(struct credential_options, issued)),
	CLI_TAKES("--rotate", "DAYS", CLI_TEXT, "write down how often it is to be changed: 90d",
		  .offset = offsetof(struct credential_options, rotate)),
	CLI_FLAG("--forget", "remove what is written down of it",
		 .offset = offsetof(struct credential_options, forget)),
	CLI_FLAG("--json", "as JSON, an object for each",
		 .offset = offsetof(struct credential_options, json)),
	{},
};

static const struct cli_example credential_examples[] = {
	CLI_EXAMPLE("atoll audit credentials"),
	CLI_EXAMPLE("atoll audit credentials GITHUB_TOKEN --owner ann --issued 2026-01-31 "
		    "--rotate 90d"),
	{},
};

const struct cli_command cli_audit_credentials_command = {
	.name = "audit credentials",
	.summary = "list what sandboxes were given that may be a secret",
	.operands = "[NAME...]",
	.operand.kind = CLI_VARIABLE,
	.max_operands = SIZE_MAX,
	.about = "List the caller's variables that were passed on to sandboxes ('$NAME') and the "
		 "places of\n"
		 "credentials that they could read ('~/PLACE'): how old each is, whose, when it is "
		 "to be\n"
		 "changed, when it was given to a sandbox last. With an option, write down what no "
		 "record knows.\n",
	.notes = "Names alone: no record, and nothing that is written down here, has a secret in "
		 "it.\n",
	.options = credential_options,
	.examples = credential_examples,
	.run = credentials,
};
