/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that have a meaning of their own: the borders of each range, and what is inside others.
 */
#include "unit.h"

#include "policy/address.h"

static void test_special(void **state)
{
	static const struct {
		const char *host, *what; /* part of the words; NULL: an ordinary address */
	} rows[] = {
		{"0.0.0.0", "this network"},
		{"0.255.255.255", "this network"},
		{"1.0.0.0", NULL},
		{"9.255.255.255", NULL},
		{"10.0.0.0", "private"},
		{"10.255.255.255", "private"},
		{"11.0.0.0", NULL},
		{"100.63.255.255", NULL},
		{"100.64.0.0", "provider"},
		{"100.100.100.200", "metadata"},
		{"100.127.255.255", "provider"},
		{"100.128.0.0", NULL},
		{"127.0.0.1", "loopback"},
		{"127.255.255.255", "loopback"},
		{"169.253.255.255", NULL},
		{"169.254.0.1", "link-local"},
		{"169.254.169.254", "metadata"},
		{"172.15.255.255", NULL},
		{"172.16.0.0", "private"},
		{"172.31.255.255", "private"},
		{"172.32.0.0", NULL},
		{"192.0.2.1", "documentation"},
		{"192.167.255.255", NULL},
		{"192.168.0.0", "private"},
		{"192.169.0.0", NULL},
		{"198.17.255.255", NULL},
		{"198.18.0.0", "benchmarks"},
		{"198.19.255.255", "benchmarks"},
		{"198.20.0.0", NULL},
		{"223.255.255.255", NULL},
		{"224.0.0.1", "multicast"},
		{"239.255.255.255", "multicast"},
		{"240.0.0.1", "reserved"},
		{"255.255.255.255", "reserved"},
		{"8.8.8.8", NULL},
		{"[::]", "this network"},
		{"[::1]", "loopback"},
		{"[::2]", "reserved"},
		{"[::ffff:127.0.0.1]", "loopback"},
		{"[::ffff:8.8.8.8]", NULL},
		{"[::127.0.0.1]", "reserved"},
		{"[64:ff9b::10.0.0.1]", "private"},
		{"[64:ff9b::8.8.8.8]", NULL},
		{"[64:ff9b:1::1]", "reserved"},
		{"[100::1]", "reserved"},
		{"[1fff::1]", "reserved"},
		{"[2000::1]", NULL},
		{"[2001::1]", "reserved"},
		{"[2001:1ff::1]", "reserved"},
		{"[2001:200::1]", NULL},
		{"[2001:db8::1]", "documentation"},
		{"[2002::1]", "tunnel"},
		{"[2606:4700::1111]", NULL},
		{"[3fff::1]", "documentation"},
		{"[3fff:1000::1]", NULL},
		{"[4000::1]", "reserved"},
		{"[fc00::1]", "private"},
		{"[fd00:ec2::254]", "metadata"},
		{"[fdff::1]", "private"},
		{"[fe00::1]", "reserved"},
		{"[fe80::1]", "link-local"},
		{"[febf::1]", "link-local"},
		{"[ff02::1]", "multicast"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct address a;
		const char *what;

		assert_true(address_parse(rows[i].host, &a));
		what = address_special(&a);
		assert_int_equal(address_is_metadata(&a), what && strstr(what, "metadata"));
		if (!what != !rows[i].what || (what && !strstr(what, rows[i].what))) {
			fail_msg("%s: %s", rows[i].host, what ? what : "ordinary");
		}
	}
}

static void test_meant(void **state)
{
	static const struct {
		const char *host, *meant;
	} cases[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"[::ffff:192.0.2.1]", "192.0.2.1"},
		{"[64:ff9b::192.0.2.1]", "192.0.2.1"},
		{"[::192.0.2.1]", "[::192.0.2.1]"},
		{"[2001:db8::1]", "[2001:db8::1]"},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct address a, expected, meant;

		assert_true(address_parse(cases[i].host, &a));
		assert_true(address_parse(cases[i].meant, &expected));
		meant = address_meant(&a);
		assert_int_equal(meant.family, expected.family);
		assert_memory_equal(&meant.v6, &expected.v6,
				    meant.family == AF_INET ? sizeof(meant.v4) : sizeof(meant.v6));
	}
}

static void test_parse(void **state)
{
	static const char *const bad[] = {"",     "a.example",   "127.1", "::1",      "[::1",
					  "::1]", "[127.0.0.1]", "[]",    "1.2.3.4.", "[::1]x"};
	struct address a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (address_parse(bad[i], &a)) {
			fail_msg("'%s'", bad[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_special),
					   cmocka_unit_test(test_meant),
					   cmocka_unit_test(test_parse)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
