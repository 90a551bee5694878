/* SPDX-License-Identifier: Apache-2.0 */
/* Identity and environment of the payload. */
#include "policy/identity.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "policy/path.h"
#include "policy/plan-internal.h"
#include "policy/value.h"

#define PASSWD_MAX      (4 * 1024 * 1024)
#define UNPRIVILEGED_ID 1000
#define FALLBACK_USER   "user"
#define TERM_MAX        64
#define PASSWD_NAME_MAX 32
#define INHERITED_MAX   (128 * 1024)  /* MAX_ARG_STRLEN of execve(2) */
#define ENVIRONMENT_MAX (1024 * 1024) /* half of what execve(2) takes with the usual stack */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

const char *environ_get(char *const *environ, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; environ && environ[i]; i++) {
		if (strncmp(environ[i], name, len) == 0 && environ[i][len] == '=') {
			return environ[i] + len + 1;
		}
	}
	return NULL;
}

/* A name that can stand in a passwd line and in a path. */
static bool user_is_usable(const char *name, size_t len)
{
	if (len == 0 || len > PASSWD_NAME_MAX || name[0] == '-' || name[0] == '.') {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    !strchr("._-", c)) {
			return false;
		}
	}
	return true;
}

/* The fields of the passwd line of `uid`; false when there is none. Cuts the text up. */
static bool find_passwd(char *text, uid_t uid, char **ret_user, char **ret_home)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *field[7], *rest = line;
		char number[16];
		size_t n = 0;

		while (n < ARRAY_SIZE(field) && (field[n] = strsep(&rest, ":")) != NULL) {
			n++;
		}
		(void)snprintf(number, sizeof(number), "%u", (unsigned)uid);
		if (n == ARRAY_SIZE(field) && strcmp(field[2], number) == 0) {
			*ret_user = field[0];
			*ret_home = field[5];
			return true;
		}
	}
	return false;
}

/* A place for an empty HOME: not the root, not where the view has something of its own. */
static bool home_is_usable(const char *home)
{
	static const char *const taken[] = {"/etc", "/proc", "/sys", "/dev", "/run"};

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		if (path_within(home, taken[i])) {
			return false;
		}
	}
	return path_is_clean(home) && strcmp(home, "/") != 0 && strcmp(home, "/tmp") != 0 &&
	       !path_is_system(home) && utf8_valid(home, strlen(home));
}

/* HOME without final slashes. */
static char *trimmed(const char *home)
{
	char *copy = text_dup(home);
	size_t len = copy ? strlen(copy) : 0;

	while (len > 1 && copy[len - 1] == '/') {
		copy[--len] = '\0';
	}
	return copy;
}

static int take_home(const char *from_environ, const char *from_passwd, const char *user,
		     char **ret, struct err *e)
{
	const char *home = from_environ && from_environ[0] == '/' ? from_environ : from_passwd;
	_cleanup_free_ char *clean = trimmed(home ? home : "");
	char *made = NULL;

	if (!clean) {
		return no_memory(e);
	}
	if (home_is_usable(clean)) {
		*ret = TAKE_PTR(clean);
		return 0;
	}
	if (fault_hit() || asprintf(&made, "/home/%s", user) < 0) {
		return no_memory(e);
	}
	*ret = made;
	return 0;
}

int identity_fill(char *const *environ, struct plan_identity *ret, struct err *e)
{
	_cleanup_buf_ struct buf passwd = {};
	_cleanup_free_ char *name = NULL;
	_cleanup_fd_ int fd = FD_NONE;
	char *user = NULL, *home = NULL;
	uid_t uid = getuid();
	int r;

	buf_init(&passwd, PASSWD_MAX);
	if (uid != 0) {
		fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && buf_read_fd(&passwd, fd) >= 0 && passwd.data) {
			(void)find_passwd(passwd.data, uid, &user, &home);
		}
	}
	if (!user || !user_is_usable(user, strlen(user))) {
		user = (char *)FALLBACK_USER;
	}
	name = text_dup(user);
	if (!name) {
		return no_memory(e);
	}
	*ret = (struct plan_identity){.uid = uid != 0 ? uid : UNPRIVILEGED_ID,
				      .gid = uid != 0 ? getgid() : UNPRIVILEGED_ID,
				      .from_root = uid == 0};
	r = take_home(environ_get(environ, "HOME"), uid == 0 ? "/root" : home, name, &ret->home, e);
	if (r < 0) {
		return r;
	}
	ret->user = TAKE_PTR(name);
	return 0;
}

