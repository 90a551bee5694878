/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tool chains outside /usr. Version managers install under HOME beside files that hold tokens, so
 * each is shown by the places that programs need and nothing else: ~/.cargo/bin, not ~/.cargo with
 * its credentials.toml. A directory of PATH that belongs to no row is dropped; exit 127 then says
 * what to add to filesystem.read.
 */
#include "policy/toolchain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/value.h"

#define SEARCH_DIRS_MAX 64
#define PLACES_MAX      6

struct toolchain {
	const char *name;
	const char *under; /* a directory of PATH below this; "~/" is HOME */
	bool one_level;    /* the root is the first directory below `under`: /opt/NAME */
	const char *places[PLACES_MAX]; /* relative to the root; "." is the root itself */
};

static const struct toolchain toolchains[] = {
	{"nvm", "~/.nvm/versions", false, {"."}},
	{"fnm", "~/.local/share/fnm", false, {"."}},
	{"volta", "~/.volta", false, {"bin", "tools"}},
	{"pyenv", "~/.pyenv", false, {"."}},
	{"rbenv", "~/.rbenv", false, {"."}},
	{"asdf", "~/.asdf", false, {"."}},
	{"mise", "~/.local/share/mise", false, {"."}},
	{"cargo", "~/.cargo/bin", false, {".", "../../.rustup"}},
	{"rustup", "~/.rustup", false, {"."}},
	{"sdkman", "~/.sdkman/candidates", false, {"."}},
	{"go", "~/go/bin", false, {".", "../pkg/mod"}},
	{"go", "~/sdk", true, {"."}},
	{"bun", "~/.bun/bin", false, {"."}},
	{"deno", "~/.deno/bin", false, {"."}},
	{"local",
	 "~/.local/bin",
	 false,
	 {".", "../lib", "../pipx", "../share/pipx", "../share/uv"}},
	{"opt", "/opt", true, {"."}},
	{"nix", "/nix/store", false, {"."}},
	{"linuxbrew", "/home/linuxbrew/.linuxbrew", false, {"."}},
	{"snap", "/snap", false, {"."}},
};

static const char *const standard_dirs[] = {
	"/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin",
};

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

void search_path_done(struct search_path *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->dirs[i].path);
		free(s->dirs[i].root);
	}
	free(s->dirs);
	*s = (struct search_path){};
}

static bool has_dir(const struct search_path *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->dirs[i].path, path) == 0) {
			return true;
		}
	}
	return false;
}

/* Takes `root`. */
static int add_dir(struct search_path *s, const char *path, const struct toolchain *chain,
		   char *root)
{
	struct search_dir *dirs;
	char *copy = text_dup(path);

	dirs = fault_hit() || !copy ? NULL : reallocarray(s->dirs, s->n + 1, sizeof(*dirs));
	if (!dirs) {
		free(copy);
		free(root);
		return -ENOMEM;
	}
	dirs[s->n++] = (struct search_dir){.path = copy, .chain = chain, .root = root};
	s->dirs = dirs;
	return 0;
}

/* The root of `chain` when the canonical directory `path` belongs to it. 1, 0 or -ENOMEM. */
static int chain_root(const struct toolchain *chain, const char *path, const char *home, char **ret)
{
	bool at_home = chain->under[0] == '~';
	char *root = NULL;
	size_t len;
	int n = fault_hit() ? -1
			    : asprintf(&root, "%s%s", at_home ? home : "",
				       chain->under + (at_home ? 1 : 0));

	if (n < 0) {
		return -ENOMEM;
	}
	len = strlen(root);
	if (!path_within(path, root) || (chain->one_level && path[len] == '\0')) {
		free(root);
		return 0;
	}
	if (chain->one_level) {
		len += 1 + strcspn(path + len + 1, "/");
		free(root);
		root = fault_hit() ? NULL : strndup(path, len);
		if (!root) {
			return -ENOMEM;
		}
	}
	*ret = root;
	return 1;
}

