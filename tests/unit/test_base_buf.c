/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: their maximum, what a failed append leaves, reading descriptors, giving bytes away. */
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/buf.h"

static void test_appends(void **state)
{
	_cleanup_buf_ struct buf b = {};

	(void)state;
	buf_init(&b, 100);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_adds(&b, "one"), 0);
	assert_int_equal(buf_addc(&b, ' '), 0);
	assert_int_equal(buf_addf(&b, "%d-%s", 2, "two"), 0);
	assert_int_equal(buf_add(&b, "\0x", 2), 0);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "one 2-two\0x", 12);
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_str(&b), "");
}

static void test_numbers(void **state)
{
	static const uint64_t numbers[] = {0,          9,         10,
					   99,         100,       4294967295,
					   4294967296, INT64_MAX, (uint64_t)INT64_MAX + 1,
					   UINT64_MAX};
	uint64_t power = 1;
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers) + 40; i++) {
		_cleanup_buf_ struct buf b = {};
		uint64_t n = i < ARRAY_SIZE(numbers) ? numbers[i] : i % 2 ? power : power - 1;

		power = i >= ARRAY_SIZE(numbers) && i % 2 ? power * 10 : power;
		(void)snprintf(text, sizeof(text), "%" PRIu64, n);
		buf_init(&b, strlen(text));
		assert_int_equal(buf_addu(&b, n), 0);
		assert_string_equal(buf_str(&b), text);
		assert_int_equal(buf_addu(&b, 0), -E2BIG);
		assert_string_equal(buf_str(&b), text);
	}
}

/* Every maximum around the first allocation and its doublings, filled to the last byte. */
static void test_maximum(void **state)
{
	static const size_t maxima[] = {0, 1, 2, 255, 256, 257, 511, 512, 513, 1024, 5000};
	size_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(maxima); i++) {
		_cleanup_buf_ struct buf b = {};

		buf_init(&b, maxima[i]);
		for (n = 0; n < maxima[i]; n++) {
			assert_int_equal(buf_addc(&b, (char)('a' + n % 26)), 0);
			assert_true(b.len <= b.cap && b.cap <= b.max + 1);
		}
		assert_false(b.failed);
		assert_int_equal(buf_addc(&b, 'x'), -E2BIG);
		assert_int_equal(b.len, maxima[i]);
		assert_true(b.failed);
		assert_null(buf_take(&b));
		assert_int_equal(buf_adds(&b, ""), 0);
	}
}

/* A failed append leaves the contents as they were, also when its size overflows. */
static void test_failed_append(void **state)
{
	_cleanup_buf_ struct buf b = {};

	(void)state;
	buf_init(&b, 8);
	assert_int_equal(buf_adds(&b, "12345"), 0);
	assert_int_equal(buf_adds(&b, "6789"), -E2BIG);
	assert_int_equal(buf_add(&b, "", SIZE_MAX), -E2BIG);
	assert_int_equal(buf_addf(&b, "%s", "too long"), -E2BIG);
	assert_string_equal(buf_str(&b), "12345");
	assert_true(b.failed);
	assert_int_equal(buf_adds(&b, "678"), 0);
	assert_string_equal(buf_str(&b), "12345678");
	buf_clear(&b);
	assert_false(b.failed);
}

static void test_take(void **state)
{
	struct buf b;
	char *text;

	(void)state;
	buf_init(&b, 10);
	assert_null(buf_take(&b));
	assert_int_equal(buf_adds(&b, "mine"), 0);
	text = buf_take(&b);
	assert_string_equal(text, "mine");
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 10);
	assert_null(b.data);
	free(text);
	buf_done(&b);
}

static void test_read_fd(void **state)
{
	static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000};
	_cleanup_fd_ int fd = memfd_create("unit", MFD_CLOEXEC);
	size_t i, n;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_buf_ struct buf b = {}, small = {};
		_cleanup_free_ char *data = malloc(sizes[i] + 1);

		for (n = 0; n < sizes[i]; n++) {
			data[n] = (char)(n * 7);
		}
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, data, sizes[i], 0), sizes[i]);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		buf_init(&b, sizes[i]);
		assert_int_equal(buf_read_fd(&b, fd), 0);
		assert_int_equal(b.len, sizes[i]);
		if (sizes[i]) {
			assert_memory_equal(b.data, data, sizes[i]);
			assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
			buf_init(&small, sizes[i] - 1);
			assert_int_equal(buf_read_fd(&small, fd), -E2BIG);
		}
	}
}

static void test_read_errors(void **state)
{
	_cleanup_fd_ int dir = open("/", O_RDONLY | O_CLOEXEC);
	_cleanup_buf_ struct buf b = {};

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_read_fd(&b, dir), -EISDIR);
	assert_int_equal(buf_read_fd(&b, -1), -EBADF);
	assert_true(b.failed);
}

/* Growing fails at each step in turn: -ENOMEM, and never a half-made change. */
static void grow(bool may_fail)
{
	_cleanup_buf_ struct buf b = {};
	size_t want = 0, i;
	bool failed = false;

	buf_init(&b, 100000);
	for (i = 0; i < 100; i++) {
		int r = i % 2 ? buf_adds(&b, "some words to be kept; ")
			      : buf_addf(&b, "%050d", (int)i);

		if (r < 0) {
			assert_true(may_fail);
			assert_int_equal(r, -ENOMEM);
			failed = true;
		} else {
			want += i % 2 ? 23 : 50;
		}
		assert_int_equal(b.len, want);
	}
	assert_int_equal(b.failed, failed);
}

static void test_faults(void **state)
{
	(void)state;
	unit_faults(grow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),     cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_maximum),     cmocka_unit_test(test_failed_append),
		cmocka_unit_test(test_take),        cmocka_unit_test(test_read_fd),
		cmocka_unit_test(test_read_errors), cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
