/* SPDX-License-Identifier: Apache-2.0 */
/* Trees as streams. */
#include "linux/parcel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct parcel_entry) == 16, "the same on both sides");

/* ---- sending ---- */

struct sender {
	int out;
	size_t len;
	char data[PARCEL_CHUNK];
};

static int flush(struct sender *s)
{
	size_t done = 0;

	while (done < s->len) {
		ssize_t n = write(s->out, s->data + done, s->len - done);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	s->len = 0;
	return 0;
}

static int put(struct sender *s, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		size_t n = sizeof(s->data) - s->len < len ? sizeof(s->data) - s->len : len;
		int r;

		memcpy(s->data + s->len, p, n);
		s->len += n;
		p += n;
		len -= n;
		r = s->len == sizeof(s->data) ? flush(s) : 0;
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int put_entry(struct sender *s, char op, const char *name, uint32_t mode, uint64_t len)
{
	struct parcel_entry entry = {
		.op = (uint8_t)op, .name_len = (uint16_t)strlen(name), .mode = mode, .len = len};
	int r = put(s, &entry, sizeof(entry));

	return r < 0 ? r : put(s, name, entry.name_len);
}

static int put_chunk(struct sender *s, uint32_t len, const void *data)
{
	int r = put(s, &len, sizeof(len));

	return r < 0 || len == PARCEL_BROKEN ? r : put(s, data, len);
}

/* Takes the descriptor of a regular file. */
static int send_file(struct sender *s, int fd, const char *name, mode_t mode)
{
	char *data = malloc(PARCEL_CHUNK);
	int r = data ? put_entry(s, 'F', name, mode & 0777, 0) : -ENOMEM;

	while (r >= 0) {
		ssize_t n = read(fd, data, PARCEL_CHUNK);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		r = put_chunk(s, n < 0 ? PARCEL_BROKEN : (uint32_t)n, data);
		if (n <= 0) {
			break;
		}
	}
	free(data);
	(void)close(fd);
	return r;
}

static int send_link(struct sender *s, int at, const char *name)
{
	char target[PARCEL_LINK + 1];
	ssize_t n = readlinkat(at, name, target, sizeof(target));
	int r;

	if (n < 0 || n > PARCEL_LINK) {
		return put_entry(s, 'E', name, n < 0 ? (uint32_t)errno : ENAMETOOLONG, 0);
	}
	r = put_entry(s, 'L', name, 0, (uint64_t)n);
	return r < 0 ? r : put(s, target, (size_t)n);
}

static int send_name(struct sender *s, int at, const char *name, int depth);

/* Takes the descriptor. */
static int send_dir(struct sender *s, int fd, const char *name, mode_t mode, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int r;

	if (!dir) {
		r = put_entry(s, 'E', name, (uint32_t)errno, 0);
		(void)close(fd);
		return r;
	}
	r = put_entry(s, 'D', name, mode & 0777, 0);
	while (r >= 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			r = send_name(s, dirfd(dir), entry->d_name, depth + 1);
		}
	}
	(void)closedir(dir);
	return r < 0 ? r : put_entry(s, 'U', "", 0, 0);
}

/* What was opened is what counts: the name may be something else by now. Takes the descriptor. */
static int send_open(struct sender *s, int fd, const char *name, int depth)
{
	struct stat st;
	int r;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		return send_file(s, fd, name, st.st_mode);
	}
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		return send_dir(s, fd, name, st.st_mode, depth);
	}
	r = put_entry(s, 'S', name, 0, 0);
	(void)close(fd);
	return r;
}

static int send_name(struct sender *s, int at, const char *name, int depth)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st;
	int fd;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : put_entry(s, 'E', name, (uint32_t)errno, 0);
	}
	if (S_ISLNK(st.st_mode)) {
		return send_link(s, at, name);
	}
	/* A pipe or a device is not even opened, unless it takes a file's place at this moment. */
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		return put_entry(s, 'S', name, 0, 0);
	}
	if (S_ISDIR(st.st_mode) && depth >= PARCEL_DEPTH) {
		return put_entry(s, 'E', name, ELOOP, 0);
	}
	fd = openat(at, name, flags);
	return fd < 0 ? put_entry(s, 'E', name, (uint32_t)errno, 0) : send_open(s, fd, name, depth);
}

/* The last part of a path, which its slashes at the end do not belong to. */
static size_t base_of(const char *path, size_t *ret_len)
{
	size_t end = strlen(path), begin;

	while (end > 1 && path[end - 1] == '/') {
		end--;
	}
	for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--) {
	}
	*ret_len = end - begin;
	return begin;
}

