/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of HTTP: whom they are for, where they end, and what could be read in two ways. */
#include "unit.h"

#include "wire/http.h"

#define GET   "GET / HTTP/1.1\r\n"
#define POST  "POST / HTTP/1.1\r\nHost: a\r\n"
#define X8(s) s s s s s s s s
#define L62   X8("abcdefg") "abcdef"
#define N255  L62 "." L62 "." L62 "." X8("abcdefg.") "ab"

#define BYTES(string) string, sizeof(string) - 1

/* What is there may stop anywhere: memory ends where it ends, so that a sanitizer sees a read
 * beyond. */
static int head(const char *bytes, size_t len, struct http_request *r, const char **why)
{
	_cleanup_free_ char *exact = malloc(len ? len : 1);

	memcpy(exact, bytes, len);
	return http_request_head(exact, len, r, why);
}

/* What is said of the bytes; a part of them gives the same or nothing, more give the same. */
static int verdict(const char *bytes, size_t len, struct http_request *r, const char **why)
{
	_cleanup_free_ char *more = malloc(len + 40);
	int said = -EAGAIN, now, last = head(bytes, len, r, why);
	struct http_request other = {};
	const char *unused;

	for (size_t n = 0; n < len; n++) {
		now = head(bytes, n, &other, &unused);
		if ((now != said && said != -EAGAIN) || (now != last && now != -EAGAIN)) {
			fail_msg("%zu of %zu bytes: %d, not %d", n, len, now, last);
		}
		if (now == 0) {
			assert_true(last == 0 && n >= r->head);
		}
		said = now;
	}
	if (last != -EAGAIN) {
		memcpy(more, bytes, len);
		(void)snprintf(more + len, 40, "GET / HTTP/1.1\r\nHost: other\r\n\r\n");
		assert_int_equal(head(more, len + strlen("GET / HTTP/1.1\r\nHost: other\r\n\r\n"),
				      &other, &unused),
				 last);
		assert_true(last != 0 || other.head == r->head);
		assert_true(last != 0 || strcmp(other.host, r->host) == 0);
	}
	return last;
}

