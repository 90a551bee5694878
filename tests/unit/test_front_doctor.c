/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's children: what they answer, how they die, and that none stays. */
#include "unit.h"

#include <sched.h>
#include <sys/wait.h>

#include "front/cli/doctor-internal.h"

static void good(struct finding *f, const char *scratch)
{
	doctor_set(f, DOCTOR_OK, "in %s", scratch);
	doctor_remedy(f, "none");
	doctor_add(f, "%s", ", and more");
}

static void deadly(struct finding *f, const char *scratch)
{
	(void)f;
	(void)scratch;
	(void)kill(getpid(), SIGKILL);
}

static void silent(struct finding *f, const char *scratch)
{
	(void)f;
	(void)scratch;
	_exit(3);
}

/* With a child that ignores what it can, and holds the pipe open. */
static void endless(struct finding *f, const char *scratch)
{
	(void)f;
	(void)scratch;
	(void)signal(SIGTERM, SIG_IGN);
	(void)!fork();
	for (;;) {
		(void)pause();
	}
}

static void probe(void (*run)(struct finding *f, const char *scratch), int patience_ms,
		  struct finding *ret)
{
	const struct probe p = {"container", "a test", run};
	struct err e = {};
	int ending = 0;

	assert_int_equal(doctor_probe(&p, "/tmp", patience_ms, ret, &ending, &e), 0);
	assert_int_equal(ending, 0);
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void test_answers(void **state)
{
	struct finding f;

	(void)state;
	probe(good, 5000, &f);
	assert_int_equal(f.state, DOCTOR_OK);
	assert_string_equal(f.found, "in /tmp, and more");
	assert_string_equal(f.remedy, "none");
}

static void test_no_answer(void **state)
{
	struct finding f;

	(void)state;
	probe(deadly, 5000, &f);
	assert_int_equal(f.state, DOCTOR_MISSING);
	assert_non_null(strstr(f.found, "killed by signal 9"));
	probe(silent, 5000, &f);
	assert_int_equal(f.state, DOCTOR_MISSING);
	assert_string_equal(f.found, "the probe ended without an answer");
}

static void test_late(void **state)
{
	struct finding f;

	(void)state;
	probe(endless, 50, &f);
	assert_int_equal(f.state, DOCTOR_MISSING);
	assert_string_equal(f.found, "no answer within 50 ms, so it was killed");
}

static void test_descriptors(void **state)
{
	struct finding f;
	int before = unit_count_fds();

	(void)state;
	probe(good, 5000, &f);
	probe(deadly, 5000, &f);
	assert_int_equal(unit_count_fds(), before);
}

static int fine(struct err *e)
{
	(void)e;
	return 0;
}

static int failing(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOSPC, "as it must");
}

static int dying(struct err *e)
{
	(void)e;
	_exit(0);
}

static void test_try(void **state)
{
	struct err e = {};

	(void)state;
	assert_int_equal(doctor_try(0, fine, &e), 0);
	assert_int_equal(e.code, 0);
	assert_int_equal(doctor_try(0, failing, &e), -ENOSPC);
	assert_string_equal(e.msg, "as it must");
	e = (struct err){};
	assert_int_equal(doctor_try(0, dying, &e), -EPIPE);
	e = (struct err){};
	assert_int_equal(doctor_try(1ULL << 60, fine, &e), -EINVAL);
	assert_true(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
}

static void test_remedy_follows_the_semicolon(void **state)
{
	struct finding f = {};

	(void)state;
	doctor_take(&f, DOCTOR_WEAK, "it is not there; install it; or do not");
	assert_int_equal(f.state, DOCTOR_WEAK);
	assert_string_equal(f.found, "it is not there");
	assert_string_equal(f.remedy, "install it; or do not");
	doctor_take(&f, DOCTOR_MISSING, "nothing to be done");
	assert_string_equal(f.found, "nothing to be done");
	assert_string_equal(f.remedy, "");
}

static void test_words(void **state)
{
	char line[] = "memory\t4  113 \t1\n", *rest = line;

	(void)state;
	assert_string_equal(doctor_word(&rest), "memory");
	assert_string_equal(doctor_word(&rest), "4");
	assert_string_equal(doctor_word(&rest), "113");
	assert_string_equal(doctor_word(&rest), "1");
	assert_string_equal(doctor_word(&rest), "");
	assert_string_equal(doctor_word(&rest), "");
}

static int setup(void **state)
{
	struct err e = {};

	(void)state;
	return doctor_prepare(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers), cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_late),    cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_try),     cmocka_unit_test(test_remedy_follows_the_semicolon),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
