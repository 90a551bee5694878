/* SPDX-License-Identifier: Apache-2.0 */
/* Keys on the disk. */
#include "record/key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "record/checkpoint.h"

#define DIRECTORY "keys"
#define SECRET    "trail.pem"
#define PREFIX    "trail-"
#define SUFFIX    ".pub"
#define DIGITS    16

/* Of HOME/keys, made where it is not there. */
static int open_keys(int home, bool make, struct err *e)
{
	int fd;

	if (make && mkdirat(home, DIRECTORY, 0700) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make the directory of keys");
	}
	fd = openat(home, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		return !make && errno == ENOENT
			       ? -ENOENT
			       : err_sys(e, errno, "cannot open the directory of keys");
	}
	return fd;
}

/* Whole or not at all, and in the place of what is there. */
static int put(int dir, const char *name, const char *text, mode_t mode, struct err *e)
{
	_cleanup_fd_ int fd = FD_NONE;
	char building[64];
	int r;

	(void)snprintf(building, sizeof(building), ".%s.new", name);
	(void)unlinkat(dir, building, 0);
	fd = openat(dir, building, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	r = fd < 0 ? -errno : buf_write_fd(fd, text, strlen(text));
	if (r >= 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0 ||
		       renameat(dir, building, dir, name) < 0 || fsync(dir) < 0)) {
		r = -errno;
	}
	return r < 0 ? err_sys(e, -r, "cannot write the key '%s'", name) : 0;
}

/* Nobody who reads the private key misses the public one: that comes first. */
static int make(int dir, struct err *e)
{
	char pem[SIGN_PEM_SIZE], id[DIGEST_HEX_SIZE], name[64];
	struct sign_key k;
	int r = sign_generate(&k);

	if (r < 0) {
		return err_sys(e, -r, "cannot make a key");
	}
	checkpoint_key(k.public, id);
	(void)snprintf(name, sizeof(name), PREFIX "%.*s" SUFFIX, DIGITS, id);
	sign_public_to_pem(k.public, pem);
	r = put(dir, name, pem, 0644, e);
	if (r >= 0) {
		sign_secret_to_pem(&k, pem);
		r = put(dir, SECRET, pem, 0600, e);
	}
	explicit_bzero(pem, sizeof(pem));
	sign_key_done(&k);
	return r;
}

int key_need(int home, struct err *e)
{
	_cleanup_fd_ int dir = FD_NONE;
	int r = 0;

	/* What every start asks, but the first. */
	if (faccessat(home, DIRECTORY "/" SECRET, R_OK, AT_EACCESS) == 0) {
		return 0;
	}
	dir = open_keys(home, true, e);
	if (dir < 0) {
		return dir;
	}
	/* Of two first starts one makes it. */
	if (flock(dir, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock the directory of keys");
	}
	if (faccessat(dir, SECRET, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		r = errno == ENOENT ? make(dir, e) : err_sys(e, errno, "cannot look for the key");
	} else if (faccessat(dir, SECRET, R_OK, AT_EACCESS) < 0) {
		r = err_sys(e, errno, "the key of this installation cannot be read");
	}
	return r;
}

int key_rotate(int home, struct err *e)
{
	_cleanup_fd_ int dir = open_keys(home, true, e);

	if (dir < 0) {
		return dir;
	}
	return flock(dir, LOCK_EX) < 0 ? err_sys(e, errno, "cannot lock the directory of keys")
				       : make(dir, e);
}

static int read_pem(int dir, const char *name, char pem[SIGN_PEM_SIZE], bool secret, struct err *e)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot open the key '%s'", name);
	}
	if (!S_ISREG(st.st_mode) || (secret && (st.st_mode & 077 || st.st_uid != geteuid()))) {
		return err_set(e, ERR_SYSTEM, EPERM,
			       "the key '%s' is not a file of this user's alone; make it so with "
			       "chmod 600, or 'atoll audit key --rotate' if others have read it",
			       name);
	}
	n = read(fd, pem, SIGN_PEM_SIZE - 1);
	pem[n > 0 ? n : 0] = '\0';
	return n < 0 ? err_sys(e, errno, "cannot read the key '%s'", name) : 0;
}

