/* SPDX-License-Identifier: Apache-2.0 */
/* atoll logs: what commands in a sandbox have put out, also after its end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/sandboxes.h"
#include "keeper/log.h"
#include "keeper/name.h"
#include "policy/scalar.h"

/* What is kept grows by whole frames; nobody tells who reads it. */
#define FOLLOW_MS 100
/* In how many of these moments it is asked once whether a command is still there: its end may have
 * been dropped already, or never kept. */
#define ASK_EVERY 10
/* What one frame may become: four characters for each of its bytes, and times before lines. */
#define MAX_SHOWN (LOG_MAX_FRAME * 32)

static const char *const stream_words[] = {"stdout", "stderr", NULL};

struct logs_options {
	const char *command; /* --command N */
	const char *tail;    /* --tail N */
	const char *stream;  /* --stream WORD */
	bool follow;
	bool time;
	bool json;
	bool quiet;
	/* what the words above mean */
	uint64_t number; /* of a command; 0: all */
	uint64_t lines;
};

/* Where one of the two streams goes. */
struct sink {
	FILE *out;
	bool terminal;  /* nothing that it would obey goes there */
	bool in_line;   /* the next byte does not begin a line */
	char cut[4];    /* the beginning of a character whose rest comes with the next frame */
	size_t cut_len; /* on a terminal only */
};

struct show {
	const struct logs_options *o;
	struct sink sinks[2]; /* standard output, standard error */
	uint64_t skip;        /* lines that --tail leaves out */
	uint64_t expected;    /* position of the next frame */
	bool any;             /* a frame was seen */
	bool ended;           /* the command that --command names has */
};

static bool is_output(const struct log_frame *f)
{
	return f->kind == LOG_STDOUT || f->kind == LOG_STDERR || f->kind == LOG_TERMINAL;
}

static bool is_wanted(const struct logs_options *o, const struct log_frame *f)
{
	const char *stream = f->kind == LOG_STDERR ? "stderr" : "stdout";

	return (o->number == 0 || f->command == o->number) &&
	       (!o->stream || !is_output(f) || strcmp(o->stream, stream) == 0);
}

static void time_text(int64_t ns, char *text, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000LL);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm)) {
		*text = '\0';
		return;
	}
	n = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text + n, size - n, ".%06dZ", (int)(ns % 1000000000LL / 1000));
}

/* How many bytes at the end begin a character of UTF-8 that is not there as a whole. */
static size_t cut_at_end(const char *s, size_t len)
{
	size_t back;

	for (back = 1; back <= 3 && back <= len; back++) {
		unsigned char c = (unsigned char)s[len - back];
		size_t whole = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (whole > back) {
			return back;
		}
		if (c < 0x80 || c >= 0xc0) {
			return 0;
		}
	}
	return 0;
}

/* A piece without a line's end. */
static void put_piece(const struct sink *to, const char *s, size_t len)
{
	_cleanup_buf_ struct buf b = {};
	const char *tab;

	if (!to->terminal) {
		(void)fwrite(s, 1, len, to->out);
		return;
	}
	/* A program for a terminal ends its lines with both. */
	len -= len > 0 && s[len - 1] == '\r';
	buf_init(&b, MAX_SHOWN);
	while ((tab = memchr(s, '\t', len))) {
		(void)utf8_neutralise(&b, s, (size_t)(tab - s));
		(void)buf_addc(&b, '\t');
		len -= (size_t)(tab - s) + 1;
		s = tab + 1;
	}
	(void)utf8_neutralise(&b, s, len);
	(void)fwrite(b.data, 1, b.len, to->out);
}

static void put_lines(const struct show *s, struct sink *to, int64_t time_ns, const char *p,
		      size_t len)
{
	char stamp[40];

	time_text(time_ns, stamp, sizeof(stamp));
	while (len > 0) {
		const char *end = memchr(p, '\n', len);
		size_t n = end ? (size_t)(end - p) : len;

		if (!to->in_line && s->o->time) {
			fprintf(to->out, "%s ", stamp);
		}
		put_piece(to, p, n);
		to->in_line = !end;
		if (end) {
			(void)fputc('\n', to->out);
		}
		p += n + (end != NULL);
		len -= n + (end != NULL);
	}
}

/* The rest of a character did not come. */
static void flush_cut(const struct show *s, struct sink *to, int64_t time_ns)
{
	size_t n = to->cut_len;

	to->cut_len = 0;
	put_lines(s, to, time_ns, to->cut, n);
}

