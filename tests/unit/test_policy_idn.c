/* SPDX-License-Identifier: Apache-2.0 */
/* Names outside ASCII in rules: the form of the DNS, whatever the spelling. */
#include "unit.h"

#include "base/err.h"
#include "policy/hostname.h"
#include "policy/idn.h"

#define BUECHER "b\303\274cher.example" /* NFC */

static void test_names(void **state)
{
	static const struct {
		const char *text, *ascii; /* NULL: refused */
	} rows[] = {
		{"example.com:443/tcp,private", "example.com:443/tcp,private"},
		{"Example.COM.", "Example.COM."}, /* not ours to change */
		{"*", "*"},
		{"", ""},
		{BUECHER, "xn--bcher-kva.example"},
		{"B\303\234CHER.Example", "xn--bcher-kva.example"},
		{"bu\314\210cher.example", "xn--bcher-kva.example"}, /* NFD */
		{"*." BUECHER ":80/http,private", "*.xn--bcher-kva.example:80/http,private"},
		{BUECHER ":8080", "xn--bcher-kva.example:8080"},
		{"fa\303\237.example", "xn--fa-hia.example"}, /* nontransitional */
		/* Full width letters, and the full stop of East Asia. */
		{"\357\275\205\357\275\230\343\200\202example", "ex.example"},
		{"\320\260.example", "xn--80a.example"}, /* a Cyrillic a is none of ours */
		{"xn--bcher-kva." BUECHER, "xn--bcher-kva.xn--bcher-kva.example"},
		{"*\303\274.example", NULL}, /* nothing is left out */
		{"\357\274\212\303\274.example", NULL},
		{"a.\357\274\212\303\274.example", NULL},
		{"\303\274_x.example", NULL}, /* no letter, digit or hyphen */
		{"\303\274 x.example", NULL},
		/* Full width forms of * : / , are no rule's. */
		{"\357\274\212.example", NULL},
		{"\357\274\212.good.example", NULL},
		{"a.example\357\274\232443", NULL},
		{"a.example\357\274\217tcp", NULL},
		{"a.example\357\274\214private", NULL},
		{"\357\274\217\303\274.example", NULL},
		{"-\303\274.example", NULL},
		{"\330\247a.example", NULL}, /* two directions in one label (RFC 5893) */
		{"\303\274.xn--99zzzz9999.example", NULL},
		{"[::1\303\274]", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[DESTINATION_SIZE] = "", canonical[DESTINATION_SIZE];
		struct err e = {}, ignored = {};
		int r = idn_to_ascii(rows[i].text, out, sizeof(out), &e);

		/* What the conversion lets through may still be no name. */
		if (!rows[i].ascii && r >= 0) {
			r = destination_canonical(out, canonical, &ignored);
			e.kind = ignored.kind;
		}
		if (rows[i].ascii ? r < 0 || strcmp(out, rows[i].ascii) != 0
				  : r != -EINVAL || e.kind != ERR_POLICY) {
			fail_msg("'%s': %d '%s' %s", rows[i].text, r, out, e.msg);
		}
	}
}

static void test_too_long(void **state)
{
	char text[4096], out[DESTINATION_SIZE];
	struct err e = {};

	(void)state;
	for (size_t len = 1; len < sizeof(text) - 4; len = len * 2 + 1) {
		memset(text, 'a', len);
		memcpy(text + len, "\303\274", 3);
		if (len > 60) {
			assert_int_equal(idn_to_ascii(text, out, sizeof(out), &e), -EINVAL);
		}
	}
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(idn_to_ascii(text, out, sizeof(out), &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
