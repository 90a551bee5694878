/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over the records of sandboxes. */
#include "front/cli/trails.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/sandboxes.h"
#include "policy/scalar.h"
#include "record/reader.h"
#include "record/trail.h"

/* A record grows by whole lines; nobody tells who reads it. */
#define FOLLOW_MS 100

/* ---- all of them ---- */

struct found {
	char id[STATE_ID_SIZE];
	int64_t since; /* of the last change; those that have ended do not change any more */
};

static int by_age(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->since != y->since ? (x->since > y->since) - (x->since < y->since)
				    : strcmp(x->id, y->id);
}

bool trail_is_id(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') &&
		    text[i] != '-') {
			return false;
		}
	}
	return len > 0 && len < STATE_ID_SIZE;
}

bool trail_take_name(const char *name, char id[STATE_ID_SIZE])
{
	size_t n = strcspn(name, ".");

	if (!trail_is_id(name, n) || strcmp(name + n, ".jsonl") != 0) {
		return false;
	}
	memcpy(id, name, n);
	id[n] = '\0';
	return true;
}

static int open_list(const struct state *s, DIR **ret, struct err *e)
{
	int copy = openat(s->trail, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = copy >= 0 ? fdopendir(copy) : NULL;
	if (!*ret) {
		(void)fd_close(copy);
		return err_sys(e, errno, "cannot list the records");
	}
	return 0;
}

/* Room for one more, in steps of 64. */
static int grow(void **list, size_t n, size_t size, struct err *e)
{
	void *more = n % 64 == 0 ? realloc(*list, (n + 64) * size) : *list;

	if (!more) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	*list = more;
	return 0;
}

static int find_all(const struct state *s, struct found **ret, size_t *ret_n, struct err *e)
{
	const struct dirent *d;
	struct stat st;
	char id[STATE_ID_SIZE];
	DIR *dir;
	int r = open_list(s, &dir, e);

	if (r < 0) {
		return r;
	}
	while (r >= 0 && (d = readdir(dir))) {
		if (!trail_take_name(d->d_name, id) ||
		    fstatat(s->trail, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		r = grow((void **)ret, *ret_n, sizeof(**ret), e);
		if (r >= 0) {
			(*ret)[*ret_n].since =
				st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
			memcpy((*ret)[(*ret_n)++].id, id, sizeof(id));
		}
	}
	(void)closedir(dir);
	return r;
}

/* Whether a name is that of a later segment. */
static bool take_later(const char *name, struct trail_gap *ret)
{
	size_t n = strcspn(name, "."), digits;
	const char *number = name + n + 1;

	if (!trail_is_id(name, n) || name[n] == '\0') {
		return false;
	}
	digits = strspn(number, "0123456789");
	if (digits == 0 || digits > 9 || number[0] == '0' ||
	    strcmp(number + digits, ".jsonl") != 0) {
		return false;
	}
	memcpy(ret->id, name, n);
	ret->id[n] = '\0';
	ret->segment = (unsigned)strtoul(number, NULL, 10);
	return ret->segment > 1;
}

static int by_segment(const void *a, const void *b)
{
	const struct trail_gap *x = a, *y = b;
	int order = strcmp(x->id, y->id);

	return order ? order : (x->segment > y->segment) - (x->segment < y->segment);
}

int trails_gaps(const struct state *s, struct trail_gap **ret, size_t *ret_n, struct err *e)
{
	char before[TRAIL_FILE_SIZE];
	const struct dirent *d;
	struct trail_gap gap;
	size_t n = 0, kept = 0;
	DIR *dir;
	int r = open_list(s, &dir, e);

	*ret = NULL;
	*ret_n = 0;
	if (r < 0) {
		return r;
	}
	while (r >= 0 && (d = readdir(dir))) {
		if (!take_later(d->d_name, &gap)) {
			continue;
		}
		trail_file(gap.id, --gap.segment, before);
		if (faccessat(s->trail, before, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
			continue;
		}
		r = grow((void **)ret, n, sizeof(**ret), e);
		if (r >= 0) {
			(*ret)[n++] = gap;
		}
	}
	(void)closedir(dir);
	if (n > 0) {
		qsort(*ret, n, sizeof(**ret), by_segment);
	}
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || strcmp((*ret)[kept - 1].id, (*ret)[i].id) != 0) {
			(*ret)[kept++] = (*ret)[i];
		}
	}
	*ret_n = kept;
	return r;
}

int trails_each(const struct state *s, const struct cli_operands *words, trail_fn *fn, void *arg,
		struct err *e)
{
	_cleanup_free_ struct found *all = NULL;
	char id[STATE_ID_SIZE];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < words->n && r >= 0; i++) {
		r = sandbox_find_record(s, words->words[i], id, e);
		r = r < 0 ? r : fn(s, id, arg, e);
	}
	if (words->n > 0) {
		return r;
	}
	r = find_all(s, &all, &n, e);
	if (n > 0) {
		qsort(all, n, sizeof(*all), by_age);
	}
	for (size_t i = 0; i < n && r >= 0; i++) {
		r = fn(s, all[i].id, arg, e);
	}
	return r;
}

/* ---- filters ---- */

const char *const trail_classes[] = {"life",  "wall", "program", "network", "denial",
				     "limit", "file", "money",   "record",  NULL};

int trail_take_class(void *into, const struct cli_option *o, char *value)
{
	struct trail_filter *f = into;
	enum event_class c = event_class_find(value);

	(void)o;
	if (c == EVENT_CLASSES) {
		return -cli_complain("audit",
				     "there is no class '%s'; they are life, wall, program, "
				     "network, denial, limit, file, money and record",
				     value);
	}
	f->classes[c] = true;
	return 0;
}

int trail_take_event(void *into, const struct cli_option *o, char *value)
{
	struct trail_filter *f = into;

	(void)o;
	if (!event_find(value, strlen(value))) {
		return -cli_complain("audit",
				     "there are no events '%s'; 'atoll audit schema' lists them",
				     value);
	}
	if (f->n_events == ARRAY_SIZE(f->events)) {
		return -cli_complain("audit", "--event: more than %zu", ARRAY_SIZE(f->events));
	}
	f->events[f->n_events++] = value;
	return 0;
}

/* A time as records have it: that, or the beginning of it, or so long ago. */
static bool settle_time(const char *word, char out[LINE_TIME_LEN + 1])
{
	static const char form[] = "0000-00-00T00:00:00.000000Z";
	static const char rest[] = "0001-01-01T00:00:00.000000Z";
	size_t len = strlen(word);
	uint64_t ago;
	struct tm tm;
	time_t at;

	if (scalar_duration(word, &ago) >= 0) {
		at = (time_t)((clock_real_ns() - (int64_t)ago) / 1000000000);
		return gmtime_r(&at, &tm) &&
		       strftime(out, LINE_TIME_LEN + 1, "%Y-%m-%dT%H:%M:%S.000000Z", &tm) > 0;
	}
	if (len > 0 && word[len - 1] == 'Z') {
		len--;
	}
	/* A day, or a minute or a second of it. */
	if (len != 10 && len != 16 && len != 19 && len != LINE_TIME_LEN - 1) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		bool digit = word[i] >= '0' && word[i] <= '9';

		if (form[i] == '0' ? !digit : word[i] != form[i] && !(i == 10 && word[i] == ' ')) {
			return false;
		}
	}
	(void)snprintf(out, LINE_TIME_LEN + 1, "%.*s%s", (int)len, word, rest + len);
	out[10] = 'T';
	return true;
}