static void put_output(const struct show *s, struct sink *to, const struct log_frame *f,
		       const char *data, size_t len)
{
	char joined[LOG_MAX_FRAME + 4];
	size_t n = to->cut_len;

	if (!to->terminal) {
		put_lines(s, to, f->time_ns, data, len);
		return;
	}
	memcpy(joined, to->cut, n);
	memcpy(joined + n, data, len);
	n += len;
	to->cut_len = cut_at_end(joined, n);
	memcpy(to->cut, joined + n - to->cut_len, to->cut_len);
	put_lines(s, to, f->time_ns, joined, n - to->cut_len);
}

/* Without the lines that --tail leaves out; the rest in *p and *len. */
static void skip_lines(struct show *s, const char **p, size_t *len)
{
	while (s->skip > 0 && *len > 0) {
		const char *end = memchr(*p, '\n', *len);
		size_t n = end ? (size_t)(end - *p) + 1 : *len;

		s->skip -= end != NULL;
		*p += n;
		*len -= n;
	}
}

/* The end of a command as one word, and its number where there is one. */
static void say_end(const struct log_frame *f, const json_t *doc)
{
	const json_t *exit = json_object_get(doc, "exit");
	const char *reason = json_string_value(json_object_get(doc, "reason"));
	const json_t *status = json_object_get(exit, "status");
	const json_t *signal = json_object_get(exit, "signal");

	if (status || signal) {
		cli_say("command %" PRIu32 " ended: %s, %s %lld", f->command, reason ? reason : "?",
			status ? "status" : "signal",
			(long long)json_integer_value(status ? status : signal));
	} else {
		cli_say("command %" PRIu32 " ended: %s", f->command, reason ? reason : "?");
	}
}

static void say_begin(const struct log_frame *f, const json_t *doc)
{
	_cleanup_buf_ struct buf b = {};
	json_t *word;
	size_t i;

	buf_init(&b, 65536);
	json_array_foreach(json_object_get(doc, "argv"), i, word)
	{
		(void)buf_addf(&b, " %s", json_string_value(word));
	}
	cli_say("command %" PRIu32 ":%s", f->command, buf_str(&b));
}

/* A word of ours between what others have put out begins a line. */
static void end_line(struct show *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->sinks); i++) {
		struct sink *to = &s->sinks[i];

		flush_cut(s, to, 0);
		if (to->in_line && to->terminal) {
			(void)fputc('\n', to->out);
			to->in_line = false;
		}
		(void)fflush(to->out);
	}
}

static void show_event(struct show *s, const struct log_frame *f, const char *data)
{
	_cleanup_json_ json_t *doc = json_loadb(data, f->len, JSON_REJECT_DUPLICATES, NULL);

	if (s->o->quiet || s->skip > 0) {
		return;
	}
	end_line(s);
	if (f->kind == LOG_BEGIN) {
		say_begin(f, doc);
	} else {
		say_end(f, doc);
	}
}

/* What is not there any more: dropped to make room, or never written for want of room. */
static void show_gap(struct show *s, uint64_t bytes)
{
	if (s->o->json) {
		printf("{\"missing\":%" PRIu64 "}\n", bytes);
	} else if (!s->o->quiet && s->skip == 0) {
		end_line(s);
		cli_say("%" PRIu64 " bytes that came before are not kept any more", bytes);
	}
}

static void print_json(const struct log_frame *f, const char *data)
{
	static const char *const kinds[] = {[LOG_STDOUT] = "stdout",
					    [LOG_STDERR] = "stderr",
					    [LOG_TERMINAL] = "terminal",
					    [LOG_BEGIN] = "begin",
					    [LOG_END] = "end"};
	_cleanup_json_ json_t *doc = json_object();
	_cleanup_free_ char *text = NULL;
	/* On a terminal nothing that a payload wrote may move the cursor. */
	size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
	char stamp[40];
	int r;

	time_text(f->time_ns, stamp, sizeof(stamp));
	r = json_put(doc, "time", json_string(stamp));
	r = r < 0 ? r : json_put(doc, "command", json_integer(f->command));
	r = r < 0 ? r : json_put(doc, "kind", json_string(kinds[f->kind]));
	r = r < 0          ? r
	    : is_output(f) ? json_put(doc, "text", json_text_n(data, f->len))
			   : json_put(doc, "data", json_loadb(data, f->len, 0, NULL));
	text = r < 0 ? NULL : json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS | ascii);
	if (text) {
		printf("%s\n", text);
	}
}

