/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an export. */
#include "front/cli/graduate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "front/cli/copies.h"
#include "front/cli/patch.h"
#include "policy/document.h"
#include "record/key.h"
#include "record/reader.h"
#include "record/verify.h"
#include "workspace/memory.h"

#define POLICY_MAX ((size_t)16 << 20)
/* How long a seal may take to come. */
#define SEAL_NS        5000000000LL
#define LINE_MAX_BYTES ((size_t)64 * 1024)

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* ---- the record ---- */

static void keep(json_t **to, const json_t *data)
{
	json_decref(*to);
	*to = json_incref((json_t *)data);
}

static bool is_mode_copy(const struct graduate *g)
{
	const json_t *plan = json_object_get(g->created, "plan");
	const char *mode = json_string_value(json_object_get(plan, "workspace_mode"));

	return mode && strcmp(mode, "copy") == 0;
}

static void take_event(struct graduate *g, const char *name, const json_t *data)
{
	if (strcmp(name, "created") == 0) {
		keep(&g->created, data);
	} else if (strcmp(name, "receipt") == 0) {
		keep(&g->receipt, data);
	} else if (strcmp(name, "ended") == 0) {
		g->copy_kept = json_is_true(json_object_get(data, "copy_kept"));
	} else if (strcmp(name, "reaped") == 0) {
		g->copy_kept = is_mode_copy(g); /* nobody has said what became of it */
	} else if (strcmp(name, "graduated") == 0) {
		g->graduated = true;
	}
}

/* A document of the record that has its digest beside it. */
static int check_digest(const json_t *data, const char *what, const char *digest, struct err *e)
{
	const char *said = json_string_value(json_object_get(data, digest));
	const json_t *doc = json_object_get(data, what);
	_cleanup_free_ char *text = NULL;
	char hex[DIGEST_HEX_SIZE];
	size_t len = 0;

	text = json_is_object(doc) ? json_canonical(doc, &len) : NULL;
	if (!text || !said) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "its record has no %s: it did not start, or was made by another "
			       "version",
			       what);
	}
	digest_hex(text, len, hex);
	return strcmp(hex, said) == 0
		       ? 0
		       : err_set(e, ERR_SYSTEM, EBADMSG,
				 "its record is broken: the %s is not the one of its digest", what);
}

/* The record on its way into the export. */
struct reading {
	struct graduate *g;
	int to;
};

static int take_line(void *arg, const struct line *l, const char *text, size_t len,
		     const uint8_t digest[DIGEST_SIZE], struct err *e)
{
	const struct reading *in = arg;
	_cleanup_json_ json_t *data =
		l ? json_loadb(l->data, l->data_len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	struct iovec parts[] = {{(void *)text, len}, {(void *)"\n", 1}};
	int r = 0;

	(void)digest;
	if (l && !data) {
		return err_set(e, ERR_SYSTEM, EBADMSG,
			       "the record of sandbox %s is broken: record %llu is no JSON",
			       in->g->id, (unsigned long long)l->seq);
	}
	if (l) {
		take_event(in->g, l->event, data);
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts) && in->to >= 0 && r >= 0; i++) {
		r = buf_write_fd(in->to, parts[i].iov_base, parts[i].iov_len);
	}
	return r < 0 ? err_sys(e, -r, "cannot copy the record of sandbox %s", in->g->id) : 0;
}

static int read_record(struct graduate *g, const struct state *s, int to, struct err *e)
{
	struct reading reading = {.g = g, .to = to};
	struct verify_report report;
	struct key_list keys;
	struct reader in = {};
	int r = key_list(s->home, &keys, e);

	r = r < 0 ? r : reader_open(&in, s->trail, g->id, e);
	if (r < 0) {
		return r;
	}
	/* It has ended where it is copied; its seal may be on its way. */
	if (to >= 0) {
		(void)reader_wait(&in, SEAL_NS);
	}
	r = verify_run(&in, &(struct verify_trust){.keys = keys.keys, .n_keys = keys.n}, take_line,
		       &reading, &report, e);
	reader_close(&in);
	if (r >= 0 && !report.good) {
		r = err_set(e, ERR_SYSTEM, EBADMSG,
			    "the record of sandbox %s is broken at record %llu: %s", g->id,
			    (unsigned long long)report.bad, report.why);
	}
	memcpy(g->head, report.head, sizeof(g->head));
	return r;
}