static const struct {
	const char *bytes;
	const char *host;
	int port;
	const char *flags; /* c: CONNECT, u: upgrade, e: expect, k: chunked */
	uint64_t length;
} good[] = {
	{GET "Host: a\r\n\r\n", "a", -1, "", 0},
	{GET "hOsT:eXAMPLE.com:8080\r\n\r\n", "example.com", 8080, "", 0},
	{GET "Host: \t a.b \t\r\nX: \t\r\n\r\n", "a.b", -1, "", 0},
	{GET "Host: a.b.\r\n\r\n", "a.b.", -1, "", 0},
	{GET "Host: my_host-1\r\n\r\n", "my_host-1", -1, "", 0},
	{GET "Host: 127.0.0.1:1\r\n\r\n", "127.0.0.1", 1, "", 0},
	{GET "Host: [::1]\r\n\r\n", "[::1]", -1, "", 0},
	{GET "Host: [FD00::A:1.2.3.4]:65535\r\n\r\n", "[fd00::a:1.2.3.4]", 65535, "", 0},
	{GET "Host: " N255 "\r\n\r\n", N255, -1, "", 0},
	{"GET /a?b=http://c@d/%00|{}\"\\ HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"GET //b/ HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"ABCDEFGHIJKLMNOPQRSTUVW / HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"GET / HTTP/1.0\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{GET "!#$%&'*+-.^_`|~aZ09: \x80\xff\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{GET "Content: 5\r\nHost: a\r\nHosts: b\r\nX-Host: c\r\n\r\n", "a", -1, "", 0},
	/* Targets that name a host. */
	{"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"GET hTTp://A/b@c HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"GET http://a?b@c:d HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", "a", 80, "", 0},
	{"GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", "a", 80, "", 0},
	{"GET http://a:81/ HTTP/1.1\r\nHost: a:81\r\n\r\n", "a", 81, "", 0},
	{"GET http://[::1]:81/ HTTP/1.0\r\n\r\n", "[::1]", 81, "", 0},
	{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", "a", -1, "", 0},
	{"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "a", 443, "c", 0},
	{"CONNECT A.b:22 HTTP/1.1\r\nHost: a.B\r\nContent-Length: 0\r\n\r\n", "a.b", 22, "c", 0},
	{"CONNECT [::1]:22 HTTP/1.0\r\n\r\n", "[::1]", 22, "c", 0},
	/* Bodies and what comes after them. */
	{POST "Content-Length: 0\r\n\r\n", "a", -1, "", 0},
	{POST "content-LENGTH:5\r\n\r\nhello", "a", -1, "", 5},
	{POST "Content-Length: 9223372036854775807\r\n\r\n", "a", -1, "", INT64_MAX},
	{POST "Transfer-Encoding: chunked\r\n\r\n", "a", -1, "k", 0},
	{POST "Transfer-Encoding:\tChunKed \r\n\r\n", "a", -1, "k", 0},
	{POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", "a", -1, "e", 1},
	{GET "Host: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n", "a", -1, "u",
	 0},
	{GET "Host: a\r\nUpgrade: websocket\r\nupgrade: x\r\n\r\n", "a", -1, "u", 0},
	{GET "Host: a\r\nConnection: keep-alive, , close\r\n\r\n", "a", -1, "", 0},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", -1, "u", 0},
};

static bool has(const char *flags, char flag, bool is)
{
	return (strchr(flags, flag) != NULL) == is;
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const char *text = good[i].bytes, *flags = good[i].flags, *why = "", *end;
		struct http_request r = {};
		int is = verdict(text, strlen(text), &r, &why);

		end = strstr(text, "\r\n\r\n") + 4;
		if (is != 0 || strcmp(r.host, good[i].host) != 0 || r.port != good[i].port ||
		    r.length != good[i].length || r.head != (size_t)(end - text)) {
			fail_msg("row %zu: %d (%s), '%s', %d, %zu", i, is, why, r.host, r.port,
				 r.head);
		}
		if (!has(flags, 'c', r.connect) || !has(flags, 'u', r.upgrade) ||
		    !has(flags, 'e', r.expect) || !has(flags, 'k', r.chunked)) {
			fail_msg("row %zu: not '%s'", i, flags);
		}
		assert_memory_equal(r.method, text, strlen(r.method));
		assert_int_equal(text[strlen(r.method)], ' ');
	}
}

#define METHOD   "it does not begin with a method"
#define VERSION  "its version is neither HTTP/1.1 nor HTTP/1.0"
#define FORM     "its target is of no form that it may have"
#define TARGET   "a byte of its target has no place there"
#define OTHER    "its target and Host name different hosts"
#define NO_HOST  "Host is no host"
#define MISSING  "Host is missing"
#define TWICE    "a field that may be there once is there twice"
#define LENGTH   "Content-Length is no length"
#define CODING   "its coding is not chunked"
#define BOTH     "it has Content-Length and Transfer-Encoding"
#define ALONE    "a line ends with CR or LF alone"
#define CONTROL  "there is a control byte in it"
#define FOLDED   "a line is folded"
#define BLANK    "a blank stands before a colon"
#define NO_FIELD "a line is no field"
#define TAKEN    "a field has a name that some take for another"
#define PRI      "PRI is only for HTTP/2"
#define TUNNEL   "CONNECT needs a host and a port"
#define STAY     "Connection names a field that has to stay"

static const struct {
	const char *bytes;
	size_t len;
	const char *why;
} bad[] = {
	/* Not the beginning of a request. */
	{BYTES("\r\n" GET), METHOD},
	{BYTES(" GET"), METHOD},
	{BYTES("get / "), METHOD},
	{BYTES("-GET"), METHOD},
	{BYTES("GET\t/ HTTP/1.1\r\n"), METHOD},
	{BYTES("GET\r\n"), METHOD},
	{BYTES("G\0T / HTTP/1.1\r\n"), METHOD},
	{BYTES("ABCDEFGHIJKLMNOPQRSTUVWX / HTTP/1.1\r\n"), METHOD},
	{BYTES("\x16\3\1\2"), METHOD},
	/* Versions. */
	{BYTES("GET / HTTP/2.0\r\n"), VERSION},
	{BYTES("GET / HTTP/1.2\r\n"), VERSION},
	{BYTES("GET / HTTP/0.9\r\n"), VERSION},
	{BYTES("GET / HTTP/1.10\r\n"), VERSION},
	{BYTES("GET / HTTP/01.1\r\n"), VERSION},
	{BYTES("GET / http/1.1\r\n"), VERSION},
	{BYTES("GET / HTTP/1.1 \r\n"), VERSION},
	{BYTES("GET /  HTTP/1.1\r\n"), VERSION},
	{BYTES("GET  / HTTP/1.1\r\n"), VERSION},
	{BYTES("GET / x HTTP/1.1\r\n"), VERSION},
	{BYTES("GET /\tHTTP/1.1\r\n"), VERSION},
	{BYTES("GET /\r\n"), VERSION},
	{BYTES("GET \r\n"), VERSION},
	{BYTES("OPTIONS * HTTP/2.0\r\n\r\n"), VERSION},
	{BYTES("PRI * HTTP/1.1\r\n"), PRI},
	{BYTES("PRI / HTTP/2.0\r\n"), PRI},
	{BYTES("PRI * HTTP/2.0 \r\n"), PRI},
	{BYTES("PRI * HTTP/2.0\r\nHost: a\r\n\r\n"), PRI},
	/* Targets. */
	{BYTES("GET * HTTP/1.1\r\n"), FORM},
	{BYTES("OPTIONS ** HTTP/1.1\r\n"), FORM},
	{BYTES("GET a HTTP/1.1\r\n"), FORM},
	{BYTES("GET a:443 HTTP/1.1\r\n"), FORM},
	{BYTES("GET https://a/ HTTP/1.1\r\n"), FORM},
	{BYTES("GET ftp://a/ HTTP/1.1\r\n"), FORM},
	{BYTES("GET http:/a/ HTTP/1.1\r\n"), FORM},
	{BYTES("GET /a#b HTTP/1.1\r\n"), TARGET},
	{BYTES("GET http://a#@b/ HTTP/1.1\r\n"), TARGET},
	{BYTES("GET /\xc3\xbc HTTP/1.1\r\n"), TARGET},
	{BYTES("GET /\tx HTTP/1.1\r\n"), TARGET},
	{BYTES("GET http:// HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES("GET http:///a HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES("GET http://u@a/ HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES("GET http://a:80@b/ HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES("GET http://a\\@b/ HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES("GET http://a%2eb/ HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"), OTHER},
	{BYTES("GET http://a/ HTTP/1.1\r\nHost: a.\r\n\r\n"), OTHER},
	{BYTES("GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n"), OTHER},
	{BYTES("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"), OTHER},
	{BYTES("GET http://a/ HTTP/1.1\r\n\r\n"), MISSING},
	{BYTES("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"), OTHER},
	{BYTES("CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n"), OTHER},
	{BYTES("CONNECT a:443 HTTP/1.1\r\n\r\n"), MISSING},
	{BYTES("CONNECT a HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a: HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:0 HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:65537 HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:0443 HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:443@b HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:443@b:443 HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT u:p@a:443 HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT http://a:443/ HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT /a HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT * HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:443/ HTTP/1.1\r\n"), TUNNEL},
	{BYTES("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
	 "CONNECT has no body"},
	{BYTES("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
	 "CONNECT has no body"},
	/* Hosts. */
	{BYTES(GET "\r\n"), MISSING},
	{BYTES("GET / HTTP/1.0\r\n\r\n"), MISSING},
	{BYTES(GET "Host:\r\n"), NO_HOST},
	{BYTES(GET "Host: a\r\nHost: a\r\n"), TWICE},
	{BYTES(GET "Host: a\r\nX: y\r\nhost: b\r\n"), TWICE},
	{BYTES(GET "Host: a b\r\n"), NO_HOST},
	{BYTES(GET "Host: a, b\r\n"), NO_HOST},
	{BYTES(GET "Host: a/b\r\n"), NO_HOST},
	{BYTES(GET "Host: a?b\r\n"), NO_HOST},
	{BYTES(GET "Host: u@a\r\n"), NO_HOST},
	{BYTES(GET "Host: allowed:x@attacker\r\n"), NO_HOST},
	{BYTES(GET "Host: allowed:80@attacker\r\n"), NO_HOST},
	{BYTES(GET "Host: a%00b\r\n"), NO_HOST},
	{BYTES(GET "Host: a\xe3\x80\x82"
		   "b\r\n"),
	 NO_HOST},
	{BYTES(GET "Host: *.a\r\n"), NO_HOST},
	{BYTES(GET "Host: a:\r\n"), NO_HOST},
	{BYTES(GET "Host: :80\r\n"), NO_HOST},
	{BYTES(GET "Host: a:0\r\n"), NO_HOST},
	{BYTES(GET "Host: a:65536\r\n"), NO_HOST},
	{BYTES(GET "Host: a:65537\r\n"), NO_HOST},
	{BYTES(GET "Host: a:18446744073709551696\r\n"), NO_HOST},
	{BYTES(GET "Host: a:+80\r\n"), NO_HOST},
	{BYTES(GET "Host: a:8x\r\n"), NO_HOST},
	{BYTES(GET "Host: a:80:80\r\n"), NO_HOST},
	{BYTES(GET "Host: ::1\r\n"), NO_HOST},
	{BYTES(GET "Host: [::1\r\n"), NO_HOST},
	{BYTES(GET "Host: []\r\n"), NO_HOST},
	{BYTES(GET "Host: [\r\n"), NO_HOST},
	{BYTES(GET "Host: [::1]a\r\n"), NO_HOST},
	{BYTES(GET "Host: [::1]a80\r\n"), NO_HOST},
	{BYTES("GET http://[::1/:80 HTTP/1.1\r\n"), "the host of its target is none"},
	{BYTES(GET "Host: [::1%eth0]\r\n"), NO_HOST},
	{BYTES(GET "Host: [a.b]\r\n"), NO_HOST},
	{BYTES(GET "Host: [1.2.3.4]\r\n"), NO_HOST},
	{BYTES(GET "Host: [0000:0000:0000:0000:0000:0000:0000:0000:0000:1]\r\n"), NO_HOST},
	{BYTES(GET "Host: " N255 "a\r\n"), NO_HOST},
	{BYTES(GET "H_ost: a\r\n\r\n"), MISSING},
	/* Lengths and codings. */
	{BYTES(POST "Content-Length: 5\r\nContent-Length: 5\r\n"), TWICE},
	{BYTES(POST "Content-Length: 5\r\nContent-Length: 6\r\n"), TWICE},
	{BYTES(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), BOTH},
	{BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), BOTH},
	{BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), BOTH},
	{BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), TWICE},
	{BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), TWICE},
	{BYTES(POST "Transfer-Encoding: identity\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding: xchunked\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding: chunked, identity\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding: gzip, chunked\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding: chunked;a=b\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding: \"chunked\"\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding:\r\n"), CODING},
	{BYTES(POST "Transfer-Encoding: \x0b"
		    "chunked\r\n"),
	 CONTROL},
	{BYTES(POST "Transfer-Encoding : chunked\r\n"), BLANK},
	{BYTES(POST "Transfer-Encoding\t: chunked\r\n"), BLANK},
	{BYTES(POST "Transfer_Encoding: chunked\r\n"), TAKEN},
	{BYTES(POST "Content_Length: 5\r\n"), TAKEN},
	{BYTES("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
	 "HTTP/1.0 has no Transfer-Encoding"},
	{BYTES(POST "Content-Length: +5\r\n"), LENGTH},
	{BYTES(POST "Content-Length: -5\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 0x5\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 5,5\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 5 5\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 5;\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 05\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 00\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 5.0\r\n"), LENGTH},
	{BYTES(POST "Content-Length: \"5\"\r\n"), LENGTH},
	{BYTES(POST "Content-Length:\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 9223372036854775808\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 18446744073709551621\r\n"), LENGTH},
	{BYTES(POST "Content-Length: 99999999999999999999999999\r\n"), LENGTH},
	/* Lines. */
	{BYTES("GET / HTTP/1.1\nHost: a\n\n"), ALONE},
	{BYTES(GET "Host: a\n"), ALONE},
	{BYTES(GET "Host: a\r\n\n"), ALONE},
	{BYTES(GET "Host: a\r\r\n"), ALONE},
	{BYTES(GET "X: a\rHost: a\r\n"), ALONE},
	{BYTES(GET "\r\r"), ALONE},
	{BYTES(GET "Host: a\r\n b\r\n"), FOLDED},
	{BYTES(GET " Host: a\r\n"), FOLDED},
	{BYTES(GET "\tHost: a\r\n"), FOLDED},
	{BYTES(GET "X: a\r\n \r\n"), FOLDED},
	{BYTES(GET "Host : a\r\n"), BLANK},
	{BYTES(GET "Host a: b\r\n"), BLANK},
	{BYTES(GET ": a\r\n"), NO_FIELD},
	{BYTES(GET "Host\r\n"), NO_FIELD},
	{BYTES(GET "Ho(st: a\r\n"), NO_FIELD},
	{BYTES(GET "H\xc3\xb6st: a\r\n"), NO_FIELD},
	{BYTES(GET "X: a\0\r\n"), CONTROL},
	{BYTES(GET "Host: a\0b\r\n"), CONTROL},
	{BYTES(GET "Ho\0st: a\r\n"), CONTROL},
	{BYTES(GET "X: \x1b[m\r\n"), CONTROL},
	{BYTES(GET "X: \x7f\r\n"), CONTROL},
	{BYTES("GET /\0 HTTP/1.1\r\n"), CONTROL},
	/* What else changes what follows. */
	{BYTES(POST "Expect: 200-ok\r\n"), "it expects what nobody knows"},
	{BYTES(POST "Expect:\r\n"), "it expects what nobody knows"},
	{BYTES(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n"), TWICE},
	{BYTES(POST "Connection: close, Content-Length\r\n"), STAY},
	{BYTES(POST "Connection: host\r\n"), STAY},
	{BYTES(POST "Connection: ,\tTransfer_Encoding ,x\r\n"), STAY},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct http_request r = {.port = 7};
		const char *why = "";
		int is = verdict(bad[i].bytes, bad[i].len, &r, &why);

		if (is != -EPROTO || strcmp(why, bad[i].why) != 0) {
			fail_msg("row %zu: %d, '%s'", i, is, why);
		}
		assert_int_equal(r.port, 7);
	}
}

/* A head as long as it may be, and one that is longer. */
static void test_long(void **state)
{
	static char bytes[HTTP_HEAD_MAX + 100];
	struct http_request r;
	const char *why;

	(void)state;
	for (size_t more = 0; more < 3; more++) {
		size_t len = HTTP_HEAD_MAX + more;

		memset(bytes, 'x', sizeof(bytes));
		memcpy(bytes, BYTES(GET "Host: a\r\nX: "));
		(void)snprintf(bytes + len - 4, 5, "\r\n\r\n");
		assert_int_equal(head(bytes, HTTP_HEAD_MAX - 1, &r, &why), -EAGAIN);
		assert_int_equal(head(bytes, HTTP_HEAD_MAX, &r, &why), more ? -E2BIG : 0);
		assert_int_equal(head(bytes, sizeof(bytes), &r, &why), more ? -E2BIG : 0);
	}
}

/* Bodies, and how much of the bytes belongs to them; -1: they are refused. */
static const struct {
	const char *bytes;
	ssize_t taken;
	bool over;
} chunks[] = {
	{"0\r\n\r\n", 5, true},
	{"0\r\n\r\nGET / HTTP/1.1\r\n", 5, true},
	{"5\r\nhello\r\n0\r\n\r\n0\r\n", 15, true},
	{"a\r\n0123\r\n6789\r\n00A\r\n0123456789\r\n000\r\n\r\nx", 39, true},
	{"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", 17, true},
	{"000000000000005\r\nhello\r\n0\r\n\r\n", 29, true},
	{"fffffffffffffff\r\nhello", 22, false},
	{"5\r\nhello\r\n0\r\n", 13, false},
	{"", 0, false},
	/* Sizes. */
	{"1000000000000000\r\n", -1, false},
	{"0000000000000005\r\n", -1, false},
	{"10000000000000005\r\n", -1, false},
	{"fffffffffffffffff", -1, false},
	{"\r\n", -1, false},
	{" 5\r\n", -1, false},
	{"5 \r\n", -1, false},
	{"+5\r\n", -1, false},
	{"-5\r\n", -1, false},
	{"0x5\r\n", -1, false},
	{"5;a=b\r\n", -1, false},
	{"0;a\r\n\r\n", -1, false},
	{"g\r\n", -1, false},
	{"5\nhello", -1, false},
	{"5\rhello", -1, false},
	{"5\r\r\n", -1, false},
	/* Ends. */
	{"5\r\nhello0\r\n", -1, false},
	{"5\r\nhellox\n0\r\n\r\n", -1, false},
	{"5\r\nhello\n0\r\n", -1, false},
	{"5\r\nhello\rx", -1, false},
	{"5\r\nhello!\r\n", -1, false},
	{"0\r\nX: y\r\n\r\n", -1, false},
	{"0\r\nGET / HTTP/1.1\r\n", -1, false},
	{"0\r\n\n", -1, false},
	{"0\r\n\rx", -1, false},
};

/* Takes them in pieces of this size, as a caller does. */
static ssize_t take(struct http_body *b, const char *bytes, size_t len, size_t piece)
{
	size_t at = 0;

	while (at < len && b->state != HTTP_BODY_OVER) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup_free_ char *exact = malloc(n);
		ssize_t took;

		memcpy(exact, bytes + at, n);
		took = http_body_take(b, exact, n);
		if (took < 0) {
			assert_int_equal(took, -EPROTO);
			assert_int_equal(http_body_take(b, "0\r\n\r\n", 5), -EPROTO);
			assert_int_equal(http_body_take(b, "", 0), -EPROTO);
			return -1;
		}
		assert_true((size_t)took <= n);
		assert_true((size_t)took == n || b->state == HTTP_BODY_OVER);
		at += (size_t)took;
	}
	return (ssize_t)at;
}

static void test_chunks(void **state)
{
	static const struct http_request chunked = {.chunked = true, .length = 7};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		size_t len = strlen(chunks[i].bytes);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			struct http_body b;
			ssize_t taken;

			http_body_begin(&b, &chunked);
			taken = take(&b, chunks[i].bytes, len, piece);
			if (taken != chunks[i].taken ||
			    chunks[i].over != (b.state == HTTP_BODY_OVER)) {
				fail_msg("row %zu, pieces of %zu: %zd", i, piece, taken);
			}
		}
	}
}

static void test_lengths(void **state)
{
	static const uint64_t lengths[] = {0, 1, 5, 1000};
	static const char bytes[1020];
	struct http_body b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct http_request r = {.length = lengths[i]};

		for (size_t piece = 1; piece < sizeof(bytes); piece += 1 + piece / 8) {
			http_body_begin(&b, &r);
			assert_int_equal(take(&b, bytes, sizeof(bytes), piece), lengths[i]);
			assert_int_equal(b.state, HTTP_BODY_OVER);
			assert_int_equal(http_body_take(&b, bytes, sizeof(bytes)), 0);
		}
	}
	http_body_begin(&b, &(struct http_request){.length = INT64_MAX});
	assert_int_equal(http_body_take(&b, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(b.state, HTTP_BODY_PLAIN);
	assert_true(b.left == INT64_MAX - sizeof(bytes));
}

/* Requests behind each other on one connection: each is for whom it says. */
static void test_pipeline(void **state)
{
	static const char bytes[] =
		"POST / HTTP/1.1\r\nHost: one\r\nContent-Length: 31\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: in-it\r\n\r\n"
		"POST / HTTP/1.1\r\nHost: two\r\nTransfer-Encoding: chunked\r\n\r\n"
		"4\r\nGET \r\n0\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: three\r\n\r\n"
		"GET / HTTP/1.1\r\nHost: four\r\n\r\n";
	static const char *const hosts[] = {"one", "two", "three", "four"};
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct http_request r;
		struct http_body b;
		const char *why;

		assert_int_equal(head(bytes + at, sizeof(bytes) - 1 - at, &r, &why), 0);
		assert_string_equal(r.host, hosts[i]);
		at += r.head;
		http_body_begin(&b, &r);
		at += (size_t)http_body_take(&b, bytes + at, sizeof(bytes) - 1 - at);
		assert_int_equal(b.state, HTTP_BODY_OVER);
	}
	assert_int_equal(at, sizeof(bytes) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long),    cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_pipeline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