static void show_frame(struct show *s, const struct log_frame *f, const char *data)
{
	const char *p = data;
	size_t len = f->len;

	if (f->position > s->expected) {
		show_gap(s, f->position - s->expected);
	}
	s->expected = f->position + (is_output(f) ? f->len : 0);
	if (!is_wanted(s->o, f) || f->kind < LOG_STDOUT || f->kind > LOG_END) {
		return;
	}
	s->ended = s->ended || (f->kind == LOG_END && s->o->number > 0);
	if (s->o->json) {
		print_json(f, data);
	} else if (is_output(f)) {
		skip_lines(s, &p, &len);
		put_output(s, &s->sinks[f->kind == LOG_STDERR], f, p, len);
	} else {
		show_event(s, f, data);
	}
}

/* How many lines of what is there are wanted; the last one may have no end. */
static int count_lines(const struct log_reader *reader, const struct logs_options *o, uint64_t *ret,
		       struct err *e)
{
	struct log_reader *r = malloc(sizeof(*r));
	struct log_frame f;
	bool open = false;
	int result = r ? log_copy(r, reader) : -ENOMEM;

	*ret = 0;
	while (result >= 0 && log_next(r, &f)) {
		const char *p = r->data, *end = p + f.len, *at;

		if (!is_output(&f) || !is_wanted(o, &f)) {
			continue;
		}
		for (at = p; (at = memchr(at, '\n', (size_t)(end - at))); at++) {
			(*ret)++;
		}
		open = f.len > 0 && end[-1] != '\n';
	}
	if (result >= 0) {
		log_close(r);
	}
	free(r);
	*ret += open;
	return result < 0 ? err_sys(e, -result, "cannot count the lines") : 0;
}

/* Waits a moment. False: its keeper has ended, so nothing more will come. `*line`: a connection to
 * it, which is made anew where the keeper needed the place for somebody else. */
