/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a policy document and their places. */
#include "policy/value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/utf8.h"

const char *origin_text(const struct origin *at, char out[ORIGIN_TEXT_SIZE])
{
	if (at->option) {
		(void)snprintf(out, ORIGIN_TEXT_SIZE, "%s", at->option);
	} else {
		(void)snprintf(out, ORIGIN_TEXT_SIZE, "%s%.270s:%zu:%zu",
			       at->layer == LAYER_PROFILE ? "profile " : "",
			       at->file ? at->file : "policy", at->line, at->column);
	}
	return out;
}

int origin_fail(const struct origin *at, struct err *e, const char *fmt, ...)
{
	char place[ORIGIN_TEXT_SIZE], message[sizeof(((struct err *)NULL)->msg)];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(message, sizeof(message), fmt, ap) < 0) {
		message[0] = '\0';
	}
	va_end(ap);
	return err_set(e, at->option ? ERR_USER : ERR_POLICY, EINVAL, "%s: %s",
		       origin_text(at, place), message);
}

char *text_dup(const char *s)
{
	return fault_hit() ? NULL : strdup(s);
}

void value_done(struct value *v)
{
	for (size_t i = 0; i < v->n_items; i++) {
		free(v->items[i].text);
		free(v->items[i].name);
	}
	free(v->items);
	free(v->text);
	*v = (struct value){};
}

void policy_done(struct policy *p)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		value_done(&p->v[i]);
	}
}

/* Copies an optional string. */
static int dup_to(char **to, const char *from)
{
	*to = from ? text_dup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int value_add(struct value *v, const struct origin *at, const char *name, const char *text)
{
	struct item *items, *it;

	/* Room grows at the powers of two. */
	if ((v->n_items & (v->n_items + 1)) == 0) {
		items = fault_hit() ? NULL
				    : reallocarray(v->items, v->n_items * 2 + 1, sizeof(*items));
		if (!items) {
			return -ENOMEM;
		}
		v->items = items;
	}
	it = &v->items[v->n_items];
	*it = (struct item){.at = *at};
	if (dup_to(&it->name, name) < 0 || dup_to(&it->text, text) < 0) {
		free(it->name);
		return -ENOMEM;
	}
	v->n_items++;
	return 0;
}

int value_copy(struct value *to, const struct value *from)
{
	int r = 0;

	*to = (struct value){.set = from->set, .at = from->at, .num = from->num};
	if (dup_to(&to->text, from->text) < 0) {
		r = -ENOMEM;
	}
	for (size_t i = 0; i < from->n_items && r >= 0; i++) {
		const struct item *it = &from->items[i];

		r = value_add(to, &it->at, it->name, it->text);
	}
	if (r < 0) {
		value_done(to);
	}
	return r;
}

struct shown shown(const char *text)
{
	_cleanup_buf_ struct buf b = {};
	struct shown out = {};
	size_t len = strlen(text), cut = 0;

	while (cut < len) {
		size_t n = utf8_sequence(text + cut, len - cut);

		n = n > 0 ? n : 1;
		buf_clear(&b);
		b.max = SHOWN_SIZE;
		if (utf8_neutralise(&b, text + cut, n) < 0 || strlen(out.s) + b.len > 60) {
			break;
		}
		memcpy(out.s + strlen(out.s), buf_str(&b), b.len);
		cut += n;
	}
	if (cut < len) {
		memcpy(out.s + strlen(out.s), "...", 3);
	}
	return out;
}
