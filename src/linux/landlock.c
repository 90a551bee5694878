/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock rulesets. */
#include "linux/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

/* Rights above ABI 1, as in the kernel's uapi header; Debian 12's copy ends at ABI 1. */
#define FS_REFER            (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE         (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV        (1ULL << 15) /* ABI 5 */
#define NET_BIND_TCP        1ULL         /* ABI 4 */
#define NET_CONNECT_TCP     2ULL         /* ABI 4 */
#define RULE_NET_PORT       2            /* ABI 4 */
#define SCOPE_ABSTRACT_UNIX 1ULL         /* ABI 6 */
#define SCOPE_SIGNAL        2ULL         /* ABI 6 */

/* The ABI 6 layout; shorter kernels get a shorter size. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_TREE                                                           \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |     \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |   \
	 LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_MAKE_DEVICE (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* What a rule on a file, as opposed to a directory, may name. */
#define FS_OF_FILES                                                   \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

static uint64_t landlock_handled(int abi)
{
	uint64_t all =
		FS_READ | FS_TREE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE;

	return all | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
	       (abi >= 5 ? FS_IOCTL_DEV : 0);
}

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

static int new_ruleset(int abi, uint64_t net, struct err *e)
{
	struct ruleset_attr attr = {.handled_access_fs = landlock_handled(abi)};
	size_t size = sizeof(attr.handled_access_fs);
	long fd;

	if (abi >= LANDLOCK_ABI_CONNECT) {
		attr.handled_access_net = net;
		size = offsetof(struct ruleset_attr, scoped);
	}
	if (abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
		size = sizeof(attr);
	}
	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (fd < 0) {
		return err_sys(e, errno, "cannot create a Landlock ruleset");
	}
	return (int)fd;
}

int landlock_new(int abi, struct err *e)
{
	return new_ruleset(abi, 0, e);
}

int landlock_new_dialler(int abi, struct err *e)
{
	return new_ruleset(abi, NET_BIND_TCP | NET_CONNECT_TCP, e);
}

int landlock_allow_connect(int ruleset, int abi, uint16_t port, struct err *e)
{
	/* struct landlock_net_port_attr of linux/landlock.h */
	const struct {
		uint64_t allowed_access;
		uint64_t port;
	} rule = {NET_CONNECT_TCP, port};

	if (abi < LANDLOCK_ABI_CONNECT) {
		return 0;
	}
	return syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0
		       ? err_sys(e, errno, "cannot add a Landlock rule")
		       : 0;
}

int landlock_allow(int ruleset, int abi, int fd, bool is_dir, unsigned access, struct err *e)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};

	if (access & LANDLOCK_READ) {
		rule.allowed_access |= FS_READ;
	}
	if (access & LANDLOCK_EXECUTE) {
		rule.allowed_access |= LANDLOCK_ACCESS_FS_EXECUTE;
	}
	if (access & (LANDLOCK_WRITE_FILE | LANDLOCK_WRITE_TREE)) {
		rule.allowed_access |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
	}
	if (access & LANDLOCK_WRITE_TREE) {
		rule.allowed_access |= (FS_TREE & ~FS_MAKE_DEVICE) | FS_REFER;
	}
	rule.allowed_access &= landlock_handled(abi);
	if (!is_dir) {
		rule.allowed_access &= FS_OF_FILES;
	}
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
		return err_sys(e, errno, "cannot add a Landlock rule");
	}
	return 0;
}

int landlock_enforce(int ruleset, struct err *e)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		return err_sys(e, errno, "cannot enforce the Landlock ruleset");
	}
	return 0;
}
