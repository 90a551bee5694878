/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, durations and CPUs. */
#include "policy/scalar.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"kB", 1000},
	{"KB", 1000},
	{"MB", 1000000},
	{"GB", 1000000000},
	{"TB", 1000000000000},
	{"KiB", 1ULL << 10},
	{"MiB", 1ULL << 20},
	{"GiB", 1ULL << 30},
	{"TiB", 1ULL << 40},
};

static const struct unit time_units[] = {
	{"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000},
	{"s", 1000000000},     {"ms", 1000000},
};

/* Reads a run of digits and moves past it. */
static int take_digits(const char **s, uint64_t *ret)
{
	const char *p = *s;
	uint64_t n = 0;

	if (*p < '0' || *p > '9') {
		return -EINVAL;
	}
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n)) {
			return -ERANGE;
		}
	}
	*s = p;
	*ret = n;
	return 0;
}

int scalar_int(const char *s, uint64_t *ret)
{
	uint64_t n;
	int r;

	if (s[0] == '0' && s[1] != '\0') {
		return -EINVAL; /* octal in some YAML, decimal in others */
	}
	r = take_digits(&s, &n);
	if (r < 0) {
		return r;
	}
	if (*s != '\0') {
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

int scalar_size(const char *s, uint64_t *ret)
{
	uint64_t n;
	int r = take_digits(&s, &n);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(size_units); i++) {
		if (strcmp(s, size_units[i].name) == 0) {
			if (__builtin_mul_overflow(n, size_units[i].factor, &n)) {
				return -ERANGE;
			}
			*ret = n;
			return 0;
		}
	}
	return -EINVAL;
}

int scalar_rate(const char *s, uint64_t *ret)
{
	char size[SCALAR_TEXT_SIZE];
	const char *slash = strchr(s, '/');
	size_t len = slash ? (size_t)(slash - s) : 0;

	if (!slash || strcmp(slash, "/s") != 0) {
		return -EINVAL;
	}
	if (len >= sizeof(size)) {
		return -ERANGE;
	}
	memcpy(size, s, len);
	size[len] = '\0';
	return scalar_size(size, ret);
}

/* Length of the letters at s. */
static size_t letters(const char *s)
{
	size_t n = 0;

	while (s[n] >= 'a' && s[n] <= 'z') {
		n++;
	}
	return n;
}

int scalar_duration(const char *s, uint64_t *ret)
{
	uint64_t total = 0;
	size_t next = 0; /* the largest unit that may still come */

	if (*s == '\0') {
		return -EINVAL;
	}
	while (*s != '\0') {
		uint64_t n;
		size_t len, i = next;
		int r = take_digits(&s, &n);

		if (r < 0) {
			return r;
		}
		len = letters(s);
		while (i < ARRAY_SIZE(time_units) && (strlen(time_units[i].name) != len ||
						      memcmp(time_units[i].name, s, len) != 0)) {
			i++;
		}
		if (i == ARRAY_SIZE(time_units)) {
			return -EINVAL;
		}
		if (__builtin_mul_overflow(n, time_units[i].factor, &n) ||
		    __builtin_add_overflow(total, n, &total) || total > INT64_MAX) {
			return -ERANGE;
		}
		next = i + 1;
		s += len;
	}
	*ret = total;
	return 0;
}

int scalar_cpus(const char *s, uint64_t *ret)
{
	uint64_t n, scale = 100;
	int r = take_digits(&s, &n);

	if (r < 0) {
		return r;
	}
	if (__builtin_mul_overflow(n, (uint64_t)1000, &n)) {
		return -ERANGE;
	}
	if (*s == '.') {
		s++;
		if (*s == '\0') {
			return -EINVAL;
		}
		for (; *s >= '0' && *s <= '9' && scale > 0; s++, scale /= 10) {
			if (__builtin_add_overflow(n, (uint64_t)(*s - '0') * scale, &n)) {
				return -ERANGE;
			}
		}
	}
	if (*s != '\0') {
		return -EINVAL;
	}
	*ret = n;
	return 0;
}

const char *scalar_size_text(uint64_t bytes, char out[SCALAR_TEXT_SIZE])
{
	const struct unit *best = &size_units[0];

	for (size_t i = 1; i < ARRAY_SIZE(size_units); i++) {
		const struct unit *u = &size_units[i];

		/* A decimal unit only when no binary one fits: 1000000 is 1MB, 1024 is 1KiB. */
		if (bytes > 0 && bytes % u->factor == 0 &&
		    bytes / u->factor < bytes / best->factor) {
			best = u;
		}
	}
	(void)snprintf(out, SCALAR_TEXT_SIZE, "%llu%s", (unsigned long long)(bytes / best->factor),
		       best->factor == 1 ? "B" : best->name);
	return out;
}

const char *scalar_rate_text(uint64_t bytes, char out[SCALAR_TEXT_SIZE])
{
	char size[SCALAR_TEXT_SIZE];

	(void)snprintf(out, SCALAR_TEXT_SIZE, "%.*s/s", SCALAR_TEXT_SIZE - 3,
		       scalar_size_text(bytes, size));
	return out;
}

const char *scalar_duration_text(uint64_t ns, char out[SCALAR_TEXT_SIZE])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++) {
		uint64_t n = ns / time_units[i].factor;

		ns %= time_units[i].factor;
		if (n > 0) {
			used += (size_t)snprintf(out + used, SCALAR_TEXT_SIZE - used, "%llu%s",
						 (unsigned long long)n, time_units[i].name);
		}
	}
	if (used == 0) {
		(void)snprintf(out, SCALAR_TEXT_SIZE, "0ms");
	}
	return out;
}

const char *scalar_cpus_text(uint64_t milli, char out[SCALAR_TEXT_SIZE])
{
	int n = snprintf(out, SCALAR_TEXT_SIZE, "%llu.%03llu", (unsigned long long)(milli / 1000),
			 (unsigned long long)(milli % 1000));

	while (n > 0 && out[n - 1] == '0') {
		out[--n] = '\0';
	}
	if (n > 0 && out[n - 1] == '.') {
		out[--n] = '\0';
	}
	return out;
}
