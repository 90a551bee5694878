/* SPDX-License-Identifier: Apache-2.0 */
/* Lock files. */
#include "front/cli/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/copies.h"
#include "front/cli/sandboxes.h"
#include "linux/machine.h"
#include "linux/packages.h"
#include "policy/plan.h"

#define LOCK_FORMAT 1

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* What is compared: the same of this host and this policy. */
static json_t *fixed_facts(const struct plan *plan, struct err *e)
{
	_cleanup_json_ json_t *packages = packages_facts();
	json_t *doc;

	if (!packages) {
		(void)err_sys(e, errno, "cannot read which packages this host has");
		return NULL;
	}
	doc = json_pack("{s:i, s:s, s:o, s:O, s:s}", "format", LOCK_FORMAT, "atoll", ATOLL_VERSION,
			"machine", machine_facts(), "packages", packages, "policy_digest",
			plan->policy_digest);
	if (!doc) {
		(void)no_memory(e);
	}
	return doc;
}

/* ---- what a run has installed ---- */

/* "NAME-VERSION.dist-info", as the packages of Python leave it (PEP 376). */
static int add_python(json_t *list, const char *name)
{
	static const char suffix[] = ".dist-info";
	size_t n = strlen(name);
	const char *dash = strchr(name, '-');

	if (n <= strlen(suffix) || strcmp(name + n - strlen(suffix), suffix) != 0 ||
	    dash >= name + n - strlen(suffix)) { /* that of the suffix: there is no version */
		return 0;
	}
	return json_array_append_new(
		list,
		json_pack("{s:o, s:o}", "name", json_text_n(name, (size_t)(dash - name)), "version",
			  json_text_n(dash + 1, n - strlen(suffix) - (size_t)(dash + 1 - name))));
}

/* A directory below node_modules, with its scope where it has one. */
static int add_node(json_t *list, const char *path)
{
	static const char place[] = "node_modules/";
	const char *at = NULL, *next = path;

	while ((next = strstr(next, place))) {
		next += strlen(place);
		at = next;
	}
	if (!at || *at == '.' ||
	    strchr(*at == '@' && strchr(at, '/') ? strchr(at, '/') + 1 : at, '/') ||
	    (*at == '@' && !strchr(at, '/'))) {
		return 0;
	}
	return json_array_append_new(list, json_pack("{s:o}", "name", json_text(at)));
}

/* By the directories that packages of Python and Node have added to a copy. */
static int add_installed(json_t *python, json_t *node, const char *copy, struct err *e)
{
	_cleanup_(review_done) struct review r = REVIEW_NONE;
	int n = review_open_any(&r, copy, e);

	n = n < 0 ? n : review_find(&r, false, e);
	for (size_t i = 0; i < r.changes.n && n >= 0; i++) {
		const struct change *c = &r.changes.list[i];
		const char *slash = strrchr(c->path, '/');

		if (c->kind == CHANGE_ADDED && S_ISDIR(c->after.mode) &&
		    (add_python(python, slash ? slash + 1 : c->path) < 0 ||
		     add_node(node, c->path) < 0)) {
			n = no_memory(e);
		}
	}
	return n < 0 ? n : 0;
}

/* The copy that is kept of the workspace, or of a further directory; NULL: there is none. */
static const char *kept_copy(const json_t *of)
{
	return json_is_true(json_object_get(of, "copy_kept"))
		       ? json_string_value(json_object_get(of, "sandbox"))
		       : NULL;
}

static int put_installed(json_t *doc, const json_t *result, struct err *e)
{
	_cleanup_json_ json_t *python = json_array(), *node = json_array();
	const json_t *further = json_object_get(result, "more"), *more;
	const char *copy = kept_copy(result);
	bool any = copy;
	size_t i;
	int n = copy ? add_installed(python, node, copy, e) : 0;

	json_array_foreach(further, i, more)
	{
		copy = kept_copy(more);
		any = any || copy;
		n = n < 0 || !copy ? n : add_installed(python, node, copy, e);
	}
	if (n >= 0 && any &&
	    json_put(doc, "installed", json_pack("{s:O, s:O}", "python", python, "node", node)) <
		    0) {
		n = no_memory(e);
	}
	return n;
}

/* ---- writing ---- */