static bool is_name(const char *base, size_t len)
{
	return len > 0 && len <= NAME_MAX && !(len == 1 && *base == '.') &&
	       !(len == 2 && strncmp(base, "..", 2) == 0);
}

const char *parcel_name(const char *path, char name[NAME_MAX + 1])
{
	size_t len, begin = base_of(path, &len);

	if (!is_name(path + begin, len)) {
		return NULL;
	}
	memcpy(name, path + begin, len);
	name[len] = '\0';
	return name;
}

static int open_how(const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = resolve};
	/* Inside a sandbox there is no openat2(2), and nothing that it would be needed for. */
	int fd = resolve ? (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how))
			 : open(path, (int)how.flags);

	return fd < 0 ? -errno : fd;
}

int parcel_open(const char *path, bool no_links)
{
	return open_how(path, O_PATH, no_links ? RESOLVE_NO_SYMLINKS : 0);
}

int parcel_place(const char *path, bool no_links, const char *from, char name[NAME_MAX + 1],
		 bool *ret_named)
{
	uint64_t resolve = no_links ? RESOLVE_NO_SYMLINKS : 0;
	int fd = open_how(path, O_PATH | O_DIRECTORY, resolve);
	char above[PATH_MAX];
	size_t len, begin;

	*ret_named = fd < 0 || parcel_name(from, name);
	if (fd >= 0 || (fd != -ENOENT && fd != -ENOTDIR)) {
		return fd;
	}
	begin = base_of(path, &len);
	if (begin >= sizeof(above) || !parcel_name(path, name)) {
		return -ENOENT;
	}
	memcpy(above, path, begin);
	above[begin] = '\0';
	return open_how(begin > 0 ? above : ".", O_PATH | O_DIRECTORY, resolve);
}