const char *environment_declared_path(const struct value *declared)
{
	for (size_t i = 0; i < declared->n_items; i++) {
		if (strcmp(declared->items[i].name, "PATH") == 0) {
			return declared->items[i].text;
		}
	}
	return NULL;
}

/* Sets NAME=VALUE, replacing an earlier one of that name. */
static int put(struct plan *p, const char *name, const char *value, struct err *e)
{
	size_t len = strlen(name);
	char *text = NULL;

	if (fault_hit() || asprintf(&text, "%s=%s", name, value) < 0) {
		return no_memory(e);
	}
	for (size_t i = 0; i < p->n_env; i++) {
		if (strncmp(p->env[i], name, len) == 0 && p->env[i][len] == '=') {
			free(p->env[i]);
			p->env[i] = text;
			return 0;
		}
	}
	return strings_add(&p->env, &p->n_env, text) < 0 ? no_memory(e) : 0;
}

bool environ_term_is_plain(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= TERM_MAX && s[0] != '.' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-") ==
		       len;
}

static int put_standard(char *const *environ, const char *path, struct plan *p, struct err *e)
{
	static const char *const of_terminal[] = {"TERM", "COLORTERM"};
	const struct {
		const char *name, *value;
	} standard[] = {
		{"PATH", path},       {"USER", p->identity.user}, {"LOGNAME", p->identity.user},
		{"SHELL", "/bin/sh"}, {"LANG", "C.UTF-8"},        {"HOME", p->identity.home},
	};
	/* At the process tier the home directory is the caller's own; the keeper makes one.
	 */
	const size_t n = ARRAY_SIZE(standard) - (p->tier == TIER_PROCESS);
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		r = put(p, standard[i].name, standard[i].value, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_terminal) && r >= 0; i++) {
		const char *value = environ_get(environ, of_terminal[i]);

		if (value && environ_term_is_plain(value)) {
			r = put(p, of_terminal[i], value, e);
		}
	}
	return r;
}

/* A variable of the caller that the policy asks for. Absent: not set inside either. */
static int put_inherited(char *const *environ, const struct item *it, struct plan *p, struct err *e)
{
	const char *value = environ_get(environ, it->name);

	if (!value || strcmp(it->name, "PATH") == 0) {
		return 0; /* PATH has been filtered and is there */
	}
	if (strlen(value) >= INHERITED_MAX) {
		return origin_fail(&it->at, e, "data.env: the value of %s is too long", it->name);
	}
	if (!utf8_valid(value, strlen(value))) {
		return origin_fail(&it->at, e, "data.env: the value of %s is not UTF-8", it->name);
	}
	if (strings_add(&p->inherited, &p->n_inherited, text_dup(it->name)) < 0) {
		return no_memory(e);
	}
	return put(p, it->name, value, e);
}

int environment_fill(char *const *environ, const struct value *declared, const char *path,
		     struct plan *p, struct err *e)
{
	int r = put_standard(environ, path, p, e);
	size_t total = 0;

	for (size_t i = 0; i < declared->n_items && r >= 0; i++) {
		const struct item *it = &declared->items[i];

		r = it->text ? put(p, it->name, it->text, e) : put_inherited(environ, it, p, e);
	}
	for (size_t i = 0; i < p->n_env; i++) {
		total += strlen(p->env[i]) + 1;
	}
	if (r >= 0 && total > ENVIRONMENT_MAX) {
		return origin_fail(&declared->at, e,
				   "data.env: the variables are larger than 1 MiB together");
	}
	return r;
}
