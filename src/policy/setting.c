/* SPDX-License-Identifier: Apache-2.0 */
/* Text to value, by type. Documents and the command line both come through here. */
#include "policy/setting.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"
#include "policy/deny.h"
#include "policy/hostname.h"
#include "policy/idn.h"
#include "policy/scalar.h"

#define NAME_MAX_LEN 64

int setting_check_text(const char *what, const struct origin *at, const char *text, size_t len,
		       struct err *e)
{
	_cleanup_buf_ struct buf b = {};

	if (len > POLICY_TEXT_MAX) {
		return origin_fail(at, e, "%s: the text is longer than %d bytes", what,
				   POLICY_TEXT_MAX);
	}
	if (strnlen(text, len) != len) {
		return origin_fail(at, e, "%s: the text contains a NUL character", what);
	}
	if (!utf8_valid(text, len)) {
		return origin_fail(at, e, "%s: the text is not UTF-8", what);
	}
	buf_init(&b, len * 10 + 1);
	if (utf8_neutralise(&b, text, len) < 0) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	if (b.len != len) {
		return origin_fail(at, e, "%s: the text contains a control character", what);
	}
	return 0;
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* What a number of each type looks like. */
struct number_form {
	int (*parse)(const char *s, uint64_t *ret);
	const char *(*show)(uint64_t n, char out[SCALAR_TEXT_SIZE]);
	const char *form;
};

static const char *int_text(uint64_t n, char out[SCALAR_TEXT_SIZE])
{
	(void)snprintf(out, SCALAR_TEXT_SIZE, "%llu", (unsigned long long)n);
	return out;
}

static const struct number_form number_forms[] = {
	[TYPE_INT] = {scalar_int, int_text, "is no whole number"},
	[TYPE_SIZE] = {scalar_size, scalar_size_text,
		       "is no size; write bytes, or a unit as in 512MiB or 2GB"},
	[TYPE_RATE] = {scalar_rate, scalar_rate_text,
		       "is no rate; write a size for each second as in 20MiB/s"},
	[TYPE_DURATION] = {scalar_duration, scalar_duration_text,
			   "is no duration; write a unit as in 500ms, 10m or 1h30m"},
	[TYPE_CPUS] = {scalar_cpus, scalar_cpus_text,
		       "is no number of CPUs; write for example 2 or 0.5"},
};

static int take_number(const struct schema_key *k, const struct origin *at, const char *text,
		       struct value *v, struct err *e)
{
	const struct number_form *f = &number_forms[k->type];
	char bound[SCALAR_TEXT_SIZE];
	uint64_t n = 0;
	int r;

	if (text[0] == '-' && text[1] >= '0' && text[1] <= '9') {
		return origin_fail(at, e, "%s: '%s' is negative; it must be at least %s", k->path,
				   shown(text).s, f->show(k->min, bound));
	}
	r = f->parse(text, &n);
	if (r == -EINVAL) {
		return origin_fail(at, e, "%s: '%s' %s", k->path, shown(text).s, f->form);
	}
	if (k->rule == MERGE_NONE && (r < 0 || n != POLICY_VERSION)) {
		return origin_fail(at, e, "version %s is not known; this Atoll reads version %d",
				   shown(text).s, POLICY_VERSION);
	}
	if (r == -ERANGE || n > k->max) {
		return origin_fail(at, e, "%s: '%s' is too large; it may be at most %s", k->path,
				   shown(text).s, f->show(k->max, bound));
	}
	if (n < k->min) {
		return origin_fail(at, e, "%s: '%s' is too small; it must be at least %s", k->path,
				   shown(text).s, f->show(k->min, bound));
	}
	v->num = n;
	return 0;
}

/* Why this version has no such word, or NULL. */
static const char *why_absent(const struct schema_key *k, const char *text)
{
	for (size_t j = 0; j < k->n_absent; j++) {
		const char *word = k->absent[j].word;
		size_t len = strlen(word);

		if (strcmp(text, word) == 0 ||
		    (word[len - 1] == ':' && strncmp(text, word, len) == 0)) {
			return k->absent[j].why;
		}
	}
	return NULL;
}

static int take_word(const struct schema_key *k, const struct origin *at, const char *text,
		     struct value *v, struct err *e)
{
	char list[128];
	int i = schema_word(k, text);
	const char *why = why_absent(k, text);

