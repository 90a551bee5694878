/* SPDX-License-Identifier: Apache-2.0 */
/* The hash tree against the recursive definition of RFC 9162, 2.1, for every size and index. */
#include "unit.h"

#include "record/merkle.h"

#define MOST 70

static uint8_t entries[MOST][DIGEST_SIZE]; /* filled once, in main() */

/* MTH(D[n]), as it is written there. */
static void naive_root(const uint8_t (*d)[DIGEST_SIZE], uint64_t n, uint8_t out[DIGEST_SIZE])
{
	uint8_t bytes[1 + 2 * DIGEST_SIZE] = {0};
	uint64_t k = 1;

	if (n == 0) {
		digest_raw("", 0, out);
		return;
	}
	if (n == 1) {
		memcpy(bytes + 1, d[0], DIGEST_SIZE);
		digest_raw(bytes, 1 + DIGEST_SIZE, out);
		return;
	}
	while (2 * k < n) {
		k *= 2;
	}
	bytes[0] = 1;
	naive_root(d, k, bytes + 1);
	naive_root(d + k, n - k, bytes + 1 + DIGEST_SIZE);
	digest_raw(bytes, sizeof(bytes), out);
}

static void test_roots(void **state)
{
	struct merkle m = {};
	uint8_t got[DIGEST_SIZE], expected[DIGEST_SIZE];

	(void)state;
	for (uint64_t n = 0; n <= MOST; n++) {
		merkle_root(&m, got);
		naive_root(entries, n, expected);
		assert_memory_equal(got, expected, DIGEST_SIZE);
		if (n < MOST) {
			merkle_add(&m, entries[n]);
		}
	}
}

/* A proof holds for its own entry, index, size and root, and for no others. */
static void test_proofs(void **state)
{
	uint8_t root[DIGEST_SIZE], other[DIGEST_SIZE];
	struct merkle_proof p, wrong;

	(void)state;
	for (uint64_t n = 1; n <= MOST; n++) {
		naive_root(entries, n, root);
		naive_root(entries, n - 1, other);
		for (uint64_t i = 0; i < n; i++) {
			merkle_prove(entries, n, i, &p);
			assert_true(merkle_holds(&p, entries[i], root));
			assert_false(merkle_holds(&p, entries[(i + 1) % MOST], root));
			assert_false(merkle_holds(&p, entries[i], other));
			wrong = p;
			wrong.index = n;
			assert_false(merkle_holds(&wrong, entries[i], root));
			wrong = p;
			wrong.n++;
			assert_false(merkle_holds(&wrong, entries[i], root));
			for (size_t j = 0; j < p.n; j++) {
				wrong = p;
				wrong.path[j][j % DIGEST_SIZE] ^= 0x40;
				assert_false(merkle_holds(&wrong, entries[i], root));
			}
			if (p.n > 0) {
				wrong = p;
				wrong.n--;
				assert_false(merkle_holds(&wrong, entries[i], root));
			}
		}
	}
}

static void test_nonsense(void **state)
{
	struct merkle_proof p = {.index = 0, .size = 0};

	(void)state;
	assert_false(merkle_holds(&p, entries[0], entries[1]));
	p = (struct merkle_proof){.index = 0, .size = 1, .n = MERKLE_DEPTH + 1};
	assert_false(merkle_holds(&p, entries[0], entries[1]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_nonsense),
	};

	for (uint64_t i = 0; i < MOST; i++) {
		digest_raw(&i, sizeof(i), entries[i]);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
