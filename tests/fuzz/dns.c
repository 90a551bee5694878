/* SPDX-License-Identifier: Apache-2.0 */
/* Questions of the DNS: a name that is taken is in one form, and what is answered adds up. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good) {
		abort();
	}
}

/* Labels of 1 to 63 letters in lower case, digits, '-' and '_'; or the root. */
static void check_name(const char *name)
{
	const char *label = name;

	must(strlen(name) <= DNS_NAME_MAX);
	must(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name));
	while (*name) {
		size_t n = strcspn(label, ".");

		must(n > 0 && n <= 63);
		if (!label[n]) {
			break;
		}
		label += n + 1;
	}
}

static unsigned number(const uint8_t *m, size_t len, size_t at)
{
	must(at + 2 <= len);
	return (unsigned)m[at] << 8 | m[at + 1];
}

/* Behind a name as answers have them: labels, or a pointer to the question. */
static size_t skip_name(const uint8_t *m, size_t len, size_t at)
{
	if (at < len && m[at] >= 0xc0) {
		must(number(m, len, at) == 0xc00c);
		return at + 2;
	}
	while (at < len && m[at]) {
		at += 1 + (size_t)m[at];
	}
	must(at < len);
	return at + 1;
}

static void check_answer(const struct dns_question *q, const uint8_t *m, size_t len)
{
	size_t at = 12, records;

	must(number(m, len, 0) == q->id && number(m, len, 2) & 0x8000 && number(m, len, 4) <= 1);
	if (number(m, len, 4)) {
		must(len - at >= q->asked_len && !memcmp(m + at, q->asked, q->asked_len));
		at = skip_name(m, len, at) + 4;
		must(at == 12 + q->asked_len);
	}
	records = number(m, len, 6) + number(m, len, 8) + number(m, len, 10);
	must(records <= 2 && number(m, len, 6) + number(m, len, 8) <= 1);
	while (records-- > 0) {
		at = skip_name(m, len, at);
		at += 10 + number(m, len, at + 8);
	}
	must(at == len);
}

static void check_written(const struct dns_question *q, enum dns_rcode rcode)
{
	static const size_t sizes[] = {0, 11, 12, 13, 40, 60, 100, 300, 512, 700, 70000};
	struct in6_addr a6 = {};
	struct in_addr a4 = {};
	struct dns_answer a = {.rcode = rcode,
			       .a = &a4,
			       .aaaa = &a6,
			       .ptr = q->plain ? q->name : NULL,
			       .ede = q->id % 30 - 1,
			       .ede_text = q->id & 0x8000 ? "a text" : NULL};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *out = malloc(sizes[i] ? sizes[i] : 1);
		size_t n;

		must(out != NULL);
		n = dns_write(q, &a, out, sizes[i]);
		must(n <= sizes[i] && (n > 0) == (sizes[i] >= 12));
		/* Cut only where it has to be. */
		must(sizes[i] < 700 || !(out[2] & 2));
		if (n > 0) {
			check_answer(q, out, n);
		}
		free(out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_question q = {};
	int r = dns_parse(data, size, &q);

	if (r < 0) {
		must(r == -EINVAL);
		return 0;
	}
	must(q.udp_size >= DNS_UDP_MIN && q.udp_size <= DNS_UDP_MAX && q.asked_len <= size);
	must(r != 0 || (q.asked_len >= 5 && q.class == DNS_IN && q.opcode == 0));
	must(!q.asked_len || !memcmp(q.asked, data + 12, q.asked_len));
	if (q.asked_len > 0 && q.plain) {
		check_name(q.name);
	}
	check_written(&q, (enum dns_rcode)r);
	if (r == 0) {
		check_written(&q, DNS_NXDOMAIN);
		check_written(&q, DNS_SERVFAIL);
	}
	return 0;
}