int key_load(int home, struct sign_key *ret, struct err *e)
{
	_cleanup_fd_ int dir = open_keys(home, false, e);
	char pem[SIGN_PEM_SIZE];
	int r;

	if (dir < 0) {
		return dir == -ENOENT ? err_set(e, ERR_SYSTEM, ENOENT,
						"this installation has no key to sign with")
				      : dir;
	}
	r = read_pem(dir, SECRET, pem, true, e);
	if (r >= 0 && !sign_secret_from_pem(pem, ret)) {
		r = err_set(e, ERR_SYSTEM, EBADMSG,
			    "'keys/" SECRET "' is no Ed25519 key; 'atoll audit key --rotate' makes "
			    "a new one");
	}
	explicit_bzero(pem, sizeof(pem));
	return r;
}

static int add(struct key_list *list, const uint8_t key[SIGN_KEY_SIZE], struct err *e)
{
	if (list->n == KEY_MAX) {
		return err_set(e, ERR_SYSTEM, E2BIG, "there are more than %d public keys", KEY_MAX);
	}
	memcpy(list->keys[list->n++], key, SIGN_KEY_SIZE);
	return 0;
}

int key_read(const char *path, struct key_list *list, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {};
	uint8_t key[SIGN_KEY_SIZE];
	int r;

	buf_init(&b, SIGN_PEM_SIZE);
	r = fd < 0 ? -errno : buf_read_fd(&b, fd);
	if (r < 0 && r != -E2BIG) {
		return err_sys(e, -r, "cannot read the key '%s'", path);
	}
	return r >= 0 && sign_public_from_pem(buf_str(&b), key)
		       ? add(list, key, e)
		       : err_set(e, ERR_USER, EBADMSG,
				 "'%s' is no public key of Ed25519 in PEM ('atoll audit key')",
				 path);
}

bool key_is_name(const char *text)
{
	uint8_t raw[DIGEST_SIZE];

	return strlen(text) == DIGEST_HEX_SIZE - 1 && hex_decode(text, DIGEST_SIZE, raw);
}

int key_pick(const struct key_list *from, const char *name, struct key_list *list, struct err *e)
{
	char own[DIGEST_HEX_SIZE];

	for (size_t i = 0; i < from->n; i++) {
		checkpoint_key(from->keys[i], own);
		if (strcmp(own, name) == 0) {
			return add(list, from->keys[i], e);
		}
	}
	return err_set(e, ERR_USER, ENOENT,
		       "this installation has no public key %.16s...; give it by --key", name);
}

static bool is_public(const char *name)
{
	size_t n = strlen(name);

	return n > strlen(PREFIX SUFFIX) && strncmp(name, PREFIX, strlen(PREFIX)) == 0 &&
	       strcmp(name + n - strlen(SUFFIX), SUFFIX) == 0;
}

int key_list(int home, struct key_list *ret, struct err *e)
{
	int fd = open_keys(home, false, e), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;
	char pem[SIGN_PEM_SIZE];

	*ret = (struct key_list){};
	if (!dir) {
		(void)fd_close(fd);
		return fd == -ENOENT ? 0 : fd < 0 ? fd : err_sys(e, errno, "cannot list the keys");
	}
	while (r >= 0 && (d = readdir(dir))) {
		if (!is_public(d->d_name)) {
			continue;
		}
		r = read_pem(fd, d->d_name, pem, false, e);
		if (r < 0 || ret->n == KEY_MAX) {
			r = r < 0 ? r
				  : err_set(e, ERR_SYSTEM, E2BIG,
					    "there are more than %d public keys", KEY_MAX);
		} else if (!sign_public_from_pem(pem, ret->keys[ret->n++])) {
			r = err_set(e, ERR_SYSTEM, EBADMSG, "'keys/%s' is no public key",
				    d->d_name);
		}
	}
	(void)closedir(dir);
	return r;
}