	if (i >= 0) {
		v->num = (uint64_t)i;
		return 0;
	}
	if (why) {
		return origin_fail(at, e, "%s: %s", k->path, why);
	}
	return origin_fail(at, e, "%s: '%s' is not %s%s", k->path, shown(text).s,
			   k->n_words > 1 ? "one of " : "",
			   schema_word_list(k, list, sizeof(list)));
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int check_identifier(const struct schema_key *k, const struct origin *at, const char *text,
			    struct err *e)
{
	size_t len = strlen(text);
	bool good = len > 0 && len <= NAME_MAX_LEN && is_alnum(text[0]);

	for (size_t i = 0; i < len && good; i++) {
		good = is_alnum(text[i]) || strchr("._-", text[i]);
	}
	if (!good) {
		return origin_fail(at, e,
				   "%s: '%s' is no name; write up to %d letters, digits, '.', '_' "
				   "and '-', a letter or digit first",
				   k->path, shown(text).s, NAME_MAX_LEN);
	}
	return 0;
}

static int take_name(const struct schema_key *k, const struct origin *at, const char *text,
		     struct value *v, struct err *e)
{
	int r = check_identifier(k, at, text, e);

	v->text = r < 0 ? NULL : text_dup(text);
	return r < 0 || v->text ? r : no_memory(e);
}

/* An identifier, or where the key has words one of them. */
static int check_element_name(const struct schema_key *k, const struct origin *at, const char *text,
			      struct err *e)
{
	const char *why = why_absent(k, text);
	char list[128];

	if (why) {
		return origin_fail(at, e, "%s: %s", k->path, why);
	}
	if (k->n_words > 0 && schema_word(k, text) < 0) {
		return origin_fail(at, e, "%s: '%s' is not known; use %s", k->path, shown(text).s,
				   schema_word_list(k, list, sizeof(list)));
	}
	return check_identifier(k, at, text, e);
}

static int take_text(const struct schema_key *k, const struct origin *at, const char *text,
		     struct value *v, struct err *e)
{
	if (text[0] == '\0') {
		return origin_fail(at, e, "%s: the text is empty", k->path);
	}
	v->text = text_dup(text);
	return v->text ? 0 : no_memory(e);
}

/* A glob may only stand in the last part: directories are resolved, never guessed. */
static int check_program(const struct schema_key *k, const struct origin *at, const char *text,
			 struct err *e)
{
	const char *slash = strrchr(text, '/');
	size_t glob = strcspn(text, "*?[");

	if (slash && glob < (size_t)(slash - text)) {
		return origin_fail(at, e,
				   "%s: '%s' has a pattern in a directory; only the last part may "
				   "be a pattern",
				   k->path, shown(text).s);
	}
	return 0;
}

/* The one spelling of a destination, or of a host. */
static int canonical(const struct schema_key *k, const struct origin *at, const char *text,
		     char out[DESTINATION_SIZE], struct err *e)
{
	char ascii[DESTINATION_SIZE + 32];
	struct err why = {};

	if (idn_to_ascii(text, ascii, sizeof(ascii), &why) < 0 ||
	    (k->type == TYPE_RULES ? destination_canonical(ascii, out, &why)
				   : hostname_canonical(ascii, out, &why)) < 0) {
		return origin_fail(at, e, "%s: '%s': %s", k->path, shown(text).s, why.msg);
	}
	return 0;
}

static int take_element(const struct schema_key *k, const struct origin *at, const char *text,
			struct value *v, struct err *e)
{
	char rule[DESTINATION_SIZE];

