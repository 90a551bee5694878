/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations, CPUs, host names: what is accepted has one meaning, and reads back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "policy/hostname.h"
#include "policy/scalar.h"
#include "policy/schema.h"
#include "policy/value.h"

typedef int parse_fn(const char *s, uint64_t *ret);

struct number {
	parse_fn *parse;
	const char *text;
	int r;
	uint64_t value;
};

static const struct number numbers[] = {
	{scalar_int, "0", 0, 0},
	{scalar_int, "18446744073709551615", 0, UINT64_MAX},
	{scalar_int, "18446744073709551616", -ERANGE, 0},
	{scalar_int, "99999999999999999999999999", -ERANGE, 0},
	{scalar_int, "", -EINVAL, 0},
	{scalar_int, "+1", -EINVAL, 0},
	{scalar_int, "-1", -EINVAL, 0},
	{scalar_int, " 1", -EINVAL, 0},
	{scalar_int, "1 ", -EINVAL, 0},
	{scalar_int, "07", -EINVAL, 0},
	{scalar_int, "1_000", -EINVAL, 0},
	{scalar_size, "1", 0, 1},
	{scalar_size, "1B", 0, 1},
	{scalar_size, "1kB", 0, 1000},
	{scalar_size, "1KB", 0, 1000},
	{scalar_size, "512MB", 0, 512000000},
	{scalar_size, "2GiB", 0, 2147483648},
	{scalar_size, "16777215TiB", 0, 18446742974197923840ULL},
	{scalar_size, "16777216TiB", -ERANGE, 0},
	{scalar_size, "18446744073709551615B", 0, UINT64_MAX},
	{scalar_size, "18446744073709552kB", -ERANGE, 0},
	{scalar_size, "1k", -EINVAL, 0},
	{scalar_size, "1GIB", -EINVAL, 0},
	{scalar_size, "1 GiB", -EINVAL, 0},
	{scalar_size, "1.5GiB", -EINVAL, 0},
	{scalar_size, "GiB", -EINVAL, 0},
	{scalar_size, "1GiBx", -EINVAL, 0},
	{scalar_duration, "500ms", 0, 500000000},
	{scalar_duration, "10m", 0, 600000000000},
	{scalar_duration, "1h30m", 0, 5400000000000},
	{scalar_duration, "1d1h1m1s1ms", 0, 90061001000000},
	{scalar_duration, "0s", 0, 0},
	{scalar_duration, "106751d", 0, 9223286400000000000},
	{scalar_duration, "106752d", -ERANGE, 0},
	{scalar_duration, "106751d24h", -ERANGE, 0},
	{scalar_duration, "", -EINVAL, 0},
	{scalar_duration, "10", -EINVAL, 0},
	{scalar_duration, "1m1h", -EINVAL, 0},
	{scalar_duration, "1m1m", -EINVAL, 0},
	{scalar_duration, "1ms1s", -EINVAL, 0},
	{scalar_duration, "m", -EINVAL, 0},
	{scalar_duration, "1M", -EINVAL, 0},
	{scalar_duration, "1.5h", -EINVAL, 0},
	{scalar_duration, "1us", -EINVAL, 0},
	{scalar_rate, "20MiB/s", 0, 20 << 20},
	{scalar_rate, "4096/s", 0, 4096},
	{scalar_rate, "0/s", 0, 0},
	{scalar_rate, "20MiB", -EINVAL, 0},
	{scalar_rate, "20MiB/", -EINVAL, 0},
	{scalar_rate, "20MiB/m", -EINVAL, 0},
	{scalar_rate, "20MiB/s/s", -EINVAL, 0},
	{scalar_rate, "20/sMiB", -EINVAL, 0},
	{scalar_rate, "/s", -EINVAL, 0},
	{scalar_rate, "", -EINVAL, 0},
	{scalar_rate, "16777216TiB/s", -ERANGE, 0},
	{scalar_rate, "0000000000000000000000000000000000000000000000000000000000000000000001/s",
	 -ERANGE, 0},
	{scalar_cpus, "1", 0, 1000},
	{scalar_cpus, "0.5", 0, 500},
	{scalar_cpus, "0.05", 0, 50},
	{scalar_cpus, "1.234", 0, 1234},
	{scalar_cpus, "1.2345", -EINVAL, 0},
	{scalar_cpus, "1.", -EINVAL, 0},
	{scalar_cpus, ".5", -EINVAL, 0},
	{scalar_cpus, "1e3", -EINVAL, 0},
	{scalar_cpus, "18446744073709552", -ERANGE, 0},
};

