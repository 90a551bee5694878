/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler's accounts, from a /proc of our own: CPU time counts once, whoever ends up with it.
 */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

#include "keeper/sample.h"

struct task {
	int pid;
	unsigned own, children, born; /* ticks */
};

/* Makes the directory's processes exactly these. */
static void show(int proc, const struct task *tasks, size_t n)
{
	char name[32], text[256];
	size_t i;
	int pid;

	for (pid = 1; pid < 20; pid++) {
		(void)snprintf(name, sizeof(name), "%d/stat", pid);
		(void)unlinkat(proc, name, 0);
		(void)snprintf(name, sizeof(name), "%d", pid);
		(void)unlinkat(proc, name, AT_REMOVEDIR);
	}
	for (i = 0; i < n; i++) {
		int fd;

		(void)snprintf(name, sizeof(name), "%d", tasks[i].pid);
		assert_int_equal(mkdirat(proc, name, 0700), 0);
		(void)snprintf(name, sizeof(name), "%d/stat", tasks[i].pid);
		fd = openat(proc, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		(void)snprintf(text, sizeof(text),
			       "%d (a) b (c) S 1 1 1 -1 -1 0 0 0 0 0 %u 0 %u 0 20 0 1 0 %u 0\n",
			       tasks[i].pid, tasks[i].own, tasks[i].children, tasks[i].born);
		assert_int_equal(write(fd, text, strlen(text)), strlen(text));
		(void)fd_close(fd);
	}
}

/* What the sampler makes of them, in ticks. */
static unsigned look(struct sampler *s, int proc, const struct task *tasks, size_t n)
{
	struct sample sample;

	show(proc, tasks, n);
	assert_true(sample_take(s, proc, 0, UINT64_MAX, &sample));
	return (unsigned)(sample.cpu_ns * (uint64_t)sysconf(_SC_CLK_TCK) / 1000000000);
}

#define LOOK(s, proc, ...)                                    \
	({                                                    \
		const struct task _tasks[] = {__VA_ARGS__};   \
		look(&(s), proc, _tasks, ARRAY_SIZE(_tasks)); \
	})

static int open_proc(void **state)
{
	int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_waited_for(void **state)
{
	int proc = open_proc(state);
	struct sampler s = {};

	assert_int_equal(LOOK(s, proc, {1, 2, 3, 1}, {9, 100, 0, 5}), 105);
	assert_int_equal(LOOK(s, proc, {1, 2, 113, 1}), 115);
	assert_int_equal(LOOK(s, proc, {1, 2, 113, 1}), 115);
	sampler_done(&s);
	show(proc, NULL, 0);
	(void)fd_close(proc);
}

static void test_waited_for_during_a_look(void **state)
{
	int proc = open_proc(state);
	struct sampler s = {};

	assert_int_equal(LOOK(s, proc, {1, 2, 3, 1}, {9, 100, 0, 5}), 105);
	assert_true(LOOK(s, proc, {1, 2, 3, 1}) <= 105); /* 1 before its wait, 9 after it */
	assert_int_equal(LOOK(s, proc, {1, 2, 113, 1}), 115);
	assert_int_equal(LOOK(s, proc, {1, 2, 113, 1}), 115);
	sampler_done(&s);
	show(proc, NULL, 0);
	(void)fd_close(proc);
}

static void test_waited_for_by_nobody(void **state)
{
	int proc = open_proc(state);
	struct sampler s = {};

	assert_int_equal(LOOK(s, proc, {1, 2, 3, 1}, {9, 100, 0, 5}), 105);
	(void)LOOK(s, proc, {1, 2, 3, 1}, {9, 10, 0, 6}); /* another one of that number */
	assert_int_equal(LOOK(s, proc, {1, 2, 3, 1}, {9, 10, 0, 6}), 115);
	(void)LOOK(s, proc, {1, 2, 3, 1});
	assert_int_equal(LOOK(s, proc, {1, 3, 3, 1}), 116);
	sampler_done(&s);
	show(proc, NULL, 0);
	(void)fd_close(proc);
}

static void put(int proc, const char *name, const char *text)
{
	int fd = openat(proc, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)fd_close(fd);
}

/* A walk over many page tables: two of these, and the time for it is over. */
static void *walk_slowly(void *fifo)
{
	static const char text[] = "\nPss: 4 kB\nSwapPss: 0 kB\n";
	int fd = open(fifo, O_WRONLY | O_CLOEXEC);

	(void)poll(NULL, 0, 600);
	(void)!write(fd, text, sizeof(text) - 1);
	(void)fd_close(fd);
	return NULL;
}

/* Shares that cannot be told in time, or at all, count as resident. */
static void test_shares(void **state)
{
	static const struct task tasks[] = {{1, 0, 0, 1}, {2, 0, 0, 1}, {3, 0, 0, 1}, {4, 0, 0, 1}};
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int proc = open_proc(state);
	char name[32], fifos[3][4200];
	struct sampler s = {};
	struct sample sample;
	pthread_t walks[3];
	size_t i;

	show(proc, tasks, ARRAY_SIZE(tasks));
	for (i = 0; i < ARRAY_SIZE(tasks); i++) {
		(void)snprintf(name, sizeof(name), "%d/statm", tasks[i].pid);
		put(proc, name, "9000 100 0\n");
	}
	assert_true(sample_take(&s, proc, 0, UINT64_MAX, &sample));
	assert_int_equal(sample.memory, 400 * page);
	assert_true(sample_take(&s, proc, 0, 1, &sample)); /* none may be looked at */
	assert_int_equal(sample.memory, 400 * page);
	for (i = 0; i < ARRAY_SIZE(walks); i++) {
		(void)snprintf(fifos[i], sizeof(fifos[i]), "%s/%d/smaps_rollup",
			       (const char *)*state, tasks[i].pid);
		assert_int_equal(mkfifo(fifos[i], 0600), 0);
		assert_int_equal(pthread_create(&walks[i], NULL, walk_slowly, fifos[i]), 0);
	}
	assert_true(sample_take(&s, proc, 0, 1, &sample));
	assert_int_equal(sample.memory, 2 * 4096 + 200 * page);
	for (i = 0; i < ARRAY_SIZE(walks); i++) {
		int kept = open(fifos[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		(void)pthread_join(walks[i], NULL);
		(void)fd_close(kept);
	}
	sampler_done(&s);
	(void)fd_close(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_waited_for, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_waited_for_during_a_look, unit_dir_setup,
						unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_waited_for_by_nobody, unit_dir_setup,
						unit_dir_teardown),
		cmocka_unit_test_setup_teardown(test_shares, unit_dir_setup, unit_dir_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