static int put_rest(json_t *doc, const struct plan *plan, const json_t *result)
{
	char digest[DIGEST_HEX_SIZE];
	json_t *receipt = json_object_get(result, "receipt_digest");
	json_t *sandbox = json_object_get(result, "sandbox");
	json_t *command = json_object_get(result, "command");
	int r = plan_digest(plan, digest);

	r = r < 0 ? r : json_put(doc, "plan_digest", json_string(digest));
	r = r < 0 ? r
		  : json_put(doc, "receipt_digest", receipt ? json_incref(receipt) : json_null());
	r = r < 0 ? r : json_put(doc, "sandbox", sandbox ? json_incref(sandbox) : json_null());
	r = r < 0 ? r : json_put(doc, "command", command ? json_incref(command) : json_null());
	r = r < 0 ? r : json_put(doc, "data", json_array());
	r = r < 0 ? r : json_put(doc, "models", json_array());
	r = r < 0 ? r : json_put(doc, "seed", json_null());
	r = r < 0 ? r : json_put(doc, "clock", json_null());
	return r < 0 ? r
		     : json_put(doc, "absent",
				json_pack("{s:s, s:s, s:s, s:s}", "seed",
					  "this version gives a payload the kernel's own random "
					  "numbers",
					  "clock", "this version gives a payload the host's clock",
					  "models",
					  "this version does not look into requests, which would "
					  "show which ones answered",
					  "data", "this version has no data sets"));
}

int lock_write(const char *path, const struct plan *plan, const json_t *result, struct err *e)
{
	_cleanup_json_ json_t *doc = fixed_facts(plan, e), *where = plan_to_json(plan);
	int r = doc ? 0 : -e->code;

	if (r >= 0 && put_rest(doc, plan, result) < 0) {
		r = no_memory(e);
	}
	r = r < 0 ? r : put_installed(doc, result, e);
	if (r < 0) {
		return err_wrap(e, "cannot write the lock file");
	}
	/* The payload may have put something where it is to be written. */
	return where ? sandbox_write_report(path, where, doc, e) : no_memory(e);
}

/* ---- checking ---- */

static void say_value(struct buf *b, const json_t *value)
{
	char *text =
		value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	(void)buf_addf(b, "%.60s%s", text ? text : "nothing",
		       text && strlen(text) > 60 ? "..." : "");
	free(text);
}

/* What is there no more; at the top the lock file says more than is compared. */
static void compare_gone(struct buf *b, const char *name, const json_t *locked, const json_t *now)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)locked, key, value)
	{
		if (*name && !json_object_get(now, key)) {
			(void)buf_addf(b, "%s%s.%s was ", b->len > 0 ? "; " : "", name, key);
			say_value(b, value);
			(void)buf_adds(b, " and is nothing");
		}
	}
}

/* Each member that differs, those of objects by themselves. */
static void compare(struct buf *b, const char *name, const json_t *locked, const json_t *now)
{
	const char *key;
	json_t *value;

	if (json_is_object(locked) && json_is_object(now)) {
		json_object_foreach((json_t *)now, key, value)
		{
			char path[128];

			(void)snprintf(path, sizeof(path), "%s%s%s", name, *name ? "." : "", key);
			compare(b, path, json_object_get(locked, key), value);
		}
		compare_gone(b, name, locked, now);
		return;
	}
	if (locked && json_equal(locked, now)) {
		return;
	}
	(void)buf_addf(b, "%s%s was ", b->len > 0 ? "; " : "", name);
	say_value(b, locked);
	(void)buf_adds(b, " and is ");
	say_value(b, now);
}

int lock_check(const char *path, const struct plan *plan, struct err *e)
{
	_cleanup_json_ json_t *locked = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	_cleanup_json_ json_t *now = NULL;
	_cleanup_buf_ struct buf b = {};

	if (!json_is_object(locked)) {
		return err_set(e, ERR_USER, EBADMSG,
			       "cannot read a lock file from '%s'; 'atoll run --lock %s' makes one",
			       path, path);
	}
	now = fixed_facts(plan, e);
	if (!now) {
		return -e->code;
	}
	buf_init(&b, 4096);
	compare(&b, "", locked, now);
	return b.len > 0 || b.failed ? err_set(e, ERR_USER, ESTALE,
					       "this is not what '%s' was made with: %s; run it "
					       "without --locked, "
					       "or make a new lock file with --lock",
					       path, buf_str(&b))
				     : 0;
}