static bool wait_for_more(const struct state *st, const char *id, int *line)
{
	struct pollfd pfd;

	if (*line < 0) {
		_cleanup_fd_ int dir =
			openat(st->sandboxes, id, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		struct err unused = {};

		*line = dir < 0 ? FD_NONE : control_connect(dir, &unused);
		if (*line < 0) {
			return false;
		}
	}
	pfd = (struct pollfd){.fd = *line, .events = POLLIN};
	if (poll(&pfd, 1, FOLLOW_MS) > 0) {
		*line = fd_close(*line);
		(void)poll(NULL, 0, FOLLOW_MS); /* whoever needs the place has it for a while */
	}
	return true;
}

/* False: it has ended, or there never was such a command. */
static bool is_there(const struct state *st, const char *id, uint64_t number)
{
	_cleanup_json_ json_t *doc = NULL;
	struct err unused = {};
	json_t *row;
	size_t i;

	if (sandbox_ask(st, id, CONTROL_INSPECT, &doc, &unused) < 0) {
		return true; /* whether its keeper is, shows elsewhere */
	}
	json_array_foreach(json_object_get(doc, "commands"), i, row)
	{
		if (json_integer_value(json_object_get(row, "number")) == (json_int_t)number) {
			return true;
		}
	}
	return false;
}

static bool written(void)
{
	return fflush(stdout) == 0 && fflush(stderr) == 0 && !ferror(stdout);
}

/* All that is there. */
static void show_all(struct show *s, struct log_reader *r)
{
	struct log_frame f;

	while (!s->ended && log_next(r, &f)) {
		if (!s->any) {
			s->any = true;
			/* With --tail what was dropped before is what nobody asked for. */
			s->expected = s->o->tail ? f.position : 0;
		}
		show_frame(s, &f, r->data);
	}
}

/* Opens it, if there is something by now; what --tail leaves out is counted in what was there at
 * the first look. */
static int open_log(const struct state *st, const char *id, struct show *s, struct log_reader *r,
		    bool first, struct err *e)
{
	int result = log_open(r, st, id, e);

	if (result == -ENOENT && e->code == 0) {
		log_close(r);
		return 0;
	}
	if (result >= 0 && !s->o->follow) {
		log_bind(r);
	}
	if (result >= 0 && first && s->o->tail) {
		result = count_lines(r, s->o, &s->skip, e);
		s->skip = s->skip > s->o->lines ? s->skip - s->o->lines : 0;
	}
	return result;
}

static int show_log(const struct state *st, const char *id, const struct logs_options *o,
		    struct log_reader *r, struct err *e)
{
	struct show s = {.o = o, .sinks = {{.out = stdout}, {.out = stderr}}};
	_cleanup_fd_ int line = FD_NONE;
	unsigned turn = 0;
	int result = 0;
	bool more = true;

	s.sinks[0].terminal = isatty(STDOUT_FILENO);
	s.sinks[1].terminal = isatty(STDERR_FILENO);
	for (;;) {
		result = r->fd < 0 ? open_log(st, id, &s, r, turn == 0, e) : 0;
		if (result < 0) {
			break;
		}
		if (r->fd >= 0) {
			show_all(&s, r);
		}
		if (!o->follow || s.ended || !more || !written()) {
			break;
		}
		s.skip = 0;
		/* Once more after the end: what came last was written before it. */
		more = wait_for_more(st, id, &line) &&
		       (o->number == 0 || turn % ASK_EVERY != 0 || is_there(st, id, o->number));
		turn++;
	}
	end_line(&s);
	log_close(r);
	return result;
}

static int take_numbers(struct logs_options *o, struct err *e)
{
	if (o->command && (scalar_int(o->command, &o->number) < 0 || o->number == 0)) {
		return err_set(e, ERR_USER, EINVAL, "--command: '%s' is no number of a command",
			       o->command);
	}
	if (o->tail && scalar_int(o->tail, &o->lines) < 0) {
		return err_set(e, ERR_USER, EINVAL, "--tail: '%s' is no number of lines", o->tail);
	}
	if (o->stream && strcmp(o->stream, "stdout") != 0 && strcmp(o->stream, "stderr") != 0) {
		return err_set(e, ERR_USER, EINVAL, "--stream: '%s' is neither stdout nor stderr",
			       o->stream);
	}
	return 0;
}

/* A sandbox that is there, or one that is gone and of which something is kept. */
static int find(const struct state *s, const char *word, char id[STATE_ID_SIZE], struct err *e)
{
	struct err why = {};
	char found[STATE_ID_SIZE];
	int r = name_find(s, word, found, &why);

	if (r >= 0) {
		state_name_of(found, id);
	} else if (r != -ENOENT) {
		*e = why;
	}
	return r == -ENOENT ? log_find(s, word, id, e) : r;
}

static int logs(const struct cli_command *c, int argc, char **argv)
{
	struct logs_options o = {};
	struct log_reader *reader;
	struct cli_operands words;
	char id[STATE_ID_SIZE];
	struct state s;
	struct err e = {};
	int r = sandboxes_begin(c, argc, argv, &o, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	reader = malloc(sizeof(*reader));
	r = reader ? take_numbers(&o, &e) : err_set(&e, ERR_SYSTEM, ENOMEM, "out of memory");
	r = r < 0 ? r : find(&s, words.words[0], id, &e);
	if (r >= 0) {
		reader->fd = reader->newer = reader->dir = FD_NONE;
		r = show_log(&s, id, &o, reader, &e);
	}
	free(reader);
	state_done(&s);
	return r < 0 ? cli_fail(&e) : cli_written();
}

#define MEMBER(field) .offset = offsetof(struct logs_options, field)

static const struct cli_option logs_options[] = {
	CLI_FLAG("--follow", "go on until the sandbox, or the command, has ended", .letter = 'f',
		 MEMBER(follow)),
	CLI_TAKES("--command", "N", CLI_TEXT, "only of the command with this number",
		  MEMBER(command)),
	CLI_TAKES("--stream", "WORD", CLI_WORDS, "only one of the two",
		  .value.choices = stream_words, MEMBER(stream)),
	CLI_TAKES("--tail", "N", CLI_TEXT, "only the last N lines", MEMBER(tail)),
	CLI_FLAG("--time", "begin each line with the time when it came", MEMBER(time)),
	CLI_FLAG("--json", "one document a line, with beginnings and ends", MEMBER(json)),
	CLI_FLAG("--quiet", "the output alone", MEMBER(quiet)),
	{},
};

static const struct cli_example logs_examples[] = {
	CLI_EXAMPLE("atoll logs work"),
	CLI_EXAMPLE("atoll logs --follow --command 1 work"),
	CLI_EXAMPLE("atoll logs --quiet --stream stdout work >output"),
	{},
};

const struct cli_command cli_logs_command = {
	.name = "logs",
	.summary = "what commands in a sandbox have put out",
	.operands = "SANDBOX",
	.operand.kind = CLI_SANDBOX,
	.max_operands = 1,
	.about = "Print what the commands of 'atoll exec' and 'atoll shell' have put out in a "
		 "sandbox,\n"
		 "also those that nobody waited for, and also when it has ended. The newest is "
		 "kept,\n"
		 "as much as the policy says (data.log), and for as long (time.keep). What 'atoll "
		 "run'\n"
		 "puts out goes to whoever ran it, and is not kept.\n",
	.notes = "Standard output and standard error go where they belong; that a command began "
		 "or\n"
		 "ended is said on standard error. On a terminal control characters are written "
		 "out.\n",
	.options = logs_options,
	.examples = logs_examples,
	.run = logs,
};
