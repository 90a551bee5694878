/* SPDX-License-Identifier: Apache-2.0 */
/* Making and removing scratch directories. */
#include "keeper/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "linux/tree.h"

#define PLACE "/tmp"

void scratch_init(struct scratch *s)
{
	*s = (struct scratch){.dir = FD_NONE};
}

static int open_place(struct err *e)
{
	int fd = open(PLACE, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(e, errno, "cannot open '%s' for the scratch directory", PLACE) : fd;
}

static void name_of(const char *id, char name[SCRATCH_PATH_SIZE])
{
	(void)snprintf(name, SCRATCH_PATH_SIZE, "atoll-%s", id);
}

/* A directory of the payload's own; *ret_made is true from the moment on that it is there. */
static int make_dir(int at, const char *name, uid_t uid, gid_t gid, bool *ret_made, struct err *e)
{
	_cleanup_fd_ int fd = FD_NONE;

	/* One that somebody else has made is nothing of ours, to use or to remove. */
	if (mkdirat(at, name, 0700) < 0) {
		return err_sys(e, errno, "cannot make the scratch directory '%s' in '%s'", name,
			       PLACE);
	}
	*ret_made = true;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0700) < 0 || (geteuid() == 0 && fchown(fd, uid, gid) < 0)) {
		return err_sys(e, errno, "cannot prepare the scratch directory '%s'", name);
	}
	return TAKE_FD(fd);
}

/* Without links: the payload's own tools will say it so. */
static int name_path(struct scratch *s, int place, struct err *e)
{
	char link[48], path[SCRATCH_PATH_SIZE];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	if (n <= 0 || (size_t)n + strlen(s->name) + sizeof("//home") > sizeof(s->home)) {
		return err_set(e, ERR_SYSTEM, ENAMETOOLONG, "'%s' leads too far away", PLACE);
	}
	(void)snprintf(s->path, sizeof(s->path), "%.*s/%.*s", (int)n, path,
		       (int)(sizeof(s->path) - (size_t)n - 8), s->name);
	(void)snprintf(s->home, sizeof(s->home), "%.*s/home", (int)sizeof(s->home) - 6, s->path);
	return 0;
}

/* True if the variable that `text` sets is set in `env`. */
static bool is_set(char *const *env, const char *text)
{
	size_t len = strcspn(text, "=") + 1;

	while (*env && strncmp(*env, text, len) != 0) {
		env++;
	}
	return *env != NULL;
}

static int add_environment(struct scratch *s, char *const *env, struct err *e)
{
	size_t n = 0, i;

	while (env[n]) {
		n++;
	}
	s->env = calloc(n + ARRAY_SIZE(s->own) + 1, sizeof(*s->env));
	if (!s->env || asprintf(&s->own[0], "HOME=%s", s->home) < 0 ||
	    asprintf(&s->own[1], "TMPDIR=%s/tmp", s->path) < 0 ||
	    /* A host's /etc/gitconfig that is there and cannot be read is fatal to git. */
	    !(s->own[2] = strdup("GIT_CONFIG_NOSYSTEM=1"))) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	memcpy(s->env, env, n * sizeof(*env));
	for (i = 0; i < ARRAY_SIZE(s->own); i++) {
		if (!is_set(env, s->own[i])) {
			s->env[n++] = s->own[i];
		}
	}
	return 0;
}

int scratch_name(struct scratch *s, const char *id, char *const *env, struct err *e)
{
	_cleanup_fd_ int place = open_place(e);
	int r = place;

	name_of(id, s->name);
	r = r < 0 ? r : name_path(s, place, e);
	return r < 0 ? r : add_environment(s, env, e);
}

int scratch_make(struct scratch *s, uid_t uid, gid_t gid, struct err *e)
{
	_cleanup_fd_ int place = open_place(e);
	static const char *const parts[] = {"tmp", "home"};
	size_t i;
	int r = place;

	if (r >= 0) {
		r = s->dir = make_dir(place, s->name, uid, gid, &s->made, e);
	}
	for (i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		r = make_dir(s->dir, parts[i], uid, gid, &s->made, e);
		(void)fd_close(r);
	}
	return r < 0 ? r : 0;
}

int scratch_remove(const char *id, struct err *e)
{
	_cleanup_fd_ int place = open_place(e);
	char name[SCRATCH_PATH_SIZE];

	name_of(id, name);
	return place < 0 ? place : tree_remove(place, name, e);
}

void scratch_done(struct scratch *s)
{
	size_t i;

	s->dir = fd_close(s->dir);
	for (i = 0; i < ARRAY_SIZE(s->own); i++) {
		free(s->own[i]);
	}
	free(s->env);
	scratch_init(s);
}
