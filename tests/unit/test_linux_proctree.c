/* SPDX-License-Identifier: Apache-2.0 */
/* Process trees: what is below a process, what is not, and that all of it ends. */
#include "unit.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "linux/proctree.h"

static bool lists(const struct proctree *t, pid_t pid)
{
	size_t i;

	for (i = 0; i < t->n && t->pids[i] != pid; i++) {
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
	assert_true(t.n == 1 && t.pids[0] == below);
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

/* Each makes two and stays. What it makes is bounded, so that a failure does not end the host. */
static _Noreturn void bomb(int depth)
{
	while (depth-- > 0) {
		(void)fork();
	}
	for (;;) {
		if (fork() == 0) {
			_exit(0);
		}
		(void)waitpid(-1, NULL, WNOHANG);
	}
}

/* Each is replaced by its child, in a session of its own, deaf to everything that can be ignored.
 */
static _Noreturn void chain(int depth)
{
	int i;

	(void)depth;
	for (i = 1; i < NSIG; i++) {
		(void)signal(i, SIG_IGN);
	}
	for (;;) {
		if (fork() > 0) {
			_exit(0);
		}
		(void)setsid();
	}
}

static void end_of(void (*storm)(int))
{
	struct proctree t = {};
	int i, started = 0;

	for (i = 0; i < 4; i++) {
		started += fork() > 0 ? 1 : (storm(4), 0);
	}
	assert_int_equal(started, 4);
	assert_int_equal(proctree_end(getpid(), 0), 0);
	collect_all();
	assert_int_equal(proctree_list(&t, getpid()), 0);
	assert_int_equal(t.n, 0);
	proctree_done(&t);
}

static void test_storms(void **state)
{
	(void)state;
	end_of(bomb);
	end_of(chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_except),
		cmocka_unit_test(test_storms),
	};

	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