int trail_filter_settle(struct trail_filter *f, const char *command)
{
	f->any_class = true;
	for (size_t i = 0; i < EVENT_CLASSES; i++) {
		f->any_class = f->any_class && !f->classes[i];
	}
	if ((f->since && !settle_time(f->since, f->from)) ||
	    (f->until && !settle_time(f->until, f->to))) {
		return -cli_complain(command,
				     "'%s' is no time; write 2026-11-30, 2026-11-30T14:05:00Z "
				     "(UTC), or how long ago: 12h",
				     f->from[0] || !f->since ? f->until : f->since);
	}
	return 0;
}

bool trail_filter_passes(const struct trail_filter *f, const struct line *l)
{
	const struct event_kind *k = event_find(l->event, strlen(l->event));
	bool named = f->n_events == 0;

	for (size_t i = 0; i < f->n_events && !named; i++) {
		named = strcmp(f->events[i], l->event) == 0;
	}
	return named && (f->any_class || (k && f->classes[k->class])) &&
	       (!f->from[0] || memcmp(l->time, f->from, LINE_TIME_LEN) >= 0) &&
	       (!f->to[0] || memcmp(l->time, f->to, LINE_TIME_LEN) < 0);
}

static bool is_of(const json_t *plan, const char *key, const char *wanted)
{
	const char *said = json_string_value(json_object_get(plan, key));

	return !wanted || (said && strcmp(said, wanted) == 0);
}

