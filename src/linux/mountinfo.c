/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the mount table, and what it says about two places. */
#include "linux/mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define TABLE_MAX (64UL * 1024 * 1024)

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

/* \040 and the like, in place. */
static char *unescape(char *s)
{
	char *in = s, *out = s;

	while (*in) {
		if (in[0] == '\\' && is_octal(in + 1)) {
			*out++ = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
			in += 4;
		} else {
			*out++ = *in++;
		}
	}
	*out = '\0';
	return s;
}

static bool parse_device(const char *text, dev_t *ret)
{
	char *end;
	unsigned long major = strtoul(text, &end, 10), minor;

	if (end == text || *end != ':') {
		return false;
	}
	minor = strtoul(end + 1, NULL, 10);
	*ret = makedev((unsigned)major, (unsigned)minor);
	return true;
}

/* NFS names what it has mounted as SERVER:/PATH, and its root a slash, whichever part that is. */
static const char *root_of_nfs(char *source, const char *root)
{
	char *path = source ? strstr(source, ":/") : NULL;

	return path ? unescape(path + 1) : root;
}

/* "36 35 98:0 /source /point ro,nosuid shared:1 - type source options" */
static bool parse_line(char *line, struct mount_entry *ret)
{
	char *fields[6] = {}, *word = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strsep(&line, " ");
	}
	if (!fields[5] || !parse_device(fields[2], &ret->dev)) {
		return false;
	}
	ret->id = strtoull(fields[0], NULL, 10);
	ret->root = unescape(fields[3]);
	ret->point = unescape(fields[4]);
	ret->attrs = fields[5];
	ret->is_private = true;
	while ((word = strsep(&line, " ")) && strcmp(word, "-") != 0) {
		if (strncmp(word, "shared:", 7) == 0 || strncmp(word, "master:", 7) == 0) {
			ret->is_private = false;
		}
	}
	ret->type = word ? strsep(&line, " ") : NULL;
	word = strsep(&line, " "); /* what is mounted, which may be no name of anything */
	if (ret->type && (strcmp(ret->type, "nfs") == 0 || strcmp(ret->type, "nfs4") == 0)) {
		ret->root = root_of_nfs(word, ret->root);
	}
	ret->options = line ? line : "";
	return ret->type && ret->point[0] == '/';
}

int mount_table_parse(char *text, struct mount_table *ret)
{
	struct mount_table t = {.text = text};
	char *rest = text, *line;
	size_t n = 0;

	for (const char *c = text; c && *c; c++) {
		n += *c == '\n';
	}
	t.list = calloc(n + 1, sizeof(*t.list));
	if (!text || !t.list) {
		mount_table_done(&t);
		return -ENOMEM;
	}
	while ((line = strsep(&rest, "\n"))) {
		if (*line && !parse_line(line, &t.list[t.n++])) {
			mount_table_done(&t);
			return -EBADMSG;
		}
	}
	*ret = t;
	return 0;
}

static int open_table(void)
{
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_table(int fd, struct mount_table *ret)
{
	_cleanup_buf_ struct buf b = {};
	int r;

	buf_init(&b, TABLE_MAX);
	r = fd < 0 ? fd : buf_read_fd(&b, fd);
	return r < 0 ? r : mount_table_parse(buf_take(&b), ret);
}

int mount_table_read(struct mount_table *ret, struct err *e)
{
	_cleanup_fd_ int fd = open_table();
	int r = read_table(fd, ret);

	return r < 0 ? err_sys(e, -r, "cannot read what is mounted here") : 0;
}

void mount_ahead_read(struct mount_ahead *a)
{
	*a = (struct mount_ahead){.fd = open_table()};
	if (read_table(a->fd, &a->table) < 0) {
		a->fd = fd_close(a->fd);
	}
}

int mount_ahead_get(struct mount_ahead *a, const struct mount_table **ret, struct err *e)
{
	struct pollfd p = {.fd = a->fd, .events = POLLPRI};

	*ret = &a->table;
	if (a->fd >= 0 && poll(&p, 1, 0) == 0) {
		return 0;
	}
	mount_ahead_done(a);
	return mount_table_read(&a->table, e);
}

void mount_ahead_done(struct mount_ahead *a)
{
	a->fd = fd_close(a->fd);
	mount_table_done(&a->table);
}

void mount_table_done(struct mount_table *t)
{
	free(t->list);
	free(t->text);
	*t = (struct mount_table){};
}

/* What of `path` is left behind `dir`, beginning with a slash or empty; NULL: it lies elsewhere. */
static const char *behind(const char *path, const char *dir)
{
	size_t len = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	if (strncmp(path, dir, len) != 0 || (path[len] != '/' && path[len] != '\0')) {
		return NULL;
	}
	return strcmp(path + len, "/") == 0 ? "" : path + len;
}

bool mount_entry_within(const struct mount_entry *m, const char *path)
{
	return behind(m->point, path) != NULL;
}

const struct mount_entry *mount_table_below(const struct mount_table *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++) {
		const char *rest = behind(t->list[i].point, path);

		if (rest && *rest) {
			return &t->list[i];
		}
	}
	return NULL;
}

