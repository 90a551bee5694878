/* SPDX-License-Identifier: Apache-2.0 */
/* filesystem.deny: rules, and matching them. */
#include "policy/deny.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fold.h"
#include "base/mutant.h"
#include "base/utf8.h"
#include "policy/value.h"

#define NAME_BYTES 1024 /* of a name; no file system has longer ones */

static void rule_done(struct deny_rule *rule)
{
	for (size_t i = 0; i < rule->n; i++) {
		free(rule->parts[i].raw);
		free(rule->parts[i].folded);
	}
	free(rule->parts);
	free(rule->text);
	*rule = (struct deny_rule){};
}

void deny_done(struct deny_rules *r)
{
	for (size_t i = 0; i < r->n; i++) {
		rule_done(&r->list[i]);
	}
	free(r->list);
	*r = (struct deny_rules){};
}

/* ---- making ---- */

/* The plain name that a component without patterns stands for: [x] is x. NULL: it has patterns. */
static char *plain(const char *s, size_t len)
{
	char *out = fault_hit() ? NULL : malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < len; i++) {
		if (s[i] == '[' && i + 2 < len && s[i + 2] == ']') {
			out[n++] = s[i + 1];
			i += 2;
		} else if (strchr("*?[", s[i])) {
			free(out);
			errno = EINVAL;
			return NULL;
		} else {
			out[n++] = s[i];
		}
	}
	if (out) {
		out[n] = '\0';
	} else {
		errno = ENOMEM;
	}
	return out;
}

/* Dots and spaces at the end are nothing to vfat and NTFS. */
static size_t without_end(const char *s, size_t len)
{
	while (len > 0 && (s[len - 1] == '.' || s[len - 1] == ' ')) {
		len--;
	}
	return len;
}

static int make_part(struct deny_part *part, const char *s, size_t len)
{
	char *name = plain(s, len);
	size_t n;

	if (!name && errno != EINVAL) {
		return -ENOMEM;
	}
	part->glob = !name;
	part->deep = len == 2 && strncmp(s, "**", 2) == 0;
	part->raw = name ? name : fault_hit() ? NULL : strndup(s, len);
	part->folded = part->raw ? malloc(strlen(part->raw) * FOLD_GROWTH + 1) : NULL;
	if (!part->folded) {
		return -ENOMEM;
	}
	n = fold_name(part->raw, strlen(part->raw), part->folded);
	if (!part->glob) {
		part->folded[without_end(part->folded, n)] = '\0';
	}
	return 0;
}

static int make_rule(struct deny_rule *rule, const char *text)
{
	rule->text = text_dup(text);
	rule->parts = fault_hit() ? NULL : calloc(DENY_MAX_PARTS, sizeof(*rule->parts));
	if (!rule->text || !rule->parts) {
		return -ENOMEM;
	}
	rule->exact = true;
	for (const char *at = text; *at == '/';) {
		size_t len = strcspn(++at, "/");
		int r;

		if (len == 0 && *at == '\0') {
			break;
		}
		if (len == 0 || rule->n == DENY_MAX_PARTS) {
			return -EINVAL;
		}
		r = make_part(&rule->parts[rule->n++], at, len);
		if (r < 0) {
			return r;
		}
		rule->exact = rule->exact && !rule->parts[rule->n - 1].glob;
		at += len;
	}
	/* What is below is hidden in any case; at the end, it has to be at least one component. */
	while (rule->n > 0 && rule->parts[rule->n - 1].deep) {
		rule->parts[rule->n - 1].deep = false;
		if (rule->n > 1 && rule->parts[rule->n - 2].deep) {
			rule->n--;
			free(rule->parts[rule->n].raw);
			free(rule->parts[rule->n].folded);
		}
	}
	return rule->n > 0 ? 0 : -EINVAL;
}