static void test_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint64_t value = 4711;
		int r = numbers[i].parse(numbers[i].text, &value);

		if (r != numbers[i].r || value != (r < 0 ? 4711 : numbers[i].value)) {
			fail_msg("'%s': %d, %llu", numbers[i].text, r, (unsigned long long)value);
		}
	}
}

/* Spelling and reading are inverse over the edges of every unit. */
static void test_round_trip(void **state)
{
	static const uint64_t factors[] = {1,          1000,       1024,          60000000000,
					   1000000000, 1ULL << 20, 3600000000000, 86400000000000,
					   1000000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(factors); i++) {
		for (uint64_t n = 0; n < 130; n++) {
			char text[SCALAR_TEXT_SIZE];
			uint64_t back = 0, ns = factors[i] * n / 1000000 * 1000000;

			assert_int_equal(scalar_size(scalar_size_text(factors[i] * n, text), &back),
					 0);
			assert_int_equal(back, factors[i] * n);
			assert_int_equal(scalar_rate(scalar_rate_text(factors[i] * n, text), &back),
					 0);
			assert_int_equal(back, factors[i] * n);
			assert_int_equal(scalar_duration(scalar_duration_text(ns, text), &back), 0);
			assert_int_equal(back, ns);
			assert_int_equal(scalar_cpus(scalar_cpus_text(factors[i] + n, text), &back),
					 0);
			assert_int_equal(back, factors[i] + n);
		}
	}
}

static void test_hosts(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL: refused */
	} hosts[] = {
		{"example.com", "example.com"},
		{"EXAMPLE.Com.", "example.com"},
		{"localhost", "localhost"},
		{"xn--bcher-kva.de", "xn--bcher-kva.de"},
		{"*.Example.com", "*.example.com"},
		{"a1-b.c", "a1-b.c"},
		{"1and1.com", "1and1.com"},
		{"192.0.2.1", "192.0.2.1"},
		{"[2001:DB8:0:0::1]", "[2001:db8::1]"},
		{"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]"},
		{"", NULL},
		{".", NULL},
		{".com", NULL},
		{"a..b", NULL},
		{"example.com..", NULL},
		{"*", NULL},
		{"*.", NULL},
		{"*.com", NULL},
		{"**.example.com", NULL},
		{"*.*.example.com", NULL},
		{"a_b.com", NULL},
		{"a b.com", NULL},
		{"a%62.com", NULL},
		{"a\xe3\x80\x82"
		 "com",
		 NULL},
		{"b\xc3\xbc"
		 "cher.de",
		 NULL},
		{"-a.com", NULL},
		{"a-.com", NULL},
		{"ab--c.com", NULL},
		{"127.1", NULL},
		{"0x7f000001", NULL},
		{"2130706433", NULL},
		{"0177.0.0.1", NULL},
		{"192.0.2.1.", NULL},
		{"192.0.2.256", NULL},
		{"[::1", NULL},
		{"[]", NULL},
		{"[fe80::1%eth0]", NULL},
		{"[192.0.2.1]", NULL},
		{"user@example.com", NULL},
		{"example.com/x", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		char out[HOST_SIZE] = "";
		struct err e = {};
		int r = hostname_canonical(hosts[i].text, out, &e);

		if (hosts[i].canonical ? r != 0 || strcmp(out, hosts[i].canonical) != 0
				       : r != -EINVAL || e.kind != ERR_POLICY) {
			fail_msg("'%s': %d '%s' %s", hosts[i].text, r, out, e.msg);
		}
	}
}