/* A part of a file system, as one mount shows it: `root` of the mount, and `rest` below that. */
struct part {
	uint64_t id;
	dev_t dev;
	const char *root;  /* NULL: nobody says */
	const char *point; /* where it is mounted */
	const char *rest;
};

static struct part part_at(const struct mount_entry *m, const char *rest)
{
	return (struct part){m->id, m->dev, m->root, m->point, rest};
}

/* What the path lies on; what is not there yet would be where its directory is. statx(2) tells the
 * mount since Linux 5.8. */
static int find_mount(const char *path, struct statx *ret)
{
	_cleanup_free_ char *way = strdup(path);

	if (!way) {
		return -ENOMEM;
	}
	while (statx(AT_FDCWD, way, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_MNT_ID, ret) <
	       0) {
		char *slash = strrchr(way, '/');

		if (errno != ENOENT || !slash || strcmp(way, "/") == 0) {
			return -errno;
		}
		slash[slash == way] = '\0';
	}
	return ret->stx_mask & STATX_MNT_ID ? 0 : -EOPNOTSUPP;
}

/* The part of a file system that `path` itself is. A table has what can be reached from the root:
 * in a chroot the mount that the root is a directory of is not in it. */
static int part_of(const struct mount_table *t, const char *path, struct part *ret)
{
	struct statx st;
	int r = find_mount(path, &st);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < t->n; i++) {
		const char *rest =
			t->list[i].id == st.stx_mnt_id ? behind(path, t->list[i].point) : NULL;

		if (rest) {
			*ret = part_at(&t->list[i], rest);
			return 0;
		}
	}
	*ret = (struct part){st.stx_mnt_id, makedev(st.stx_dev_major, st.stx_dev_minor), NULL, "/",
			     path};
	return 0;
}

/* The n-th part that is seen at a path or below: the first is its own, then what is mounted. */
static bool next_part(const struct mount_table *t, const char *path, const struct part *own,
		      size_t *i, struct part *ret)
{
	if (*i == 0) {
		*i = 1;
		*ret = *own;
		return true;
	}
	while (*i <= t->n) {
		const struct mount_entry *m = &t->list[(*i)++ - 1];
		const char *rest = behind(m->point, path);

		if (rest && *rest) {
			*ret = part_at(m, "");
			return true;
		}
	}
	return false;
}

/* The next byte of a part's name; it is the root's, then the rest's. */
static char at(const struct part *p, size_t i)
{
	size_t len = strcmp(p->root, "/") == 0 ? 0 : strlen(p->root);

	return i < len ? p->root[i] : p->rest[i - len];
}

/* 1: one lies in the other, or they are the same. -EXDEV: nobody can tell. */
static int overlap(const struct part *a, const struct part *b)
{
	size_t i = 0;
	char x, y;

	if (a->id == b->id || a->dev != b->dev) {
		return 0;
	}
	if (!a->root || !b->root) {
		return -EXDEV;
	}
	while ((x = at(a, i)) == (y = at(b, i)) && x) {
		i++;
	}
	return (!x && (!y || y == '/')) || (!y && x == '/');
}

/* Which of the two is the second mount, as far as one can tell: it is nearer to the files. */
static const char *second(const struct part *a, const struct part *b)
{
	return strlen(a->point) > strlen(b->point) ? a->point : b->point;
}

static int fail(int r, const char *one, const char *other, struct err *e)
{
	return r == -EXDEV
		       ? err_set(e, ERR_USER, EXDEV,
				 "it cannot be told whether '%s' and '%s' show the same files, "
				 "because the root of this chroot is no mount; bind it to itself "
				 "('mount --bind DIR DIR') before the chroot",
				 one, other)
		       : err_sys(e, -r, "cannot examine where '%s' and '%s' are mounted", one,
				 other);
}

int mount_table_shares(const struct mount_table *t, const char *one, const char *other,
		       const char **ret_point, struct err *e)
{
	struct part own, others, a, b;
	int r = part_of(t, one, &own);

	r = r < 0 ? r : part_of(t, other, &others);
	for (size_t i = 0; r == 0 && next_part(t, one, &own, &i, &a);) {
		for (size_t j = 0; r == 0 && next_part(t, other, &others, &j, &b);) {
			r = overlap(&a, &b);
			*ret_point = r > 0 ? second(&a, &b) : *ret_point;
		}
	}
	return r < 0 ? fail(r, one, other, e) : r;
}
