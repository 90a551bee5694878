/* SPDX-License-Identifier: Apache-2.0 */
/* The plan in memory: words, lists, release. */
#include "policy/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/schema.h"

static const char *word(enum key_id key, unsigned index)
{
	const struct schema_key *k = &schema_keys[key];

	return index < k->n_words ? k->words[index].word : "?";
}

const char *trust_name(enum trust t)
{
	return word(KEY_TRUST, (unsigned)t);
}

const char *provenance_name(enum provenance p)
{
	return word(KEY_PROVENANCE, (unsigned)p);
}

const char *tier_name(enum tier t)
{
	return word(KEY_TIER, (unsigned)t);
}

const char *workspace_mode_name(enum workspace_mode m)
{
	return word(KEY_WORKSPACE_MODE, (unsigned)m);
}

const char *syscall_profile_name(enum syscall_profile p)
{
	return word(KEY_SYSCALLS, (unsigned)p);
}

const char *limit_mechanism_name(enum limit_mechanism m)
{
	return word(KEY_MECHANISM, (unsigned)m);
}

int strings_add(char ***list, size_t *n, char *taken)
{
	char **grown = !taken || fault_hit() ? NULL : reallocarray(*list, *n + 2, sizeof(*grown));

	if (!grown) {
		free(taken);
		return -ENOMEM;
	}
	grown[(*n)++] = taken;
	grown[*n] = NULL;
	*list = grown;
	return 0;
}

void strings_free(char **list)
{
	for (size_t i = 0; list && list[i]; i++) {
		free(list[i]);
	}
	free(list);
}

int plan_note(struct plan *p, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = fault_hit() ? -1 : vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		return -ENOMEM;
	}
	for (size_t i = 0; i < p->n_notes; i++) {
		if (strcmp(p->notes[i], text) == 0) {
			free(text);
			return 0;
		}
	}
	return strings_add(&p->notes, &p->n_notes, text);
}

bool plan_paths_cover(const struct plan_path *list, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].path, path) == 0 ||
		    (list[i].is_dir && path_within(path, list[i].path))) {
			return true;
		}
	}
	return false;
}

int plan_paths_add(struct plan_path **list, size_t *n, struct plan_path *taken)
{
	struct plan_path *grown;

	if (plan_paths_cover(*list, *n, taken->path)) {
		plan_path_done(taken);
		return 0;
	}
	grown = fault_hit() ? NULL : reallocarray(*list, *n + 1, sizeof(*grown));
	if (!grown) {
		plan_path_done(taken);
		return -ENOMEM;
	}
	grown[(*n)++] = *taken;
	*list = grown;
	*taken = (struct plan_path){};
	return 0;
}

void plan_paths_free(struct plan_path *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		plan_path_done(&list[i]);
	}
	free(list);
}

void plan_done(struct plan *p)
{
	free(p->name);
	plan_path_done(&p->workspace);
	for (size_t i = 0; i < p->n_more; i++) {
		plan_path_done(&p->more[i].place);
	}
	plan_paths_free(p->read, p->n_read);
	strings_free(p->deny);
	strings_free(p->net);
	strings_free(p->net_deny);
	strings_free(p->scopes);
	plan_paths_free(p->exec, p->n_exec);
	free(p->identity.user);
	free(p->identity.home);
	strings_free(p->env);
	strings_free(p->inherited);
	free(p->owner);
	free(p->account);
	free(p->agent);
	free(p->purpose);
	free(p->review);
	strings_free(p->notes);
	json_decref(p->policy);
	json_decref(p->origins);
	*p = (struct plan){};
}

bool plan_has_gateway(const struct plan *p)
{
	return p->n_net > 0 || p->learn;
}
