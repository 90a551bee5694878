/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that may be executed. */
#include "policy/program.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/toolchain.h"
#include "policy/value.h"

#define KEY          "execution.allow"
#define PROGRAMS_MAX 4096 /* files that one policy may name through patterns */

static void cleanup_dir(DIR **d)
{
	if (*d) {
		(void)closedir(*d);
	}
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static bool has_glob(const char *s)
{
	return strpbrk(s, "*?[") != NULL;
}

static int add_path(const struct item *it, const char *path, const char *home,
		    struct plan_path **list, size_t *n, struct err *e)
{
	struct plan_path found = {};
	int r = path_resolve(KEY, &it->at, path, home, PATH_EXEC, &found, e);

	if (r < 0) {
		return r;
	}
	if (*n >= PROGRAMS_MAX) {
		plan_path_done(&found);
		return origin_fail(&it->at, e, "%s: more than %d programs", KEY, PROGRAMS_MAX);
	}
	return plan_paths_add(list, n, &found) < 0 ? no_memory(e) : 0;
}

/* The files of `dir` that match; *found counts them. A missing directory has none. */
static int add_matches(const struct item *it, const char *dir, const char *pattern,
		       const char *home, size_t *found, struct plan_path **list, size_t *n,
		       struct err *e)
{
	_cleanup_(cleanup_dir) DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d)) != NULL) {
		char path[PATH_MAX];
		struct stat st;
		int r;

		if (fnmatch(pattern, entry->d_name, FNM_PERIOD) != 0 ||
		    fstatat(dirfd(d), entry->d_name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		    (st.st_mode & 0111) == 0 ||
		    snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) >=
			    (int)sizeof(path)) {
			continue;
		}
		r = add_path(it, path, home, list, n, e);
		if (r < 0) {
			return r;
		}
		(*found)++;
	}
	return 0;
}

/* A pattern in the directory `above`; "*" alone stands for the directory itself. */
static int expand_in(const struct item *it, const char *above, const char *pattern,
		     const char *home, size_t *found, struct plan_path **list, size_t *n,
		     struct err *e)
{
	_cleanup_(plan_path_done) struct plan_path dir = {};
	int r;

	if (strcmp(pattern, "*") == 0) {
		*found = 1;
		return add_path(it, above, home, list, n, e);
	}
	r = path_resolve(KEY, &it->at, above, home, PATH_EXEC, &dir, e);
	return r < 0 ? r : add_matches(it, dir.path, pattern, home, found, list, n, e);
}

static int expand_pattern(const struct item *it, const struct search_path *search, const char *home,
			  struct plan_path **list, size_t *n, struct err *e)
{
	_cleanup_free_ char *above = text_dup(it->text);
	char *slash = above ? strrchr(above, '/') : NULL;
	size_t found = 0;
	int r = above ? 0 : no_memory(e);

	if (slash) {
		*slash = '\0';
		r = expand_in(it, slash == above ? "/" : above, slash + 1, home, &found, list, n,
			      e);
	}
	for (size_t i = 0; !slash && i < search->n && r >= 0; i++) {
		r = add_matches(it, search->dirs[i].path, it->text, home, &found, list, n, e);
	}
	if (r >= 0 && found == 0) {
		return origin_fail(&it->at, e, "%s: no program matches '%s'", KEY,
				   shown(it->text).s);
	}
	return r;
}

static int expand_name(const struct item *it, const struct search_path *search, const char *home,
		       struct plan_path **list, size_t *n, struct err *e)
{
	for (size_t i = 0; i < search->n; i++) {
		char path[PATH_MAX];
		struct stat st;

		if (snprintf(path, sizeof(path), "%s/%s", search->dirs[i].path, it->text) <
			    (int)sizeof(path) &&
		    stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0) {
			return add_path(it, path, home, list, n, e);
		}
	}
	return origin_fail(&it->at, e,
			   "%s: there is no program '%s' in PATH; install it, write its path, or "
			   "remove it from the list",
			   KEY, shown(it->text).s);
}

int program_expand(const struct item *it, const struct search_path *search, const char *home,
		   struct plan_path **list, size_t *n, struct err *e)
{
	if (has_glob(it->text)) {
		return expand_pattern(it, search, home, list, n, e);
	}
	if (strchr(it->text, '/') || it->text[0] == '~') {
		return add_path(it, it->text, home, list, n, e);
	}
	return expand_name(it, search, home, list, n, e);
}

/* The interpreter that a script names, or false. */
static bool script_interpreter(const char *path, char out[PATH_MAX])
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char head[256];
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
	size_t from, len;

	if (n < 3 || head[0] != '#' || head[1] != '!') {
		return false;
	}
	head[n] = '\0';
	from = 2 + strspn(head + 2, " \t");
	len = strcspn(head + from, " \t\r\n");
	if (head[from] != '/') {
		return false;
	}
	memcpy(out, head + from, len);
	out[len] = '\0';
	return true;
}

/* A script needs its interpreter, which nobody adds behind the back of whoever wrote the list. */
static int note_scripts(struct plan *p)
{
	for (size_t i = 0; i < p->n_exec; i++) {
		struct plan_path real = {};
		char interpreter[PATH_MAX];
		bool covered;
		int r = 0;

		if (p->exec[i].is_dir || !script_interpreter(p->exec[i].path, interpreter)) {
			continue;
		}
		covered = path_probe(interpreter, &real) >= 0 &&
			  plan_paths_cover(p->exec, p->n_exec, real.path);
		plan_path_done(&real);
		if (!covered) {
			r = plan_note(p,
				      "'%s' is a script for '%s', which execution.allow does not "
				      "list.",
				      shown(p->exec[i].path).s, shown(interpreter).s);
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

/* An allowed program that the payload may overwrite allows anything. */
static int note_changeable(struct plan *p)
{
	for (size_t i = 0; i < p->n_exec; i++) {
		if (plan_work_around(p, p->exec[i].path, WORKSPACE_COPY) &&
		    plan_note(p,
			      "'%s' of execution.allow lies in the workspace: the payload may "
			      "replace it by any program.",
			      shown(p->exec[i].path).s) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

int programs_fill(const struct value *allow, const struct search_path *search, struct plan *p,
		  struct err *e)
{
	int r;

	p->exec_any = !allow->set;
	for (size_t i = 0; i < allow->n_items; i++) {
		r = program_expand(&allow->items[i], search, p->identity.home, &p->exec, &p->n_exec,
				   e);
		if (r < 0) {
			return r;
		}
	}
	if (!p->exec_any && p->n_exec == 0) {
		return origin_fail(&allow->at, e,
				   "%s: nothing may be executed yet; list programs in the policy",
				   KEY);
	}
	/* Of the tool chains, those that an allowed program lives in. */
	for (size_t i = 0; i < search->n; i++) {
		const struct search_dir *d = &search->dirs[i];
		bool used = p->exec_any;

		for (size_t j = 0; j < p->n_exec && !used && d->chain; j++) {
			used = path_within(p->exec[j].path, d->root);
		}
		r = used ? search_dir_show(d, p, e) : 0;
		if (r < 0) {
			return r;
		}
	}
	return note_scripts(p) < 0 || note_changeable(p) < 0 ? no_memory(e) : 0;
}
