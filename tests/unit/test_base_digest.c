/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 against the examples of FIPS 180-4 and NIST's test vectors; the form of a clock's text.
 */
#include "unit.h"

#include "base/clock.h"
#include "base/digest.h"

static void test_vectors(void **state)
{
	static const struct {
		const char *text, *digest;
	} rows[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
		{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqk"
		 "lmnopqrlmnopqrsmnopqrstnopqrstu",
		 "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
	};
	_cleanup_free_ char *million = malloc(1000000);
	char digest[DIGEST_HEX_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		digest_hex(rows[i].text, strlen(rows[i].text), digest);
		assert_string_equal(digest, rows[i].digest);
	}
	memset(million, 'a', 1000000);
	digest_hex(million, 1000000, digest);
	assert_string_equal(digest,
			    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* In pieces of any length, and from a file, it is the same. */
static void test_pieces(void **state)
{
	_cleanup_fd_ int fd = open(*state, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	char data[5000], whole[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];
	size_t step, at;

	for (at = 0; at < sizeof(data); at++) {
		data[at] = (char)(at * 7 + at / 256);
	}
	digest_hex(data, sizeof(data), whole);
	for (step = 1; step <= sizeof(data); step = step * 3 + 1) {
		struct digest d;

		digest_init(&d);
		for (at = 0; at < sizeof(data); at += step) {
			digest_add(&d, data + at,
				   sizeof(data) - at < step ? sizeof(data) - at : step);
		}
		digest_end(&d, other);
		assert_string_equal(other, whole);
	}
	assert_true(fd >= 0);
	for (at = 0; at < 50; at++) {
		assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	}
	assert_int_equal(digest_file(fd, other), 0);
	assert_string_not_equal(other, whole);
	assert_int_equal(ftruncate(fd, sizeof(data)), 0);
	assert_int_equal(digest_file(fd, other), 0);
	assert_string_equal(other, whole);
	assert_int_equal(digest_file(FD_NONE, other), -EBADF);
}

/* Every pair of characters: of lower-case digits a byte, of anything else nothing, and behind the
 * end of a text nothing is looked at. */
static void test_hex(void **state)
{
	static const char digits[] = "0123456789abcdef";

	(void)state;
	for (int high = 0; high < 256; high++) {
		const char *h = high ? strchr(digits, high) : NULL;

		for (int low = 0; low < 256; low++) {
			const char *l = low ? strchr(digits, low) : NULL;
			char pair[] = {(char)high, (char)low};
			uint8_t byte = 0;

			assert_int_equal(hex_decode(pair, 1, &byte), h && l);
			assert_true(!h || !l || byte == (h - digits) * 16 + (l - digits));
		}
	}
	for (int byte = 0; byte < 256; byte++) {
		uint8_t in = (uint8_t)byte, out = (uint8_t)~byte;
		char text[3];

		hex_encode(&in, 1, text);
		assert_true(hex_decode(text, 1, &out) && out == in);
	}
	assert_false(hex_decode("", 1, &(uint8_t){0}));
}

static void test_clock(void **state)
{
	char text[CLOCK_TEXT_SIZE];
	int64_t first = clock_now_ns();
	size_t i;

	(void)state;
	clock_text(text);
	assert_int_equal(strlen(text), strlen("2026-11-21T02:46:24.000001Z"));
	for (i = 0; text[i]; i++) {
		char form = "0000-00-00T00:00:00.000000Z"[i];

		assert_true(form == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == form);
	}
	assert_true(clock_now_ns() >= first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test_setup_teardown(test_pieces, unit_dir_setup, unit_dir_teardown),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