	if (v->n_items >= POLICY_ITEMS_MAX) {
		return origin_fail(at, e, "%s: more than %d elements", k->path, POLICY_ITEMS_MAX);
	}
	if (text[0] == '\0') {
		return origin_fail(at, e, "%s: an element is empty", k->path);
	}
	if (k->type == TYPE_PROGRAMS && check_program(k, at, text, e) < 0) {
		return -EINVAL;
	}
	if (k->type == TYPE_PATTERNS && deny_wrong(text)) {
		return origin_fail(at, e, "%s: '%s' is refused: %s", k->path, shown(text).s,
				   deny_wrong(text));
	}
	if (k->type == TYPE_NAMES && check_element_name(k, at, text, e) < 0) {
		return -EINVAL;
	}
	if (k->type == TYPE_RULES || k->type == TYPE_HOSTS) {
		if (canonical(k, at, text, rule, e) < 0) {
			return -EINVAL;
		}
		text = rule;
	}
	return value_add(v, at, NULL, text) < 0 ? no_memory(e) : 0;
}

bool setting_is_variable(const char *name, size_t len)
{
	bool good = len > 0 && len <= 255 && !(name[0] >= '0' && name[0] <= '9');

	for (size_t i = 0; i < len && good; i++) {
		good = is_alnum(name[i]) || name[i] == '_';
	}
	return good;
}

int setting_take_env(const struct origin *at, const char *name, const char *text, struct value *v,
		     struct err *e)
{
	if (!setting_is_variable(name, strlen(name))) {
		return origin_fail(at, e,
				   "data.env: '%s' is no name of a variable; write letters, digits "
				   "and '_', no digit first",
				   shown(name).s);
	}
	for (size_t i = 0; i < v->n_items; i++) {
		if (strcmp(v->items[i].name, name) == 0) {
			return origin_fail(at, e, "data.env: '%s' is given twice", name);
		}
	}
	if (v->n_items >= POLICY_ITEMS_MAX) {
		return origin_fail(at, e, "data.env: more than %d variables", POLICY_ITEMS_MAX);
	}
	return value_add(v, at, name, text) < 0 ? no_memory(e) : 0;
}

/* NAME=VALUE, or NAME to inherit. */
static int take_assignment(const struct origin *at, const char *text, struct value *v,
			   struct err *e)
{
	_cleanup_free_ char *copy = text_dup(text);
	char *equals;

	if (!copy) {
		return no_memory(e);
	}
	equals = strchr(copy, '=');
	if (equals) {
		*equals++ = '\0';
	}
	return setting_take_env(at, copy, equals, v, e);
}

int setting_take(const struct schema_key *k, const struct origin *at, const char *text,
		 struct value *v, struct err *e)
{
	int r = 0;

	switch (k->type) {
	case TYPE_SECTION:
		return origin_fail(at, e, "%s: it has keys of its own and no value", k->path);
	case TYPE_INT:
	case TYPE_SIZE:
	case TYPE_RATE:
	case TYPE_DURATION:
	case TYPE_CPUS:
		r = take_number(k, at, text, v, e);
		break;
	case TYPE_WORD:
		r = take_word(k, at, text, v, e);
		break;
	case TYPE_NAME:
		r = take_name(k, at, text, v, e);
		break;
	case TYPE_TEXT:
	case TYPE_PATH:
		r = take_text(k, at, text, v, e);
		break;
	case TYPE_PATHS:
	case TYPE_PATTERNS:
	case TYPE_NAMES:
	case TYPE_PROGRAMS:
	case TYPE_RULES:
	case TYPE_HOSTS:
		r = take_element(k, at, text, v, e);
		break;
	case TYPE_ENV:
		r = take_assignment(at, text, v, e);
		break;
	}
	if (r >= 0 && !v->set) {
		v->set = true;
		v->at = *at;
	}
	return r;
}

static int show_items(const struct schema_key *k, const struct value *v, struct buf *out)
{
	for (size_t i = 0; i < v->n_items; i++) {
		const struct item *it = &v->items[i];

		(void)buf_adds(out, i > 0 ? ", " : "");
		if (k->type == TYPE_ENV) {
			(void)buf_addf(out, "%s%s", it->name,
				       it->text ? "" : " (the caller's value)");
		} else {
			(void)buf_adds(out, it->text);
		}
	}
	return out->failed ? -ENOMEM : 0;
}

int setting_show(const struct schema_key *k, const struct value *v, struct buf *out)
{
	char text[SCALAR_TEXT_SIZE];

	switch (k->type) {
	case TYPE_SECTION:
		return 0;
	case TYPE_INT:
	case TYPE_SIZE:
	case TYPE_RATE:
	case TYPE_DURATION:
	case TYPE_CPUS:
		return buf_adds(out, number_forms[k->type].show(v->num, text));
	case TYPE_WORD:
		return buf_adds(out, k->words[v->num].word);
	case TYPE_NAME:
	case TYPE_TEXT:
	case TYPE_PATH:
		return buf_adds(out, v->text);
	case TYPE_PATHS:
	case TYPE_PATTERNS:
	case TYPE_NAMES:
	case TYPE_PROGRAMS:
	case TYPE_RULES:
	case TYPE_HOSTS:
	case TYPE_ENV:
		return show_items(k, v, out);
	}
	return -EINVAL;
}