int graduate_read(struct graduate *g, const struct state *s, int to, struct err *e)
{
	int r = read_record(g, s, to, e);

	r = r < 0 ? r : check_digest(g->created, "plan", "plan_digest", e);
	r = r < 0 ? r : check_digest(g->receipt, "receipt", "digest", e);
	if (r >= 0 && !json_is_object(json_object_get(g->created, "policy"))) {
		r = err_set(e, ERR_SYSTEM, EBADMSG,
			    "its record has no policy: it was made by another version");
	}
	return r;
}

/* ---- files ---- */

/* A new file; its name goes into the manifest. */
static int create(struct graduate *g, const char *name, struct err *e)
{
	_cleanup_fd_ int fd =
		openat(g->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		return err_sys(e, errno, "cannot write '%s'", name);
	}
	return json_array_append_new(g->names, json_string(name)) < 0 ? no_memory(e) : TAKE_FD(fd);
}

static FILE *begin(struct graduate *g, const char *name, struct err *e)
{
	int fd = create(g, name, e);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "we");

	if (fd >= 0 && !out) {
		(void)err_sys(e, errno, "cannot write '%s'", name);
		(void)fd_close(fd);
	}
	return out;
}

/* Closes it; `r` is what came of the writing. */
static int end(FILE *out, const char *name, int r, struct err *e)
{
	bool failed = fflush(out) != 0 || ferror(out);
	int code = errno;

	failed = fclose(out) != 0 || failed;
	return r < 0    ? r
	       : failed ? err_sys(e, code > 0 ? code : EIO, "cannot write '%s'", name)
			: 0;
}

static int put_text(struct graduate *g, const char *name, const char *text, size_t len,
		    struct err *e)
{
	FILE *out = begin(g, name, e);

	if (!out) {
		return -e->code;
	}
	(void)fwrite(text, 1, len, out);
	return end(out, name, 0, e);
}

/* Without a line's end: its SHA-256 is the digest that the record names. */
static int put_canonical(struct graduate *g, const char *name, const json_t *doc, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = json_canonical(doc, &len);
	return text ? put_text(g, name, text, len, e) : no_memory(e);
}

