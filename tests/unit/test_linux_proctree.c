/* SPDX-License-Identifier: Apache-2.0 */
/* Process trees: what is below a process, what is not, and that all of it ends. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "linux/proctree.h"

static bool lists(const struct proctree *t, pid_t pid)
{
	size_t i;

	for (i = 0; i < t->n && t->members[i].pid != pid; i++) {
	}
	return i < t->n;
}

static _Noreturn void wait_forever(void)
{
	for (;;) {
		(void)pause();
	}
}

/* A child that has one child, whose pid it tells; both stay. */
static pid_t start_two(pid_t *ret_grandchild)
{
	int tell[2];
	pid_t pid, below;

	assert_int_equal(pipe(tell), 0);
	pid = fork();
	if (pid == 0) {
		below = fork();
		if (below == 0) {
			wait_forever();
		}
		(void)!write(tell[1], &below, sizeof(below));
		wait_forever();
	}
	assert_int_equal(read(tell[0], ret_grandchild, sizeof(*ret_grandchild)), sizeof(pid_t));
	(void)close(tell[0]);
	(void)close(tell[1]);
	return pid;
}

static void collect_all(void)
{
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
	}
}

static void test_list(void **state)
{
	struct proctree t = {};
	pid_t below, child = start_two(&below);

	(void)state;
	assert_int_equal(proctree_list(&t, getpid()), 0);
	assert_true(lists(&t, child) && lists(&t, below) && !lists(&t, getpid()));
	assert_int_equal(proctree_list(&t, child), 0);
	assert_true(t.n == 1 && t.members[0].pid == below);
	assert_int_equal(proctree_list(&t, below), 0);
	assert_int_equal(t.n, 0);
	assert_true(proctree_has(getpid(), below) && proctree_has(child, below));
	assert_false(proctree_has(below, child));
	assert_false(proctree_has(child, getpid()));
	assert_false(proctree_has(getpid(), getpid()));
	assert_false(proctree_has(getpid(), 1));
	assert_false(proctree_has(getpid(), 0));
	assert_false(proctree_has(0, below));
	assert_false(proctree_has(getpid(), -1));
	assert_int_equal(proctree_end(getpid(), 0), 0);
	collect_all();
	assert_false(proctree_has(getpid(), below));
	assert_true(proctree_sees_all());
	proctree_done(&t);
}

static void test_except(void **state)
{
	pid_t below, child = start_two(&below);
	int status;

	(void)state;
	assert_int_equal(proctree_end(getpid(), child), 0);
	assert_int_equal(waitpid(child, &status, WNOHANG), 0); /* it lives */
	assert_int_equal(kill(child, SIGKILL), 0);
	collect_all();
}

/* The first thread ends, another goes on: stat(5) says Z of the process. */
static void *go_on(void *ready)
{
	(void)!write(*(int *)ready, "", 1);
	wait_forever();
}

static void test_leaderless(void **state)
{
	struct proctree t = {};
	int tell[2];
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(tell), 0);
	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		(void)pthread_create(&thread, NULL, go_on, &tell[1]);
		pthread_exit(NULL);
	}
	assert_int_equal(read(tell[0], &byte, 1), 1);
	assert_int_equal(proctree_end(getpid(), 0), 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), pid); /* all of it */
	assert_int_equal(proctree_list(&t, getpid()), 0);
	assert_int_equal(t.n, 0);
	proctree_done(&t);
	(void)close(tell[0]);
	(void)close(tell[1]);
}

#define DEEP  2000
#define STACK 16384

static struct {
	char *stacks;
	int tell;
} deep;

/* Without a copy of the memory, which the kernel makes the slower the longer the line is. */
static int go_deeper(void *depth)
{
	intptr_t next = (intptr_t)depth + 1;

	if (next == DEEP) {
		(void)!write(deep.tell, "", 1);
	} else {
		(void)clone(go_deeper, deep.stacks + (next + 1) * STACK, CLONE_VM | SIGCHLD,
			    (void *)next);
	}
	wait_forever();
}

/* A long line, each the child of the one before. What it costs grows with its length alone. */
static void test_deep(void **state)
{
	struct proctree t = {};
	int tell[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(tell), 0);
	deep.tell = tell[1];
	deep.stacks = malloc((size_t)DEEP * STACK);
	assert_non_null(deep.stacks);
	assert_true(clone(go_deeper, deep.stacks + STACK, CLONE_VM | SIGCHLD, NULL) > 0);
	assert_int_equal(read(tell[0], &byte, 1), 1);
	assert_int_equal(proctree_list(&t, getpid()), 0);
	assert_int_equal(t.n, DEEP);
	assert_int_equal(proctree_end(getpid(), 0), 0);
	collect_all();
	proctree_done(&t);
	free(deep.stacks);
	(void)close(tell[0]);
	(void)close(tell[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_except),
		cmocka_unit_test(test_leaderless),
		cmocka_unit_test(test_deep),
	};

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
