/* SPDX-License-Identifier: Apache-2.0 */
/* Naming sandboxes, and finding them. */
#include "keeper/name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/reap.h"

#define NAMES "names"
#define FILE_ "name"

/* Shorter beginnings of ids are refused: they would come to mean another sandbox tomorrow. */
#define SHORTEST 3

static bool could_be_id(const char *word)
{
	return strncmp(word, "s-", 2) == 0;
}

bool name_is_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_LENGTH && strchr(letters, name[0]) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len && !could_be_id(name);
}

/* The directory of the names; where it is not there yet and nobody wants it made, -ENOENT. */
static int open_names(const struct state *s, bool make)
{
	int fd;

	if (make && mkdirat(s->home, NAMES, 0700) < 0 && errno != EEXIST) {
		return -errno;
	}
	fd = openat(s->home, NAMES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* What a name leads to, if that is there: true. */
static bool follow(const struct state *s, int names, const char *name, char id[STATE_ID_SIZE])
{
	char target[STATE_ID_SIZE] = {};
	struct stat st;

	if (readlinkat(names, name, target, sizeof(target) - 1) <= 0 || !could_be_id(target) ||
	    strchr(target, '/') || fstatat(s->sandboxes, target, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode)) {
		return false;
	}
	memcpy(id, target, sizeof(target));
	return true;
}

static int link_name(const struct state *s, const struct state_sandbox *sb, const char *name,
		     struct err *e)
{
	_cleanup_fd_ int names = open_names(s, true);
	char id[STATE_ID_SIZE];

	if (names < 0) {
		return err_sys(e, -names, "cannot open the names of sandboxes");
	}
	if (follow(s, names, name, id)) {
		return err_set(e, ERR_USER, EEXIST,
			       "sandbox %s has the name '%s' already; 'atoll rm %s' removes it", id,
			       name, name);
	}
	(void)unlinkat(names, name, 0); /* of one that is no more */
	return symlinkat(sb->id, names, name) < 0
		       ? err_sys(e, errno, "cannot name sandbox %s '%s'", sb->id, name)
		       : 0;
}

/* Of a sandbox whose keeper is dead; it may be one of many that nobody has looked at yet. */
static int free_name(const struct state *s, const char *name, struct err *e)
{
	_cleanup_fd_ int names = open_names(s, false);
	char id[STATE_ID_SIZE];

	return names >= 0 && follow(s, names, name, id) ? reap_sandbox(s, id, e) : 0;
}

int name_claim(const struct state *s, const struct state_sandbox *sb, const char *name,
	       struct err *e)
{
	int r;

	if (!name_is_valid(name)) {
		return err_set(e, ERR_USER, EINVAL,
			       "'%s' cannot be a name: lower-case letters, digits, '-', '_' and "
			       "'.', at most %d, and not beginning with 's-'",
			       name, NAME_MAX_LENGTH);
	}
	/* First the file: whoever finds us dead knows what to take back. */
	r = state_write(sb, FILE_, name, strlen(name), e);
	if (r < 0) {
		return r;
	}
	r = free_name(s, name, e);
	if (r < 0) {
		return r;
	}
	if (flock(s->sandboxes, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock the state directory");
	}
	r = link_name(s, sb, name, e);
	(void)flock(s->sandboxes, LOCK_UN);
	return r;
}

void name_read(int dir, char name[NAME_MAX_LENGTH + 1])
{
	_cleanup_fd_ int fd = openat(dir, FILE_, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, name, NAME_MAX_LENGTH);

	name[n > 0 ? n : 0] = '\0';
	if (*name && !name_is_valid(name)) {
		*name = '\0';
	}
}

void name_release(const struct state *s, const struct state_sandbox *sb)
{
	char name[NAME_MAX_LENGTH + 1], id[STATE_ID_SIZE];
	_cleanup_fd_ int names = FD_NONE;

	name_read(sb->dir, name);
	if (!*name) {
		return;
	}
	names = open_names(s, false);
	if (names >= 0 && follow(s, names, name, id) && strcmp(id, sb->id) == 0) {
		(void)unlinkat(names, name, 0);
	}
}

/* The only id that begins so. */
static int find_prefix(const struct state *s, const char *word, char id[STATE_ID_SIZE],
		       struct err *e)
{
	int copy = openat(s->sandboxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	size_t found = 0, len = strlen(word);
	struct dirent *d;

	if (!dir) {
		(void)fd_close(copy);
		return err_sys(e, errno, "cannot list the state directory");
	}
	while (len >= SHORTEST && (d = readdir(dir))) {
		const char *name = d->d_name;

		if (!could_be_id(name) || strlen(name) >= STATE_ID_SIZE || strchr(name, '.')) {
			continue; /* copies of further directories have no beginning of their own */
		}
		if (strncmp(name, word, len) == 0 || strncmp(name + 2, word, len) == 0) {
			(void)snprintf(id, STATE_ID_SIZE, "%s", name);
			found++;
		}
	}
	(void)closedir(dir);
	if (found > 1) {
		return err_set(e, ERR_USER, ENOTUNIQ,
			       "'%s' is the beginning of %zu sandboxes' ids; give more of it", word,
			       found);
	}
	return found == 1 ? 0
			  : err_set(e, ERR_USER, ENOENT,
				    "there is no sandbox '%s'; 'atoll ps' lists those that run, "
				    "'atoll ps --kept' those whose copy waits",
				    word);
}

/* The copy of a further directory: the name of its sandbox, or the beginning of its id, and ".N".
 */
static bool find_more(const struct state *s, const char *word, char id[STATE_ID_SIZE])
{
	const char *dot = strrchr(word, '.');
	char of[NAME_MAX_LENGTH + 1], whole[2 * STATE_ID_SIZE];
	struct err unused = {};
	struct stat st;

	if (!dot || dot[1] < '1' || dot[1] > '9' || dot[2] != '\0' ||
	    (size_t)(dot - word) >= sizeof(of)) {
		return false;
	}
	memcpy(of, word, (size_t)(dot - word));
	of[dot - word] = '\0';
	if (name_find(s, of, id, &unused) < 0) {
		return false;
	}
	(void)snprintf(whole, sizeof(whole), "%s%s", id, dot);
	if (strlen(whole) >= STATE_ID_SIZE ||
	    fstatat(s->sandboxes, whole, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return false;
	}
	memcpy(id, whole, strlen(whole) + 1);
	return true;
}

int name_find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e)
{
	_cleanup_fd_ int names = FD_NONE;
	struct stat st;

	if (could_be_id(word) && strlen(word) < STATE_ID_SIZE && !strchr(word, '/') &&
	    fstatat(s->sandboxes, word, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		(void)snprintf(id, STATE_ID_SIZE, "%s", word);
		return 0;
	}
	if (name_is_valid(word)) {
		char other[STATE_ID_SIZE];

		names = open_names(s, false);
		if (names >= 0 && follow(s, names, word, id)) {
			return find_more(s, word, other)
				       ? err_set(e, ERR_USER, ENOTUNIQ,
						 "'%s' is the name of sandbox %s, and copy %s of "
						 "another one; give its id",
						 word, id, other)
				       : 0;
		}
	}
	if (strchr(word, '/') || word[0] == '.') {
		return err_set(e, ERR_USER, ENOENT, "there is no sandbox '%s'", word);
	}
	if (find_more(s, word, id)) {
		return 0;
	}
	return find_prefix(s, word, id, e);
}