bool trail_filter_takes(const struct trail_filter *f, const json_t *created)
{
	const json_t *plan = json_object_get(created, "plan");

	return is_of(plan, "owner", f->owner) && is_of(plan, "account", f->account);
}

/* ---- one of them ---- */

json_t *trail_data(const struct line *l)
{
	return json_loadb(l->data, l->data_len, JSON_REJECT_DUPLICATES, NULL);
}

int trail_read(const struct state *s, const char *id, const struct trail_filter *f,
	       trail_event_fn *fn, void *arg, struct err *e)
{
	bool whose = f->owner || f->account, taken = true;
	struct reader in;
	const char *text;
	size_t len = 0;
	struct line l;
	int r = reader_open(&in, s->trail, id, e);

	if (r < 0) {
		return r;
	}
	while (taken && (r = reader_next(&in, &text, &len, e)) > 0) {
		if (in.cut || !line_parse(text, len, &l)) {
			continue; /* 'atoll audit verify' says what it is */
		}
		if (whose && strcmp(l.event, "created") == 0) {
			_cleanup_json_ json_t *created = trail_data(&l);

			taken = created && trail_filter_takes(f, created);
		}
		if (taken && trail_filter_passes(f, &l) && (r = fn(arg, &l, text, len, e)) < 0) {
			break;
		}
	}
	reader_close(&in);
	return r < 0 ? r : 0;
}

int trail_follow(const struct state *s, const char *id, const struct trail_filter *f,
		 trail_event_fn *fn, void *arg, struct err *e)
{
	bool over = false;
	struct reader in;
	const char *text;
	size_t len = 0;
	struct line l;
	int r = reader_open(&in, s->trail, id, e);

	if (r < 0) {
		return r;
	}
	in.follows = true;
	while ((r = reader_next(&in, &text, &len, e)) >= 0) {
		if (r > 0) {
			if (line_parse(text, len, &l)) {
				over = over || strcmp(l.event, "torn_down") == 0 ||
				       strcmp(l.event, "reaped") == 0;
				r = trail_filter_passes(f, &l) ? fn(arg, &l, text, len, e) : 0;
			}
			if (r < 0) {
				break;
			}
			continue;
		}
		if (fflush(stdout) != 0 || (over && reader_wait(&in, 0))) {
			break;
		}
		(void)poll(NULL, 0, FOLLOW_MS);
	}
	reader_close(&in);
	return r < 0 ? r : 0;
}

/* Members that are documents of their own: --json shows them. */
static bool is_document(const json_t *value)
{
	return json_is_object(value) && json_object_size(value) > 4;
}

int trail_print(FILE *out, const struct line *l, bool whose)
{
	_cleanup_json_ json_t *data = trail_data(l);
	_cleanup_buf_ struct buf text = {};
	const char *key;
	json_t *value;

	buf_init(&text, 4 * TRAIL_MAX_LINE); /* what is neutralised is longer than it was */
	json_object_foreach(data, key, value)
	{
		_cleanup_free_ char *plain =
			is_document(value) ? NULL
					   : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY |
								       JSON_SORT_KEYS);
		const char *shown = plain ? plain : "{...}";

		(void)buf_addc(&text, ' ');
		(void)utf8_neutralise(&text, key, strlen(key));
		(void)buf_addc(&text, '=');
		(void)utf8_neutralise(&text, shown, strlen(shown));
	}
	return fprintf(out, "%.*s %s%s%-10s%s\n", LINE_TIME_LEN, l->time, whose ? l->sandbox : "",
		       whose ? " " : "", l->event, buf_str(&text)) < 0
		       ? -EIO
		       : 0;
}

void trail_print_json(const char *text, size_t len)
{
	_cleanup_buf_ struct buf safe = {};

	if (isatty(STDOUT_FILENO)) {
		buf_init(&safe, 8 * TRAIL_MAX_LINE);
		(void)utf8_neutralise(&safe, text, len);
		text = buf_str(&safe);
		len = safe.len;
	}
	(void)fwrite(text, 1, len, stdout);
	(void)putchar('\n');
}

bool trail_is_written(const struct state *s, const char *id)
{
	char path[STATE_ID_SIZE + 16];

	(void)snprintf(path, sizeof(path), "%s/sandbox.json", id);
	return faccessat(s->sandboxes, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