/* -ENXIO: it is something else than a file or directory, which is not even opened. */
static int open_top(int top, const char *path)
{
	struct stat st;
	int fd;

	if (fstat(top, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		return -ENXIO;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int parcel_send(int out, int top)
{
	struct sender *s = malloc(sizeof(*s));
	char path[64];
	int fd, r;

	if (!s) {
		return -ENOMEM;
	}
	s->out = out;
	s->len = 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", top);
	fd = top < 0 ? top : open_top(top, path);
	r = fd < 0 ? put_entry(s, fd == -ENXIO ? 'S' : 'E', "", (uint32_t)-fd, 0)
		   : send_open(s, fd, "", 0);
	r = r < 0 ? r : put_entry(s, 'Z', "", 0, 0);
	r = r < 0 ? r : flush(s);
	free(s);
	return r;
}

/* ---- receiving ---- */

struct level {
	int fd;
	size_t path_len; /* of what is above */
};

struct receiver {
	int in;
	size_t from, to;
	char data[PARCEL_CHUNK];
	const struct parcel_rules *rules;
	struct parcel_count count;
	struct level levels[PARCEL_DEPTH + 2]; /* the first is `dir`, and borrowed */
	size_t n;
	size_t lost; /* directories that could not be made, and what is in them, are passed over */
	char path[PATH_MAX];
	size_t path_len;
};

/* All of it, or -EPROTO at an end that comes too early. */
static int get(struct receiver *v, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		size_t n = v->to - v->from < len ? v->to - v->from : len;

		if (n == 0) {
			ssize_t got = read(v->in, v->data, sizeof(v->data));

			if (got < 0 && errno == EINTR) {
				continue;
			}
			if (got <= 0) {
				return got < 0 ? -errno : -EPROTO;
			}
			v->from = 0;
			v->to = (size_t)got;
			continue;
		}
		memcpy(p, v->data + v->from, n);
		v->from += n;
		p += n;
		len -= n;
	}
	return 0;
}

static void path_push(struct receiver *v, const char *name)
{
	size_t room = sizeof(v->path) - v->path_len - 1, len = strlen(name);

	if (v->path_len > 0 && room > 0) {
		v->path[v->path_len++] = '/';
		room--;
	}
	len = len < room ? len : room;
	memcpy(v->path + v->path_len, name, len);
	v->path_len += len;
	v->path[v->path_len] = '\0';
}

static void path_cut(struct receiver *v, size_t len)
{
	v->path_len = len;
	v->path[len] = '\0';
}

static void leave_out(struct receiver *v, const char *name, enum parcel_problem why, int error)
{
	size_t before = v->path_len;

	v->count.left_out++;
	path_push(v, name);
	v->rules->say(v->rules->data, v->path, why, error);
	path_cut(v, before);
}

static int at(const struct receiver *v)
{
	return v->levels[v->n - 1].fd;
}

/* The first entry goes by the receiver's name, every other by its own, which must be one. */
static bool name_is_good(const struct receiver *v, const char *name, size_t len)
{
	if (v->n == 1 && v->lost == 0) {
		return len == 0;
	}
	return len > 0 && len <= NAME_MAX && strlen(name) == len && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* What has no name yet, and that nobody could have guessed. */
static int make_temporary(const struct receiver *v, mode_t mode, char name[48])
{
	uint64_t raw[2];
	int fd;

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		return -errno;
	}
	(void)snprintf(name, 48, ".atoll-cp-%016llx%08llx", (unsigned long long)raw[0],
		       (unsigned long long)raw[1] & 0xffffffff);
	fd = openat(at(v), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode & 0777);
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* All chunks; what is wrong with the stream is returned, what is wrong with the file in *error. */
static int take_chunks(struct receiver *v, int fd, int *error)
{
	char *data = malloc(PARCEL_CHUNK);
	uint32_t len = 0;
	int r = data ? 0 : -ENOMEM;

	while (r >= 0) {
		r = get(v, &len, sizeof(len));
		if (r < 0 || len == 0 || len == PARCEL_BROKEN) {
			break;
		}
		r = len > PARCEL_CHUNK ? -EPROTO : get(v, data, len);
		if (r >= 0 && fd >= 0 && *error == 0) {
			*error = -write_all(fd, data, len);
			v->count.bytes += *error == 0 ? len : 0;
		}
	}
	if (r >= 0 && len == PARCEL_BROKEN && *error == 0) {
		*error = EIO;
	}
	free(data);
	return r;
}

static int take_file(struct receiver *v, const char *name, uint32_t mode)
{
	char temporary[48] = "";
	int fd = v->lost ? -1 : make_temporary(v, mode, temporary);
	int error = !v->lost && fd < 0 ? -fd : 0;
	int r = take_chunks(v, fd, &error);

	if (v->lost) {
		return r;
	}
	/* A directory that has the name keeps it, and a link is replaced, not followed. */
	if (r >= 0 && error == 0 && renameat(at(v), temporary, at(v), name) < 0) {
		error = errno;
	}
	if (fd >= 0) {
		(void)close(fd);
		if (r < 0 || error) {
			(void)unlinkat(at(v), temporary, 0);
		}
	}
	if (r >= 0 && error) {
		leave_out(v, name, PARCEL_FAILED, error);
	} else if (r >= 0) {
		v->count.files++;
	}
	return r;
}

/*
 * True if a link in the directory where we are leads to something below the first one. Behind names
 * that may be links themselves ".." would lead anywhere: it may only come first, and not above.
 */
static bool stays(const struct receiver *v, const char *target)
{
	size_t up = 0, depth = v->n - 2; /* of this directory below the first */
	const char *p = target;

	if (v->n < 2 || *target == '/' || *target == '\0') {
		return false; /* the first of all has nothing around it that is copied, too */
	}
	while (strncmp(p, "..", 2) == 0 && (p[2] == '/' || p[2] == '\0')) {
		up++;
		p += p[2] == '/' ? 3 : 2;
		p += strspn(p, "/");
	}
	while (*p) {
		size_t len = strcspn(p, "/");

		if (len == 2 && strncmp(p, "..", 2) == 0) {
			return false;
		}
		p += len;
		p += strspn(p, "/");
	}
	return up <= depth;
}

static int make_link(const struct receiver *v, const char *target, const char *name)
{
	char temporary[48];
	int fd = make_temporary(v, 0600, temporary);

	if (fd < 0) {
		return -fd;
	}
	(void)close(fd);
	if (unlinkat(at(v), temporary, 0) < 0 || symlinkat(target, at(v), temporary) < 0) {
		return errno;
	}
	if (renameat(at(v), temporary, at(v), name) < 0) {
		int error = errno;

		(void)unlinkat(at(v), temporary, 0);
		return error;
	}
	return 0;
}

static int take_link(struct receiver *v, const char *name, uint64_t len)
{
	char target[PARCEL_LINK + 1];
	int error, r = len > PARCEL_LINK ? -EPROTO : get(v, target, (size_t)len);

	if (r < 0) {
		return r;
	}
	target[len] = '\0';
	if (strlen(target) != len || len == 0) {
		return -EPROTO;
	}
	if (v->lost) {
		return 0;
	}
	if (v->rules->links_stay && !stays(v, target)) {
		leave_out(v, name, PARCEL_OUT, 0);
		return 0;
	}
	error = make_link(v, target, name);
	if (error) {
		leave_out(v, name, PARCEL_FAILED, error);
	} else {
		v->count.links++;
	}
	return 0;
}

/* One that is made can be filled by us, whatever its mode is to be. */
static int open_dir(const struct receiver *v, const char *name, uint32_t mode)
{
	int fd;

	if (!name) {
		fd = fcntl(at(v), F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	if (mkdirat(at(v), name, (mode & 0777) | 0700) < 0 && errno != EEXIST) {
		return -errno;
	}
	fd = openat(at(v), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* `name` NULL: into the directory that was given. */
static int enter(struct receiver *v, const char *name, uint32_t mode)
{
	struct level *l = &v->levels[v->n];
	int fd;

	if (v->lost) {
		v->lost++;
		return 0;
	}
	if (v->n == PARCEL_DEPTH + 2) {
		leave_out(v, name ? name : "", PARCEL_DEEP, 0);
		v->lost++;
		return 0;
	}
	fd = open_dir(v, name, mode);
	if (fd < 0) {
		leave_out(v, name ? name : "", PARCEL_FAILED, -fd);
		v->lost++;
		return 0;
	}
	*l = (struct level){.fd = fd, .path_len = v->path_len};
	/* What lies in the first is named from there. */
	if (v->n > 1) {
		path_push(v, name);
	}
	v->n++;
	v->count.directories++;
	return 0;
}

static int leave(struct receiver *v)
{
	struct level *l;

	if (v->lost) {
		v->lost--;
		return 0;
	}
	if (v->n < 2) {
		return -EPROTO;
	}
	l = &v->levels[--v->n];
	(void)close(l->fd);
	path_cut(v, l->path_len);
	return 0;
}

/* True if there is no room for another one by the rules. */
static bool is_full(const struct receiver *v)
{
	const struct parcel_count *n = &v->count;

	return v->rules->most && n->files + n->directories + n->links >= v->rules->most;
}

static int take_entry(struct receiver *v, const struct parcel_entry *entry, const char *name)
{
	if (is_full(v) && entry->op != 'S' && entry->op != 'E') {
		return -E2BIG;
	}
	switch (entry->op) {
	case 'D':
		return enter(v, name, entry->mode);
	case 'F':
		if (!name) {
			return -ENOTDIR; /* a file has no place in "into that directory" */
		}
		return take_file(v, name, entry->mode);
	case 'L':
		return name ? take_link(v, name, entry->len) : -ENOTDIR;
	case 'S':
	case 'E':
		/* Of the first they know the name, and we only what we would have called it. */
		if (!v->lost) {
			leave_out(v, v->n == 1 ? "" : name,
				  entry->op == 'S' ? PARCEL_SPECIAL : PARCEL_FAILED,
				  entry->op == 'S' ? 0 : (int)entry->mode);
		}
		return 0;
	default:
		return -EPROTO;
	}
}

/* One step. 1: that was the end. `first`: NULL once it has been used. */
static int step(struct receiver *v, const char *first, bool *begun)
{
	char name[UINT16_MAX + 1];
	struct parcel_entry entry;
	int r = get(v, &entry, sizeof(entry));

	if (r < 0) {
		return r;
	}
	if (entry.name_len > NAME_MAX) {
		return -EPROTO;
	}
	r = get(v, name, entry.name_len);
	name[entry.name_len] = '\0';
	if (r < 0 || entry.op == 'U') {
		return r < 0 ? r : leave(v);
	}
	if (entry.op == 'Z') {
		return v->n == 1 && v->lost == 0 && *begun ? 1 : -EPROTO;
	}
	/* One thing is copied, not two. */
	if ((v->n == 1 && v->lost == 0 && *begun) || !name_is_good(v, name, entry.name_len)) {
		return -EPROTO;
	}
	if (!*begun) {
		*begun = true;
		return take_entry(v, &entry, first);
	}
	return take_entry(v, &entry, name);
}

int parcel_receive(int in, int dir, const char *name, const struct parcel_rules *rules,
		   struct parcel_count *ret)
{
	struct receiver *v = calloc(1, sizeof(*v));
	bool begun = false;
	int r = 0;

	if (!v) {
		return -ENOMEM;
	}
	v->in = in;
	v->rules = rules;
	v->levels[0].fd = dir;
	v->n = 1;
	while (r == 0) {
		r = step(v, name, &begun);
	}
	while (v->n > 1) {
		(void)close(v->levels[--v->n].fd);
	}
	*ret = v->count;
	free(v);
	return r < 0 ? r : 0;
}
