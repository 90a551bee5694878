/* SPDX-License-Identifier: Apache-2.0 */
/* Affinity: a child that was pushed away takes its own back; one that was not has nothing to do. */
#include "unit.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include "linux/cpu.h"
#include "linux/seccomp.h"

static bool has(const cpu_set_t *wanted)
{
	cpu_set_t now;

	return cpu_affinity(0, &now) && CPU_EQUAL(&now, wanted);
}

static bool filtered(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       seccomp_load(SECCOMP_FILTER_AFFINITY, NULL) == 0;
}

static _Noreturn void take_back(const cpu_set_t *all)
{
	struct err e = {};

	_exit(cpu_restore(all, &e) == 0 && has(all) && e.code == 0 ? 0 : 1);
}

/* Where sched_setaffinity(2) is refused, as in a hardened service, nobody has pushed us either. */
static _Noreturn void have_all(const cpu_set_t *all)
{
	struct err e = {};

	_exit(filtered() && cpu_restore(all, &e) == 0 && has(all) && e.code == 0 ? 0 : 1);
}

static _Noreturn void stay_away(const cpu_set_t *all)
{
	struct err e = {};
	cpu_set_t one;
	int cpu = 0;

	while (!CPU_ISSET((size_t)cpu, all)) {
		cpu++;
	}
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	if (CPU_COUNT(all) == 1) {
		_exit(0);
	}
	_exit(sched_setaffinity(0, sizeof(one), &one) == 0 && filtered() &&
			      cpu_restore(all, &e) == -EPERM && e.code == EPERM && has(&one)
		      ? 0
		      : 1);
}

static void in_child(void (*run)(const cpu_set_t *), bool push)
{
	cpu_set_t all;
	int status, go[2];
	char byte = 0;
	pid_t pid;

	assert_true(cpu_affinity(0, &all));
	assert_int_equal(pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		if (read(go[0], &byte, 1) == 1) {
			run(&all);
		}
		_exit(2);
	}
	if (push) {
		cpu_set_t now;

		cpu_push(pid, &all);
		assert_true(cpu_affinity(pid, &now));
		assert_int_equal(CPU_COUNT(&now), CPU_COUNT(&all) > 1 ? CPU_COUNT(&all) - 1 : 1);
	}
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	(void)close(go[0]);
	(void)close(go[1]);
}

static void test_pushed(void **state)
{
	(void)state;
	in_child(take_back, true);
}

static void test_left_alone(void **state)
{
	(void)state;
	in_child(take_back, false);
	in_child(have_all, false);
}

static void test_cannot(void **state)
{
	(void)state;
	in_child(stay_away, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pushed),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_cannot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
