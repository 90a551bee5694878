/* SPDX-License-Identifier: Apache-2.0 */
/* Denials: a complete table that docs/denials.md documents, classification, collection. */
#include <sys/stat.h>

#include "unit.h"

#include "base/buf.h"
#include "base/json.h"
#include "keeper/denial.h"
#include "linux/seccomp.h"

static void test_table(void **state)
{
	unsigned i, j;

	(void)state;
	for (i = 0; i < DENIAL_COUNT; i++) {
		const struct denial_kind *kind = denial_kind((enum denial_code)i);
		const char *texts[] = {kind->code, kind->rule, kind->agent, kind->remedy};

		for (j = 0; j < ARRAY_SIZE(texts); j++) {
			assert_non_null(texts[j]);
			assert_true(texts[j][0] != '\0');
			assert_null(strpbrk(texts[j], "\n|"));
		}
		assert_int_equal(strspn(kind->code, "abcdefghijklmnopqrstuvwxyz.-"),
				 strlen(kind->code));
		for (j = 0; j < i; j++) {
			assert_string_not_equal(kind->code, denial_kind((enum denial_code)j)->code);
		}
	}
}

static char *page(void)
{
	const char *source = getenv("ATOLL_SOURCE");
	_cleanup_fd_ int fd = FD_NONE;
	struct buf b;
	char path[4096];

	assert_non_null(source);
	(void)snprintf(path, sizeof(path), "%s/docs/denials.md", source);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_read_fd(&b, fd), 0);
	return buf_take(&b);
}

/* Each code has one row, with the very words of the table, and there is no other row. */
static void test_documentation(void **state)
{
	_cleanup_free_ char *text = page();
	unsigned i, rows = 0;
	const char *at;

	(void)state;
	for (i = 0; i < DENIAL_COUNT; i++) {
		const struct denial_kind *kind = denial_kind((enum denial_code)i);
		char head[128], tail[1024];
		const char *row, *end;

		(void)snprintf(head, sizeof(head), "\n| `%s` | ", kind->code);
		(void)snprintf(tail, sizeof(tail), " | `%s` | %s | %s | %u |", kind->rule,
			       kind->agent, kind->remedy, kind->weight);
		row = strstr(text, head);
		if (!row) {
			fail_msg("docs/denials.md has no row for %s", kind->code);
		}
		end = strstr(row, tail);
		if (!end || end != strchr(row + 1, '\n') - strlen(tail)) {
			fail_msg("docs/denials.md: the row of %s does not end with%s", kind->code,
				 tail);
		}
		assert_true(end - row > (ptrdiff_t)strlen(head)); /* it has a meaning */
	}
	for (at = text; (at = strstr(at, "\n| `")); at++) {
		rows++;
	}
	assert_int_equal(rows, DENIAL_COUNT);
}

static void test_classify(void **state)
{
	static const struct {
		const char *call;
		enum denial_code code;
		uint64_t args[6];
	} rows[] = {
		{"socket", DENIAL_SOCKET_FAMILY, {}},
		{"unshare", DENIAL_NAMESPACE, {}},
		{"clone", DENIAL_NAMESPACE, {}},
		{"mount", DENIAL_MOUNT, {}},
		{"umount2", DENIAL_MOUNT, {}},
		{"chroot", DENIAL_MOUNT, {}},
		{"ptrace", DENIAL_TRACE, {}},
		{"ioctl", DENIAL_TERMINAL, {}},
		{"mknod", DENIAL_DEVICE_NODE, {0, S_IFCHR | 0644}},
		{"mknod", DENIAL_SET_ID, {S_IFCHR, S_IFREG | S_ISUID, S_IFCHR}},
		{"mknodat", DENIAL_DEVICE_NODE, {0, 0, S_IFBLK}},
		{"mknodat", DENIAL_SET_ID, {0, S_IFBLK, S_IFIFO | S_ISGID}},
		{"renameat2", DENIAL_DEVICE_NODE, {}},
		{"setxattr", DENIAL_SET_ID, {}},
		{"prlimit64", DENIAL_INIT, {}},
		{"setpriority", DENIAL_INIT, {}},
		{"ioprio_set", DENIAL_INIT, {}},
		{"bpf", DENIAL_KERNEL, {}},
		{"io_uring_setup", DENIAL_KERNEL, {}},
		{"memfd_secret", DENIAL_KERNEL, {}},
		{"unknown", DENIAL_SYSCALL, {}},
		{"sock", DENIAL_SYSCALL, {}},
		{"", DENIAL_SYSCALL, {}},
		{"process_madvise", DENIAL_TRACE, {}},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seccomp_denial d = {.name = rows[i].call};

		memcpy(d.args, rows[i].args, sizeof(d.args));
		assert_int_equal(denial_classify(&d), rows[i].code);
		d.foreign_abi = true;
		assert_int_equal(denial_classify(&d), DENIAL_SYSCALL_ABI);
	}
}