/* A directory outside the host view: in the path when a row of the table knows it. */
static int take_foreign(const char *dir, const char *home, const struct plan *p,
			struct search_path *s)
{
	_cleanup_(plan_path_done) struct plan_path real = {};

	if (path_probe(dir, &real) < 0 || !real.is_dir ||
	    !utf8_valid(real.path, strlen(real.path)) || has_dir(s, real.path) ||
	    plan_work_around(p, real.path, WORKSPACE_READ_ONLY)) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(toolchains); i++) {
		char *root = NULL;
		int r = chain_root(&toolchains[i], real.path, home, &root);

		if (r != 0) {
			return r < 0 ? r : add_dir(s, real.path, &toolchains[i], root);
		}
	}
	return 0;
}

/* One directory of the caller's PATH. */
static int take_dir(const char *dir, const char *home, struct plan *p, struct search_path *s)
{
	struct stat st;

	if (!path_is_clean(dir) || has_dir(s, dir) || stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
		return 0;
	}
	if ((st.st_mode & S_IWOTH) != 0) {
		return plan_note(p, "'%s' is left out of PATH because everybody may write there.",
				 shown(dir).s);
	}
	if (plan_work_around(p, dir, WORKSPACE_READ_ONLY)) {
		return 0;
	}
	if (path_is_system(dir)) {
		return add_dir(s, dir, NULL, NULL);
	}
	return home ? take_foreign(dir, home, p, s) : 0;
}

int search_path_init(const char *caller_path, const char *home, struct plan *p,
		     struct search_path *ret, struct err *e)
{
	_cleanup_(search_path_done) struct search_path s = {};
	_cleanup_free_ char *copy = text_dup(caller_path ? caller_path : "");
	char *rest = copy;
	int r = 0;

	if (!copy) {
		return no_memory(e);
	}
	while (rest && s.n < SEARCH_DIRS_MAX && r >= 0) {
		char *dir = strsep(&rest, ":");
		size_t len = strlen(dir);

		while (len > 1 && dir[len - 1] == '/') {
			dir[--len] = '\0';
		}
		r = take_dir(dir, home, p, &s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(standard_dirs) && r >= 0; i++) {
		r = has_dir(&s, standard_dirs[i]) ? 0 : add_dir(&s, standard_dirs[i], NULL, NULL);
	}
	if (r < 0) {
		return no_memory(e);
	}
	*ret = s;
	s = (struct search_path){};
	return 0;
}

char *search_path_text(const struct search_path *s)
{
	struct buf b;

	buf_init(&b, 1024 * 1024);
	for (size_t i = 0; i < s->n; i++) {
		(void)buf_adds(&b, i > 0 ? ":" : "");
		(void)buf_adds(&b, s->dirs[i].path);
	}
	return buf_take(&b);
}

/* One place of a chain that exists is added; the others are not installed. */
static int show_place(const char *place, struct plan *p)
{
	struct plan_path found = {};
	int r;

	/* Shown already: no need to look. Only clean paths can be compared as text. */
	if (path_is_clean(place) && plan_paths_cover(p->read, p->n_read, place)) {
		return 0;
	}
	r = path_probe(place, &found);
	if (r == -ENOMEM) {
		return r;
	}
	return r < 0 ? 0 : plan_paths_add(&p->read, &p->n_read, &found);
}

int search_dir_show(const struct search_dir *d, struct plan *p, struct err *e)
{
	for (size_t i = 0; d->chain && i < PLACES_MAX && d->chain->places[i]; i++) {
		const char *rest = d->chain->places[i];
		_cleanup_free_ char *place = NULL;

		if (fault_hit() || asprintf(&place, "%s%s%s", d->root, strcmp(rest, ".") ? "/" : "",
					    strcmp(rest, ".") ? rest : "") < 0) {
			place = NULL;
			return no_memory(e);
		}
		if (show_place(place, p) < 0) {
			return no_memory(e);
		}
	}
	return 0;
}
