/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 against the vectors of RFC 8032, and keys as PEM against what openssl(1) writes. */
#include "unit.h"

#include "base/digest.h"
#include "base/sign.h"

/* RFC 8032, 7.1, tests 1 to 3. */
static const struct {
	const char *secret, *public, *message, *signature;
} vectors[] = {
	{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	 "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
	 "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
	 "c"
	 "f9b46bd25bf5f0595bbe24655141438e7a100b"},
	{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	 "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
	 "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d"
	 "0"
	 "f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
	{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	 "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
	 "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
	 "84"
	 "dc6594a7c15e9716ed28dc027beceea1ec40a"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t message[8], expected[SIGN_SIZE], got[SIGN_SIZE];
		size_t len = strlen(vectors[i].message) / 2;
		struct sign_key k;

		assert_true(hex_decode(vectors[i].secret, SIGN_KEY_SIZE, k.secret));
		assert_true(hex_decode(vectors[i].public, SIGN_KEY_SIZE, k.public));
		assert_true(hex_decode(vectors[i].message, len, message));
		assert_true(hex_decode(vectors[i].signature, SIGN_SIZE, expected));
		sign(&k, message, len, got);
		assert_memory_equal(got, expected, SIGN_SIZE);
		assert_true(sign_verify(k.public, message, len, got));
		for (size_t bit = 0; bit < 8UL * SIGN_SIZE; bit++) {
			got[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(sign_verify(k.public, message, len, got));
			got[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_false(sign_verify(k.public, "other", 5, got));
	}
}

/* RFC 8410, 10.3 and 10.1. */
static const char secret_pem[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
	"-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
				 "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
				 "-----END PUBLIC KEY-----\n";

static void test_pem(void **state)
{
	uint8_t public[SIGN_KEY_SIZE];
	char pem[SIGN_PEM_SIZE];
	struct sign_key k, again;

	(void)state;
	assert_true(sign_secret_from_pem(secret_pem, &k));
	assert_true(sign_public_from_pem(public_pem, public));
	assert_memory_equal(k.public, public, sizeof(public));
	sign_secret_to_pem(&k, pem);
	assert_string_equal(pem, secret_pem);
	sign_public_to_pem(public, pem);
	assert_string_equal(pem, public_pem);
	assert_int_equal(sign_generate(&k), 0);
	sign_secret_to_pem(&k, pem);
	assert_true(sign_secret_from_pem(pem, &again));
	assert_memory_equal(&k, &again, sizeof(k));
	sign_key_done(&again);
	assert_memory_not_equal(&k, &again, sizeof(k));
}

static void test_wrong_pem(void **state)
{
	static const char *const wrong[] = {
		"",
		"-----BEGIN PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----\n",
		/* of X25519 */
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
		"-----END PRIVATE KEY-----\n",
		/* a byte less, and one more */
		"-----BEGIN PRIVATE KEY-----\n"
		"MC0CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVg=\n"
		"-----END PRIVATE KEY-----\n",
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhCAA==\n"
		"-----END PRIVATE KEY-----\n",
		public_pem,
	};
	char longest[2 * SIGN_PEM_SIZE];
	struct sign_key k;
	uint8_t public[SIGN_KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_false(sign_secret_from_pem(wrong[i], &k));
	}
	assert_false(sign_public_from_pem(secret_pem, public));
	memset(longest, 'A', sizeof(longest));
	memcpy(longest, secret_pem, strlen("-----BEGIN PRIVATE KEY-----\n"));
	longest[sizeof(longest) - 1] = '\0';
	assert_false(sign_secret_from_pem(longest, &k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_pem),
		cmocka_unit_test(test_wrong_pem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
