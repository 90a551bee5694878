/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every fallible call made to fail in turn: the result is an error with a message, or as good as
 * without the fault; nothing crashes, and the sanitizers see nothing. Without fault injection the
 * same operations run once.
 */
#include "policy-fixture.h"

#include "base/fault.h"
#include "base/json.h"

#ifndef ATOLL_FAULT
static void fault_arm(unsigned long n)
{
	(void)n;
}

static unsigned long fault_seen(void)
{
	return 0;
}
#endif

static void *faulty_malloc(size_t size)
{
	return fault_hit() ? NULL : malloc(size);
}

/* One operation: 0 or a negative errno. */
typedef int operation_fn(struct asked *a, struct err *e);

static int do_plan(struct asked *a, struct err *e)
{
	struct plan p = {};
	int r = policy_plan(&a->req, &p, e);

	if (r < 0) {
		assert_null(p.name);
	}
	plan_done(&p);
	return r;
}

static int do_json(struct asked *a, struct err *e)
{
	_cleanup_json_ json_t *j = NULL;
	char digest[DIGEST_HEX_SIZE];
	struct plan p = {}, back = {};
	int r = policy_plan(&a->req, &p, e);

	if (r >= 0) {
		j = plan_to_json(&p);
		r = j ? plan_from_json(j, &back, e) : err_set(e, ERR_SYSTEM, ENOMEM, "memory");
	}
	if (r >= 0 && plan_digest(&back, digest) < 0) {
		r = err_set(e, ERR_SYSTEM, ENOMEM, "memory");
	}
	plan_done(&p);
	plan_done(&back);
	return r;
}

static int do_explain(struct asked *a, struct err *e)
{
	_cleanup_json_ json_t *said = NULL;

	return policy_explain(&a->req, &said, e);
}

static int do_schema(struct asked *a, struct err *e)
{
	_cleanup_json_ json_t *schema = policy_json_schema();

	(void)a;
	return schema ? 0 : err_set(e, ERR_SYSTEM, ENOMEM, "memory");
}

static void sweep(struct asked *a, operation_fn *operation)
{
	unsigned long n = 0, seen;

	do {
		struct err e = {};
		int r;

		fault_arm(++n);
		r = operation(a, &e);
		seen = fault_seen();
		fault_arm(0);
		if (r < 0) {
			assert_true(e.code > 0);
			assert_true(e.msg[0] != '\0');
		} else {
			assert_int_equal(e.code, 0);
		}
		assert_true(n < 100000);
	} while (n <= seen);
}

static void test_sweeps(void **state)
{
	static operation_fn *const operations[] = {do_plan, do_json, do_explain, do_schema};
	struct fixture *f = *state;
	struct asked a;

	make_dir(f, "home/.cargo");
	make_dir(f, "home/.cargo/bin");
	make_file(f, "home/.cargo/bin/tool", 0755, "#!/bin/sh\n");
	set_path(f, "/usr/bin");
	(void)snprintf(f->env_path, sizeof(f->env_path), "PATH=%s:/usr/bin",
		       at(f, "home/.cargo/bin"));
	make_file(f, "floor.yaml", 0644,
		  "version: 1\nexecution: {allow: ['/usr/bin/*', tool]}\n"
		  "filesystem: {read: ['~/.cargo']}\ndata: {env: {A: {inherit: true}, B: x}}\n");
	ask(&a, f,
	    make_file(f, "p.yaml", 0644,
		      "version: 1\nname: faulty\nprofile: dev-assistant\n"
		      "filesystem: {workspace: {path: ws, mode: direct}, read: ['~/.cargo/bin']}\n"
		      "execution: {allow: [env, tool]}\n"
		      "data: {env: {A: mine}}\n"
		      "governance: {owner: me, account: team, purpose: 'to test'}\n"));
	a.req.template = make_file(f, "t.yaml", 0644, "version: 1\ntime: {wall: 1m}\n");
	option(&a, "execution.limits.memory", "1GiB");
	json_set_alloc_funcs(faulty_malloc, free);
	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		sweep(&a, operations[i]);
	}
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sweeps, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