/* As the commands print it. Takes the document. */
static int put_document(struct graduate *g, const char *name, json_t *taken, struct err *e)
{
	_cleanup_json_ json_t *doc = taken;
	FILE *out = doc ? begin(g, name, e) : NULL;
	int r = 0;

	if (!out) {
		return doc ? -e->code : no_memory(e);
	}
	if (json_dumpf(doc, out, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0 && !ferror(out)) {
		r = no_memory(e);
	}
	(void)putc('\n', out);
	return end(out, name, r, e);
}

static int put_policy(struct graduate *g, struct err *e)
{
	_cleanup_buf_ struct buf b = {};
	int r;

	buf_init(&b, POLICY_MAX);
	(void)buf_addf(&b,
		       "# The policy of sandbox %s, with every default that it had: 'atoll policy "
		       "explain'\n# says what each line means.\n",
		       g->id);
	r = policy_write(json_object_get(g->created, "policy"), &b, e);
	return r < 0 ? r : put_text(g, "policy.yaml", buf_str(&b), b.len, e);
}

static int copy_member(json_t *to, const char *name, const json_t *from, const char *member)
{
	json_t *value = json_object_get(from, member);

	return json_put(to, name, value ? json_incref(value) : json_null());
}

/* What a run would have to be given again, or compared with. */
static int put_lock(struct graduate *g, struct err *e)
{
	const json_t *plan = json_object_get(g->created, "plan");
	_cleanup_json_ json_t *doc = json_pack(
		"{s:i, s:s, s:s, s:n, s:n, s:{s:s, s:s, s:s, s:s}}", "format", 1, "sandbox", g->id,
		"trail_digest", g->head, "seed", "clock", "absent", "seed",
		"this version gives a payload the kernel's own random numbers", "clock",
		"this version gives a payload the host's clock", "models",
		"this version does not look into requests, which would show which ones answered",
		"root", "the programs of the host's /usr and tool chains are named by no digest");
	int r = doc ? copy_member(doc, "atoll", g->created, "version") : -ENOMEM;

	r = r < 0 ? r : copy_member(doc, "machine", g->created, "machine");
	r = r < 0 ? r : copy_member(doc, "plan_digest", g->created, "plan_digest");
	r = r < 0 ? r : copy_member(doc, "policy_digest", plan, "policy_digest");
	r = r < 0 ? r : copy_member(doc, "receipt_digest", g->receipt, "digest");
	return r < 0 ? no_memory(e) : put_document(g, "lock.json", TAKE_PTR(doc), e);
}

/* ---- changes ---- */

static int put_patch(struct graduate *g, struct err *e)
{
	FILE *out = begin(g, "changes.patch", e);

	return out ? end(out, "changes.patch", review_patch(g->review, out, e), e) : -e->code;
}

/* A patch names it and does not have its bytes. */
static bool is_left_out(const struct change *c)
{
	return S_ISREG(c->after.mode) && c->kind != CHANGE_RENAMED && c->kind != CHANGE_MODE &&
	       !patch_is_text(c);
}

/* Where it belongs and what it is. Takes the name in files/. */
static int add_row(json_t *list, const struct change *c, const char *digest)
{
	_cleanup_json_ json_t *row = json_object();
	int r = row ? review_put_path(row, "path", c->path) : -ENOMEM;

	r = r < 0 ? r : json_put(row, "file", json_sprintf("files/%s", digest));
	r = r < 0 ? r : json_put(row, "size", json_integer((json_int_t)c->after.size));
	r = r < 0 ? r : json_put(row, "mode", json_string(c->after.mode & 0111 ? "0755" : "0644"));
	return r < 0 || json_array_append(list, row) < 0 ? -ENOMEM : 0;
}

#define NEW "new"

/* One file under the name of its content, which is there once however many have it. */
static int put_binary(struct graduate *g, int files, const struct change *c, json_t *list,
		      struct err *e)
{
	_cleanup_fd_ int fd =
		openat(files, NEW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	char digest[DIGEST_HEX_SIZE], name[sizeof("files/") + DIGEST_HEX_SIZE];
	bool known;
	int r = fd < 0 ? err_sys(e, errno, "cannot write into 'files'")
		       : memory_to_file(g->review->kept.upper, c->path, true, (size_t)c->after.size,
					fd, e);

	if (r < 0) {
		return r;
	}
	r = digest_file(fd, digest);
	known = r >= 0 && faccessat(files, digest, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	if (r < 0 || renameat(files, NEW, files, digest) < 0) {
		return err_sys(e, r < 0 ? -r : errno, "cannot write into 'files'");
	}
	(void)snprintf(name, sizeof(name), "files/%s", digest);
	g->n_binaries++;
	return add_row(list, c, digest) < 0 ||
			       (!known && json_array_append_new(g->names, json_string(name)) < 0)
		       ? no_memory(e)
		       : 0;
}

static int put_binaries(struct graduate *g, struct err *e)
{
	const struct changes *c = &g->review->changes;
	_cleanup_json_ json_t *list = json_array();
	_cleanup_fd_ int files = FD_NONE;
	int r = list ? 0 : no_memory(e);
	size_t i;

	for (i = 0; r >= 0 && i < c->n; i++) {
		if (!is_left_out(&c->list[i])) {
			continue;
		}
		if (files < 0 &&
		    (mkdirat(g->dir, "files", 0700) < 0 ||
		     (files = openat(g->dir, "files",
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)) {
			return err_sys(e, errno, "cannot make 'files'");
		}
		r = put_binary(g, files, &c->list[i], list, e);
	}
	return r < 0 || files < 0 ? r : put_document(g, "files.json", TAKE_PTR(list), e);
}

/* Of a file with holes the export would have the zeros: what it holds is bounded as the copy was.
 */
static int check_sizes(const struct graduate *g, struct err *e)
{
	const json_t *plan = json_object_get(g->created, "plan");
	const json_t *limits = json_object_get(plan, "limits");
	const struct changes *c = &g->review->changes;
	uint64_t most = (uint64_t)json_integer_value(json_object_get(limits, "copy")), sum = 0;
	size_t i;

	for (i = 0; i < c->n && sum <= most; i++) {
		if (S_ISREG(c->list[i].after.mode)) {
			sum = c->list[i].after.size > most - sum ? most + 1
								 : sum + c->list[i].after.size;
		}
	}
	return sum <= most ? 0
			   : err_set(e, ERR_USER, EFBIG,
				     "the changed files, holes included, are larger than its copy "
				     "was allowed to be (%llu bytes); remove or apply the largest "
				     "first",
				     (unsigned long long)most);
}

static int put_changes(struct graduate *g, struct err *e)
{
	int r = check_sizes(g, e);

	g->n_changes = g->review->changes.n;
	g->n_hazards = g->review->hazards.n;
	r = r < 0 ? r : put_document(g, "changes.json", review_json(g->review), e);
	r = r < 0 ? r : put_patch(g, e);
	return r < 0 ? r : put_binaries(g, e);
}

/* ---- for people ---- */

static const char head_text[] =
	"It was made by `atoll graduate`, which ended the sandbox. `sha256sum -c MANIFEST.sha256` "
	"says\n"
	"whether these files are as they were written; the host's own record of the sandbox names "
	"the\n"
	"SHA-256 of `MANIFEST.sha256` in its event `graduated`.\n"
	"\n"
	"| file | what it is |\n"
	"|---|---|\n"
	"| `policy.yaml` | the policy, with every default that it had; `atoll policy explain "
	"policy.yaml` |\n"
	"| `plan.json` | what the policy meant on that host; its SHA-256 is `plan_digest` |\n"
	"| `receipt.json` | what the kernel said was in force; its SHA-256 is `receipt_digest` |\n"
	"| `lock.json` | versions, kernel, processor, digests, and what nothing has fixed |\n"
	"| `trail.jsonl` | the record, each line with the SHA-256 of the one before; it was "
	"verified |\n";

static const char changes_text[] =
	"| `changes.json` | what was changed in the copy, as `atoll diff --json` prints it |\n"
	"| `changes.patch` | the same line by line, for `git apply` or `patch -p1` in the "
	"workspace |\n";

static const char binaries_text[] = "| `files.json` | where each of `files/` belongs: a patch "
				    "names binary files and does not hold them |\n";

static const char patch_text[] =
	"\n"
	"A patch holds no empty directories, and of permissions only whether a file can be "
	"executed;\n"
	"`changes.json` has them all. `git apply` refuses a patch with binary files: leave those "
	"out with\n"
	"`--exclude=PATH`, and copy them from `files/`, as `files.json` says.\n";

static void put_again(const struct graduate *g, FILE *out)
{
	const json_t *plan = json_object_get(g->created, "plan");
	const char *tier = json_string_value(json_object_get(plan, "tier"));
	const char *trust = json_string_value(json_object_get(plan, "trust"));
	bool accepted = json_is_true(json_object_get(plan, "tier_accepted")) && tier;
	bool full = trust && strcmp(trust, "full") == 0;

	(void)fprintf(
		out,
		"\n## Run it again\n\n"
		"    atoll run --policy policy.yaml%s%s%s -- COMMAND\n\n"
		"or `atoll create` with the same options. Paths in the policy are those of the "
		"host that it\nwas made on. What ran is in `trail.jsonl`: the events `started` "
		"and `exec`.\n",
		full ? " --trust full" : "", accepted ? " --accept-tier " : "",
		accepted ? tier : "");
}

/* Indented, where Markdown takes nothing for its own, with what a terminal would obey made visible.
 */
static void put_hazards(const struct graduate *g, FILE *out)
{
	const struct hazard *h;
	_cleanup_buf_ struct buf line = {};
	size_t i, next = 0;

	if (g->n_hazards == 0) {
		return;
	}
	(void)fputs("\n## Look at these first\n\n"
		    "The host would run or obey these files once they are taken over:\n\n",
		    out);
	buf_init(&line, LINE_MAX_BYTES);
	for (i = 0; i < g->review->changes.n; i++) {
		const char *path = g->review->changes.list[i].path;

		while ((h = review_hazard(g->review, i, &next))) {
			buf_clear(&line);
			(void)utf8_neutralise(&line, path, strlen(path));
			(void)fprintf(out, "    %s: %s: %s\n", buf_str(&line), h->code, h->why);
		}
	}
}

static int put_readme(struct graduate *g, struct err *e)
{
	FILE *out = begin(g, "README.md", e);

	if (!out) {
		return -e->code;
	}
	(void)fprintf(out, "# Sandbox %s\n\n%s", g->id, head_text);
	if (g->review) {
		(void)fputs(changes_text, out);
		(void)fputs(g->n_binaries > 0 ? binaries_text : "", out);
		(void)fputs(patch_text, out);
	} else {
		(void)fputs("\nIt has changed nothing in a copy of a workspace.\n", out);
	}
	put_again(g, out);
	put_hazards(g, out);
	return end(out, "README.md", 0, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(json_string_value(*(json_t *const *)a),
		      json_string_value(*(json_t *const *)b));
}

/* In the format of sha256sum(1); of what stands on the disk, not of what was to be written. */
static int put_manifest(struct graduate *g, struct err *e)
{
	size_t n = json_array_size(g->names), i;
	_cleanup_free_ json_t **sorted = calloc(n, sizeof(json_t *));
	_cleanup_buf_ struct buf b = {};
	char digest[DIGEST_HEX_SIZE];

	buf_init(&b, 1U << 30);
	for (i = 0; sorted && i < n; i++) {
		sorted[i] = json_array_get(g->names, i);
	}
	if (!sorted) {
		return no_memory(e);
	}
	qsort(sorted, n, sizeof(json_t *), by_name);
	for (i = 0; i < n; i++) {
		const char *name = json_string_value(sorted[i]);
		_cleanup_fd_ int fd = openat(g->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		int r = fd < 0 ? -errno : digest_file(fd, digest);

		if (r < 0) {
			return err_sys(e, -r, "cannot read '%s' back", name);
		}
		(void)buf_addf(&b, "%s  %s\n", digest, name);
	}
	if (b.failed) {
		return no_memory(e);
	}
	digest_hex(buf_str(&b), b.len, g->manifest);
	return put_text(g, "MANIFEST.sha256", buf_str(&b), b.len, e);
}

int graduate_write(struct graduate *g, const struct state *s, struct err *e)
{
	_cleanup_fd_ int record = create(g, "trail.jsonl", e);
	int r = record < 0 ? record : graduate_read(g, s, record, e);

	r = r < 0 ? r : put_policy(g, e);
	r = r < 0 ? r : put_canonical(g, "plan.json", json_object_get(g->created, "plan"), e);
	r = r < 0 ? r : put_canonical(g, "receipt.json", json_object_get(g->receipt, "receipt"), e);
	r = r < 0 ? r : put_lock(g, e);
	r = r < 0 || !g->review ? r : put_changes(g, e);
	r = r < 0 ? r : put_readme(g, e);
	return r < 0 ? r : put_manifest(g, e);
}