static void test_collect(void **state)
{
	struct denials d = {};
	char what[16];
	unsigned i;

	(void)state;
	assert_true(denials_add(&d, DENIAL_MOUNT, "mount", NULL, 1));
	assert_false(denials_add(&d, DENIAL_MOUNT, "mount", NULL, 4));
	assert_true(denials_add(&d, DENIAL_SYSCALL, "mount", NULL, 1));
	assert_int_equal(d.n, 2);
	assert_int_equal(d.entries[0].count, 5);
	assert_string_equal(d.entries[0].request, "1");
	assert_string_equal(d.entries[1].request, "2");
	for (i = 2; i < DENIAL_MAX_OTHER; i++) {
		(void)snprintf(what, sizeof(what), "call-%u", i);
		assert_true(denials_add(&d, DENIAL_SYSCALL, what, NULL, 1));
	}
	/* No more kinds are told apart, but everything is still counted. */
	assert_false(denials_add(&d, DENIAL_SYSCALL, "one too many", NULL, 10));
	assert_int_equal(d.n, DENIAL_MAX_OTHER);
	assert_int_equal(d.total, 6 + DENIAL_MAX_OTHER - 2 + 10);
	/* Those of the network have a place of their own. */
	assert_true(denials_add(&d, DENIAL_NET_NAME, "a.example", "net1", 1));
}

/* A payload that tries one host after the other leaves room for what else is refused. */
static void test_network_leaves_room(void **state)
{
	struct denials d = {};
	char what[16], id[16];
	unsigned i;

	(void)state;
	for (i = 1; i <= DENIAL_MAX; i++) {
		(void)snprintf(what, sizeof(what), "host-%u", i);
		(void)snprintf(id, sizeof(id), "net%u", i);
		assert_int_equal(denials_add(&d, DENIAL_NET_NAME, what, id, 1),
				 i <= DENIAL_MAX_NET);
	}
	assert_string_equal(d.entries[7].request, "net8");
	assert_true(denials_add(&d, DENIAL_MOUNT, "mount", NULL, 1));
	assert_int_equal(d.total, DENIAL_MAX + 1);
}

static void test_long_names(void **state)
{
	struct denials d = {};
	char what[400];

	(void)state;
	memset(what, 'w', sizeof(what));
	what[sizeof(what) - 1] = '\0';
	assert_true(denials_add(&d, DENIAL_SYSCALL, what, NULL, 1));
	assert_int_equal(strlen(d.entries[0].what), sizeof(d.entries[0].what) - 1);
}

static void to_json(bool may_fail)
{
	struct denials d = {};
	_cleanup_json_ json_t *list = NULL;
	const json_t *first;

	(void)denials_add(&d, DENIAL_NETWORK, "connections", NULL, 3);
	(void)denials_add(&d, DENIAL_MOUNT, "mount", NULL, 1);
	list = denials_to_json(&d, "s-unit");
	if (!list) {
		assert_true(may_fail);
		return;
	}
	assert_int_equal(json_array_size(list), 2);
	first = json_array_get(list, 0);
	assert_string_equal(json_string_value(json_object_get(first, "code")), "network.none");
	assert_string_equal(json_string_value(json_object_get(first, "what")), "connections");
	assert_string_equal(json_string_value(json_object_get(first, "request_id")), "s-unit.1");
	assert_int_equal(json_integer_value(json_object_get(first, "count")), 3);
	assert_true(json_is_string(json_object_get(first, "rule")));
	assert_true(json_is_string(json_object_get(first, "agent")));
	assert_true(json_is_string(json_object_get(first, "remedy")));
}

static void test_json(void **state)
{
	(void)state;
	json_set_alloc_funcs(unit_malloc, free);
	unit_faults(to_json);
	json_set_alloc_funcs(malloc, free);
}

/* Everyday refusals without end leave room for those that look like an escape. */
static void test_score(void **state)
{
	struct denials *d = calloc(1, sizeof(*d));
	char what[32];

	(void)state;
	assert_non_null(d);
	assert_int_equal(denials_score(d), 0);
	for (int i = 0; i < 2 * DENIAL_MAX; i++) {
		(void)snprintf(what, sizeof(what), "host-%d", i);
		(void)denials_add(d, DENIAL_NET_NAME, what, NULL, 1);
	}
	assert_int_equal(denials_score(d), 0);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(what, sizeof(what), "inside-%d", i);
		assert_false(denials_add(d, DENIAL_NET_PRIVATE, what, NULL, 1));
	}
	assert_int_equal(denials_score(d), denial_kind(DENIAL_NET_PRIVATE)->weight);
	(void)denials_add(d, DENIAL_TERMINAL, "ioctl", NULL, 1);
	(void)denials_add(d, DENIAL_TERMINAL, "ioctl", NULL, 9);
	assert_int_equal(denials_score(d), denial_kind(DENIAL_NET_PRIVATE)->weight +
						   denial_kind(DENIAL_TERMINAL)->weight);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_score),         cmocka_unit_test(test_table),
		cmocka_unit_test(test_documentation), cmocka_unit_test(test_classify),
		cmocka_unit_test(test_collect),       cmocka_unit_test(test_network_leaves_room),
		cmocka_unit_test(test_long_names),    cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