int deny_add(struct deny_rules *r, const char *text)
{
	struct deny_rule rule = {};
	struct deny_rule *list;
	size_t room = r->room ? r->room * 2 : 16;
	int n;

	for (size_t i = 0; i < r->n; i++) {
		if (strcmp(r->list[i].text, text) == 0) {
			return 0;
		}
	}
	n = text[0] != '/' ? -EINVAL : r->n == DENY_MAX_ALL ? -E2BIG : make_rule(&rule, text);
	if (n >= 0 && r->n == r->room) {
		list = fault_hit() ? NULL : reallocarray(r->list, room, sizeof(*list));
		n = list ? 0 : -ENOMEM;
		r->list = list ? list : r->list;
		r->room = list ? room : r->room;
	}
	if (n < 0) {
		rule_done(&rule);
		return n;
	}
	r->list[r->n++] = rule;
	return 0;
}

/* ---- matching ---- */

/* A name as it is compared, and a mark behind each character, which may be several by now. */
struct name {
	size_t len;
	char folded[NAME_BYTES * FOLD_GROWTH + 1];
	bool ends[NAME_BYTES * FOLD_GROWTH + 1];
};

static bool is_plain(char c)
{
	return (unsigned char)c < 0x80;
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static void fold(const char *name, struct name *ret)
{
	size_t len = strnlen(name, NAME_BYTES), step;

	if (MUTANT(ATOLL_MUTATE_DENY_FOLD)) {
		memset(ret->ends, true, sizeof(ret->ends));
		memcpy(ret->folded, name, len);
		ret->folded[len] = '\0';
		ret->len = len;
		return;
	}
	ret->len = 0;
	for (size_t i = 0; i < len; i += step) {
		size_t from = ret->len;

		if (is_plain(name[i]) && is_plain(name[i + 1])) {
			/* Most are: nothing belongs to it. */
			ret->folded[ret->len++] = lower(name[i]);
			ret->ends[ret->len] = true;
			step = 1;
			continue;
		}
		step = fold_character(name + i, len - i);
		ret->len += fold_name(name + i, step, ret->folded + from);
		memset(ret->ends + from + 1, 0, ret->len - from);
		ret->ends[ret->len] = true;
	}
	ret->folded[ret->len] = '\0';
}

/* The first code point of a character against one of a class, which is folded, too. */
static bool in_range(const char *s, size_t len, const char *at, size_t n)
{
	char upper = (char)(*s >= 'a' && *s <= 'z' ? *s - 'a' + 'A' : *s);

	if (n == 3 && at[1] == '-') {
		return len == 1 && ((*s >= *at && *s <= at[2]) || (upper >= *at && upper <= at[2]));
	}
	return n == len && strncmp(at, s, n) == 0;
}

/* `at` is behind the `[`. Returns what is behind the `]`, NULL if the character is not among them.
 */
static const char *in_class(const char *at, const char *s)
{
	size_t len = utf8_sequence(s, strnlen(s, 4));
	bool found = false;

	for (bool first = true; first || *at != ']'; first = false) {
		size_t n = utf8_sequence(at, strnlen(at, 4));

		n = n == 1 && at[1] == '-' && at[2] != ']' ? 3 : n > 0 ? n : 1;
		found = found || in_range(s, len > 0 ? len : 1, at, n);
		at += n;
	}
	return found ? at + 1 : NULL;
}

/* What is next in the name against the pattern at `at`; returns what is behind it, or NULL. */
static const char *one_matches(const char *at, const struct name *name, size_t i, size_t *ret_next)
{
	const char *next = *at == '?'   ? at + 1
			   : *at == '[' ? in_class(at + 1, name->folded + i)
			   : *at != '\0' && *at == name->folded[i] ? at + 1
								   : NULL;

	*ret_next = i + 1;
	while ((*at == '?' || *at == '[') && !name->ends[*ret_next]) {
		(*ret_next)++;
	}
	return next;
}

/* Only the last `*` is ever tried again, so the time is at most one length times the other. */
static bool glob_matches(const char *at, const struct name *name, size_t len)
{
	const char *again = NULL, *next;
	size_t i = 0, from = 0, behind;

	while (i < len) {
		if (*at == '*') {
			again = ++at;
			from = i;
		} else if ((next = one_matches(at, name, i, &behind)) && behind <= len) {
			at = next;
			i = behind;
		} else if (again) {
			at = again;
			i = ++from;
		} else {
			return false;
		}
	}
	while (*at == '*') {
		at++;
	}
	return *at == '\0';
}

static bool part_matches(const struct deny_part *part, const struct name *name)
{
	size_t shorter = without_end(name->folded, name->len);

	if (part->glob) {
		return glob_matches(part->folded, name, name->len) ||
		       (shorter < name->len && glob_matches(part->folded, name, shorter));
	}
	return strncmp(part->folded, name->folded, shorter) == 0 && part->folded[shorter] == '\0';
}

/* What `**` stands for may be nothing. */
static uint64_t closure(const struct deny_rule *rule, uint64_t mask)
{
	for (size_t i = 0; i < rule->n; i++) {
		if ((mask >> i & 1) && rule->parts[i].deep) {
			mask |= 1ULL << (i + 1);
		}
	}
	return mask;
}

static uint64_t rule_step(const struct deny_rule *rule, uint64_t mask, const struct name *name)
{
	uint64_t next = 0;

	mask = closure(rule, mask);
	for (size_t i = 0; i < rule->n; i++) {
		if (!(mask >> i & 1)) {
			continue;
		}
		if (rule->parts[i].deep) {
			next |= 1ULL << i;
		} else if (part_matches(&rule->parts[i], name)) {
			next |= 1ULL << (i + 1);
		}
	}
	return closure(rule, next);
}

void deny_begin(const struct deny_rules *r, size_t first, uint64_t *masks)
{
	for (size_t i = 0; i < r->n; i++) {
		masks[i] = i >= first;
	}
}

enum deny_verdict deny_step(const struct deny_rules *r, const uint64_t *from, const char *name,
			    uint64_t *to)
{
	enum deny_verdict v = DENY_NONE;
	struct name folded;

	fold(name, &folded);
	for (size_t i = 0; i < r->n; i++) {
		to[i] = from[i] ? rule_step(&r->list[i], from[i], &folded) : 0;
		if (to[i] >> r->list[i].n & 1) {
			v = DENY_HIT;
		} else if (to[i] && v == DENY_NONE) {
			v = DENY_BELOW;
		}
	}
	return v;
}

enum deny_verdict deny_walk(const struct deny_rules *r, uint64_t *masks, const char *path)
{
	enum deny_verdict v = DENY_NONE;
	char name[NAME_BYTES];

	for (size_t i = 0; i < r->n && v == DENY_NONE; i++) {
		v = masks[i] ? DENY_BELOW : DENY_NONE;
	}
	while (*path && v == DENY_BELOW) {
		size_t len = strcspn(path, "/");

		if (len >= sizeof(name)) {
			return DENY_NONE;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		v = len > 0 ? deny_step(r, masks, name, masks) : v;
		path += len + (path[len] == '/');
	}
	return v;
}

int deny_judge(char *const *texts, size_t n, const char *path, const char **ret_rule)
{
	int verdict = DENY_NONE;

	for (size_t i = 0; i < n && verdict != DENY_HIT; i++) {
		struct deny_rules one = {};
		uint64_t mask = 1;
		int r = deny_add(&one, texts[i]);

		r = r < 0 ? r : (int)deny_walk(&one, &mask, path);
		deny_done(&one);
		if (r < 0) {
			return r;
		}
		if (r > verdict && ret_rule) {
			*ret_rule = texts[i];
		}
		verdict = r > verdict ? r : verdict;
	}
	return verdict;
}

/* ---- layers ---- */

const struct deny_layer *deny_layer_of(const struct deny_layers *l, const char *place)
{
	for (size_t i = 0; l && i < l->n; i++) {
		if (strcmp(l->list[i].place, place) == 0) {
			return &l->list[i];
		}
	}
	return NULL;
}

void deny_layers_done(struct deny_layers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		for (size_t j = 0; j < l->list[i].n; j++) {
			free(l->list[i].list[j].path);
		}
		free(l->list[i].list);
	}
	free(l->list);
	for (size_t i = 0; i < l->n_extra; i++) {
		free(l->extra[i]);
	}
	free(l->extra);
	*l = (struct deny_layers){};
}
