/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's /etc: a few synthesised files, and what programs need of the host's by table.
 * Small files are copied, directories bound read-only, links made again.
 */
#include "tier/container/container-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "linux/mount.h"
#include "policy/deny.h"
#include "policy/egress.h"
#include "tier/hostview.h"
#include "tier/tier.h"

/* A copied file is at most this large; ld.so.cache of a full desktop is about 150 KiB. */
#define MAX_COPY (1024 * 1024)

static int put_file(int etc, const char *name, const void *data, size_t len, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len) {
		return err_sys(e, errno, "cannot write '/etc/%s' of the view", name);
	}
	return 0;
}

static int copy_file(int host, int etc, const char *name, struct err *e)
{
	_cleanup_fd_ int in = openat(host, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_fd_ int out = FD_NONE;
	struct stat st;
	ssize_t n;

	/* Unreadable to the caller, or changed meanwhile: simply not in the view. */
	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_COPY) {
		return 0;
	}
	out = openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (out < 0) {
		return err_sys(e, errno, "cannot write '/etc/%s' of the view", name);
	}
	for (;;) {
		char chunk[65536];

		n = read(in, chunk, sizeof(chunk));
		if (n <= 0) {
			break;
		}
		if (write(out, chunk, (size_t)n) != n) {
			return err_sys(e, errno, "cannot write '/etc/%s' of the view", name);
		}
		if ((size_t)n < sizeof(chunk)) {
			break; /* a regular file: less than asked for is its end */
		}
	}
	return n < 0 ? err_sys(e, errno, "cannot read '/etc/%s'", name) : 0;
}

static int bind_dir(const struct view *v, int host, int etc, const char *name, struct err *e)
{
	char place[PATH_MAX];
	_cleanup_fd_ int fd = mount_clone(
		host, name, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, e);

	if (fd < 0) {
		return fd == -ENOENT ? 0 : fd;
	}
	if (mkdirat(etc, name, 0755) < 0) {
		return err_sys(e, errno, "cannot make '/etc/%s' in the view", name);
	}
	(void)snprintf(place, sizeof(place), "/etc/%s", name);
	if (view_deny(v, place, &fd, e) < 0) {
		return -e->code;
	}
	return mount_attach(fd, etc, name, e);
}

static int show_entry(const struct view *v, int host, int etc, const char *name, struct err *e)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fstatat(host, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return 0;
	}
	if (S_ISDIR(st.st_mode)) {
		return bind_dir(v, host, etc, name, e);
	}
	if (S_ISREG(st.st_mode)) {
		return copy_file(host, etc, name, e);
	}
	if (!S_ISLNK(st.st_mode)) {
		return 0;
	}
	n = readlinkat(host, name, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		if (symlinkat(target, etc, name) < 0) {
			return err_sys(e, errno, "cannot link '/etc/%s' in the view", name);
		}
	}
	return 0;
}

static int show_listed(const struct view *v, int host, int etc, struct err *e)
{
	size_t i;
	int r = 0;

	if (mkdirat(etc, "ssl", 0755) < 0) {
		return err_sys(e, errno, "cannot make '/etc/ssl' in the view");
	}
	for (i = 0; r >= 0 && hostview_etc[i]; i++) {
		const struct deny_layer *l = view_denied(v, hostview_etc[i]);

		r = l && l->all ? 0
				: show_entry(v, host, etc, hostview_etc[i] + strlen("/etc/"), e);
	}
	return r;
}

static int put_accounts(int etc, const struct plan_identity *id, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	int r;

	buf_init(&b, 16384);
	(void)buf_addf(&b, "%s:x:%u:%u::%s:/bin/sh\n", id->user, id->uid, id->gid, id->home);
	(void)buf_adds(&b, "nobody:x:65534:65534:outside the sandbox:/nonexistent:/bin/false\n");
	r = b.failed ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
		     : put_file(etc, "passwd", buf_str(&b), b.len, e);
	buf_clear(&b);
	(void)buf_addf(&b, "%s:x:%u:\nnogroup:x:65534:\n", id->user, id->gid);
	if (r >= 0 && b.failed) {
		r = err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	return r >= 0 ? put_file(etc, "group", buf_str(&b), b.len, e) : r;
}

int etc_build(const struct view *v, struct err *e)
{
	/* The machine-id is the same everywhere: nothing of the host's identity goes inside. */
	const struct {
		const char *name, *text;
	} files[] = {
		{"nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
				  "networks: files\nprotocols: files\nservices: files\n"},
		{"hosts", "127.0.0.1 localhost atoll\n::1 localhost ip6-localhost\n"},
		{"hostname", "atoll\n"},
		{"resolv.conf", plan_has_gateway(v->spec->plan) ? "nameserver " EGRESS_DNS_TEXT
								  "\noptions edns0\n"
								: "# no network\n"},
		{"machine-id", "61746f6c6c0000000000000000000000\n"},
	};
	_cleanup_fd_ int host = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int etc = openat(v->root, "etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t i;
	int r;

	if (host < 0 || etc < 0) {
		return err_sys(e, errno, "cannot open '/etc'");
	}
	r = put_accounts(etc, &v->spec->plan->identity, e);
	for (i = 0; r >= 0 && i < ARRAY_SIZE(files); i++) {
		r = put_file(etc, files[i].name, files[i].text, strlen(files[i].text), e);
	}
	return r >= 0 ? show_listed(v, host, etc, e) : r;
}
