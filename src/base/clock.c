/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

int64_t clock_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_real_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_stamp_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ".uuuuuuZ" */
#define FRACTION 8

void clock_format(struct clock_second *s, int64_t second, long nanoseconds,
		  char out[CLOCK_TEXT_SIZE])
{
	struct clock_second own = {};
	long left = nanoseconds / 1000;
	time_t t = second;
	struct tm tm;
	char *end;

	s = s ? s : &own;
	if (s->len == 0 || s->second != second) {
		(void)gmtime_r(&t, &tm);
		s->second = second;
		s->len = strftime(s->text, CLOCK_TEXT_SIZE - FRACTION, "%Y-%m-%dT%H:%M:%S", &tm);
	}
	memcpy(out, s->text, s->len);
	end = out + s->len;
	end[0] = '.';
	for (int i = 6; i > 0; i--, left /= 10) {
		end[i] = (char)('0' + left % 10);
	}
	memcpy(end + 7, "Z", 2);
}

void clock_text_again(struct clock_second *s, char out[CLOCK_TEXT_SIZE])
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	clock_format(s, ts.tv_sec, ts.tv_nsec, out);
}

void clock_text(char out[CLOCK_TEXT_SIZE])
{
	clock_text_again(NULL, out);
}