static void test_host_lengths(void **state)
{
	char name[300], out[DESTINATION_SIZE];
	struct err e = {};

	(void)state;
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_int_equal(hostname_canonical(name, out, &e), 0);
	name[63] = 'a';
	name[64] = '\0';
	assert_int_equal(hostname_canonical(name, out, &e), -EINVAL);
	/* Four labels: 63 + 63 + 63 + 61 and three dots make 253. */
	memset(name, 'a', sizeof(name));
	name[63] = name[127] = name[191] = '.';
	name[253] = '\0';
	assert_int_equal(hostname_canonical(name, out, &e), 0);
	name[253] = '.';
	name[254] = '\0';
	assert_int_equal(hostname_canonical(name, out, &e), 0);
	assert_int_equal(strlen(out), 253);
	name[253] = 'a';
	assert_int_equal(hostname_canonical(name, out, &e), -EINVAL);
	memset(name, 'a', sizeof(name));
	name[299] = '\0';
	assert_int_equal(destination_canonical(name, out, &e), -EINVAL);
}

static void test_destinations(void **state)
{
	static const struct {
		const char *text, *canonical; /* NULL: refused */
	} rows[] = {
		{"Example.COM", "example.com:443"},
		{"example.com.:443/tls", "example.com:443"},
		{"example.com:80/http", "example.com:80"},
		{"example.com:80/tls", "example.com:80/tls"},
		{"example.com/tcp", "example.com:443/tcp"},
		{"example.com:5432/tcp", "example.com:5432"},
		{"example.com:5432/tls,private", "example.com:5432/tls,private"},
		{"*.example.com", "*.example.com:443"},
		{"[2001:DB8::1]", "[2001:db8::1]:443"},
		{"[2001:db8:0::1]:53/tcp,private", "[2001:db8::1]:53,private"},
		{"192.0.2.1:1", "192.0.2.1:1"},
		{"example.com:0", NULL},
		{"example.com:", NULL},
		{"example.com:1:2", NULL},
		{"example.com/", NULL},
		{"example.com/TCP", NULL},
		{"example.com,", NULL},
		{"example.com,private,private", NULL},
		{"example.com/tcp/tls", NULL},
		{"user@example.com", NULL},
		{"", NULL},
		{",private", NULL},
		{":443", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[DESTINATION_SIZE] = "";
		struct err e = {};
		int r = destination_canonical(rows[i].text, out, &e);

		if (rows[i].canonical ? r < 0 || strcmp(out, rows[i].canonical) != 0
				      : r != -EINVAL || e.kind != ERR_POLICY) {
			fail_msg("'%s': %d '%s' %s", rows[i].text, r, out, e.msg);
		}
	}
}

static void test_within(void **state)
{
	static const struct {
		const char *inner, *outer;
		bool within;
	} pairs[] = {
		{"a.example.com:443", "*.example.com:443", true},
		{"a.b.example.com:443", "*.example.com:443", true},
		{"*.a.example.com:443", "*.example.com:443", true},
		{"example.com:443", "*.example.com:443", false},
		{"evilexample.com:443", "*.example.com:443", false},
		{"a.example.com:444", "*.example.com:443", false},
		{"a.example.com.evil.org:443", "*.example.com:443", false},
		{"*.example.com:443", "a.example.com:443", false},
		{"*.example.com:443", "*.example.com:443", true},
		{"example.com:443", "example.com:443", true},
		{"example.com:44", "example.com:443", false},
		{"example.com", "example.com:443", true},
		{"example.com:443/tcp", "example.com:443", false},
		{"example.com:443/tls", "example.com:443/tcp", true},
		{"example.com:80/tcp", "example.com:80", false},
		{"example.com:9", "example.com:9,private", true},
		{"example.com:9,private", "example.com:9", false},
		{"*.example.com:9/tcp,private", "*.example.com:9,private", true},
		{"no name", "no name", false},
		{"example.com:443", "*:443", true},
		{"*.example.com:443", "*:443", true},
		{"*:443", "*:443", true},
		{"*:443", "*.example.com:443", false},
		{"example.com:80", "*:443", false},
		{"192.0.2.1:443", "*:443", false}, /* names only */
		{"[2001:db8::1]:443", "*:443", false},
		{"a1.example.4a:443", "*:443", true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (destination_within(pairs[i].inner, pairs[i].outer) != pairs[i].within) {
			fail_msg("%s in %s", pairs[i].inner, pairs[i].outer);
		}
	}
}

static void test_suggestions(void **state)
{
	static const struct {
		const char *typed, *meant; /* NULL: nothing is close */
	} typed[] = {
		{"nmae", "name"},
		{"memory", "execution.limits.memory"},
		{"execution.limits.proceses", "execution.limits.processes"},
		{"execution.limits.open-files", "execution.limits.open_files"},
		{"time.cpus", "time.cpu"},
		{"execution.limits.cpu", "execution.limits.cpus"},
		{"network.alow", "network.allow"},
		{"execution.alow", "execution.allow"},
		{"environment", NULL},
		{"x", NULL},
		{"", NULL},
		{"a-very-long-key-that-cannot-be-anything-at-all", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(typed); i++) {
		const struct schema_key *k = schema_suggest(typed[i].typed);

		if (typed[i].meant ? !k || strcmp(k->path, typed[i].meant) != 0 : k != NULL) {
			fail_msg("'%s': %s", typed[i].typed, k ? k->path : "nothing");
		}
	}
}

/* The table itself: each row has what its type needs. */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct schema_key *k = &schema_keys[i];

		assert_non_null(k->path);
		assert_non_null(k->doc);
		assert_ptr_equal(schema_find(k->path, strlen(k->path)), k);
		assert_int_equal(schema_id(k), i);
		if (k->type == TYPE_WORD) {
			assert_true(k->n_words > 0);
		}
		if (k->type == TYPE_INT || k->type == TYPE_SIZE || k->type == TYPE_DURATION ||
		    k->type == TYPE_CPUS) {
			/* Zero stands for "none" where that is a sense, never for "any". */
			assert_true((k->min > 0 || i == KEY_LOG || i == KEY_PAUSES ||
				     i == KEY_COOLDOWN) &&
				    k->min <= k->max);
		}
		if (schema_is_list(k)) {
			assert_non_null(k->say_none);
		}
		for (size_t j = 0; j < k->n_words; j++) {
			assert_non_null(k->words[j].say);
			assert_int_equal(schema_word(k, k->words[j].word), j);
		}
	}
}

/* Every key stands in the page that explains the table. */
static void test_documented(void **state)
{
	const char *source = getenv("ATOLL_SOURCE");
	_cleanup_buf_ struct buf page = {};
	_cleanup_fd_ int fd = FD_NONE;
	char path[4096];

	(void)state;
	assert_true(snprintf(path, sizeof(path), "%s/docs/internals/policy.md",
			     source ? source : ".") < (int)sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	buf_init(&page, 1024 * 1024);
	assert_int_equal(buf_read_fd(&page, fd), 0);
	for (size_t i = 0; i < KEY_COUNT; i++) {
		char quoted[128];

		(void)snprintf(quoted, sizeof(quoted), "`%s`", schema_keys[i].path);
		if (!strstr(buf_str(&page), quoted)) {
			fail_msg("%s is not documented", quoted);
		}
	}
}

static void test_shown(void **state)
{
	(void)state;
	assert_string_equal(shown("plain").s, "plain");
	assert_string_equal(shown("a\033[31mb").s, "a\\x1b[31mb");
	assert_string_equal(
		shown("0123456789012345678901234567890123456789012345678901234567890123").s,
		"012345678901234567890123456789012345678901234567890123456789...");
	/* Cut between characters, never inside one. */
	assert_string_equal(
		shown("01234567890123456789012345678901234567890123456789012345678\xc3\xbc\xc3\xbc")
			.s,
		"01234567890123456789012345678901234567890123456789012345678...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),      cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_hosts),        cmocka_unit_test(test_host_lengths),
		cmocka_unit_test(test_destinations), cmocka_unit_test(test_within),
		cmocka_unit_test(test_suggestions),  cmocka_unit_test(test_table),
		cmocka_unit_test(test_shown),        cmocka_unit_test(test_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
