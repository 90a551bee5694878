/* SPDX-License-Identifier: Apache-2.0 */
/* Finding what the dead have left, and bringing it to an end. */
#include "keeper/reap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "keeper/account.h"
#include "keeper/anchor.h"
#include "keeper/copy.h"
#include "keeper/group.h"
#include "keeper/kept.h"
#include "keeper/log.h"
#include "keeper/scratch.h"
#include "keeper/retire.h"
#include "keeper/seal.h"
#include "keeper/state.h"

/* Undoes what sandbox.json says was made outside. Without one, nothing had been made yet. */
static int undo(const struct state_sandbox *sb, json_t *note, struct err *e)
{
	_cleanup_fd_ int fd = openat(sb->dir, "sandbox.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	json_t *path;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(doc, "groups"), i, path)
	{
		int n = json_is_string(path) ? group_remove_path(json_string_value(path), e) : 0;

		r = r < 0 ? r : n;
	}
	if (json_is_true(json_object_get(doc, "scratch"))) {
		int n = scratch_remove(sb->id, e);

		r = r < 0 ? r : n;
	}
	(void)json_put(note, "groups",
		       json_integer((json_int_t)json_array_size(json_object_get(doc, "groups"))));
	return r;
}

/* What its payload changed is kept as by a keeper that ended well. 1: it is. */
static int settle(const struct state_sandbox *sb, struct err *e)
{
	_cleanup_fd_ int fd = openat(sb->dir, "sandbox.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	const json_t *note = json_object_get(doc, "copy");

	if (!json_is_object(note)) {
		/* Damaged when the machine died, after the other one had been written. */
		return faccessat(sb->dir, "kept.json", F_OK, 0) == 0;
	}
	return copy_settle(sb, note, e);
}

/* Who is on the way of another command asks a ledger no more for a while that has not answered. */
#define SILENT_S 10

static bool was_silent(const struct state *s)
{
	struct stat st;
	int64_t age;

	if (fstatat(s->home, "silent", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return false;
	}
	age = clock_real_ns() / 1000000000 - st.st_mtim.tv_sec;
	return age >= 0 && age < SILENT_S;
}

/*
 * What it had reserved of its account, if it had one: before its directory goes, which is the only
 * thing here that knows of it; whoever is killed after that does it again, which changes nothing.
 * Where the note cannot be read the ledger knows. Without one, nothing had been reserved.
 */
static int give_back(const struct state *s, const struct state_sandbox *sb, enum reap how,
		     struct reaped *ret, json_t *note, struct err *e)
{
	_cleanup_fd_ int fd = openat(sb->dir, "sandbox.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool none = fd < 0 && errno == ENOENT;
	_cleanup_json_ json_t *doc = fd >= 0 ? json_loadfd(fd, 0, NULL) : NULL;
	const char *account = json_string_value(json_object_get(doc, "account"));
	struct err why = {};
	int r;

	if (none || (json_is_object(doc) && !account)) {
		return 0;
	}
	if (ret->silent || (how == REAP_PASSING && was_silent(s))) {
		return err_set(e, ERR_SYSTEM, ETIMEDOUT,
			       "the ledger has not answered a moment ago; sandbox %s waits for the "
			       "next command",
			       sb->id);
	}
	r = account_return(s, sb->id, account, how == REAP_PASSING ? ACCOUNT_HURRY_MS : 0, note,
			   &why);
	if (r >= 0) {
		return r;
	}
	/* Whoever looks waits for it once, not for each of them. */
	ret->silent = why.kind == ERR_SYSTEM;
	if (ret->silent) {
		(void)state_is_due(s->home, "silent", 0);
	}
	return err_set(e, why.kind, why.code, "%s", why.msg);
}

/* The copy and the directory, and the name with it: nobody makes or names one meanwhile. */
static int remove_one(const struct state *s, struct state_sandbox *sb, struct err *e)
{
	int r;

	if (flock(s->sandboxes, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock the state directory");
	}
	r = settle(sb, e);
	r = r < 0 ? r : r > 0 ? copy_release(sb, e) : state_remove(s, sb, e);
	(void)flock(s->sandboxes, LOCK_UN);
	return r;
}

static int reap_one(const struct state *s, struct state_sandbox *sb, enum reap how,
		    struct reaped *ret, struct err *e)
{
	json_t *note = json_pack("{s:s}", "why", "the keeper ended without tearing down");
	int r;

	if (!note) {
		return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
	}
	r = undo(sb, note, e);
	r = r < 0 ? r : give_back(s, sb, how, ret, note, e);
	if (r < 0) {
		json_decref(note);
		return r;
	}
	r = seal_event(s, sb->id, "reaped", note, SEAL_FIRST, e);
	r = r == -ENOENT ? 0 : r; /* it died before the first record */
	return r < 0 ? r : remove_one(s, sb, e);
}

/* Ended, with a copy that waits for somebody: nobody's orphan. */
static bool is_kept(int dir)
{
	return faccessat(dir, "sandbox.json", F_OK, 0) < 0 &&
	       faccessat(dir, "kept.json", F_OK, 0) == 0;
}

/* A copy whose time is up; or the one that waits since then, where there are too many (0: there are
 * not). */
static bool may_go(int dir, int64_t since)
{
	return kept_expired(dir) || (since > 0 && kept_since(dir) == since);
}

/* Nobody keeps it any more: it has no keeper, or what it left has waited long enough. */
static bool is_over(const struct state *s, const char *name, int64_t since, int *ret_dir,
		    bool *ret_expired)
{
	_cleanup_fd_ int dir =
		openat(s->sandboxes, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool kept = dir >= 0 && is_kept(dir);
	struct stat opened, now;

	/* First whether it is kept: the lock of such a one would be in the way of who opens it now.
	 * And again with it: its keeper may have kept it meanwhile. */
	if (dir < 0 || (kept && !may_go(dir, since)) || flock(dir, LOCK_EX | LOCK_NB) < 0 ||
	    (is_kept(dir) && !may_go(dir, since))) {
		return false;
	}
	*ret_expired = is_kept(dir);
	/* Removed by its keeper, or by another command, since it was opened: nobody's orphan. */
	if (fstat(dir, &opened) < 0 || fstatat(s->sandboxes, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
	    opened.st_dev != now.st_dev || opened.st_ino != now.st_ino) {
		return false;
	}
	*ret_dir = TAKE_FD(dir);
	return true;
}

/* What waited for longer than its policy says. */
static int expire_one(const struct state *s, struct state_sandbox *sb, bool surplus, struct err *e)
{
	char of[STATE_ID_SIZE]; /* that of a further directory is in its sandbox's record */
	int r;

	state_name_of(sb->id, of);
	r = seal_event(s, of, "copy_expired",
		       json_pack("{s:s, s:s}", "why", surplus ? "too many wait" : "its time was up",
				 "copy", sb->id),
		       SEAL_PASSING, e);
	return r < 0 && r != -ENOENT ? r : kept_expire(s, sb, e);
}

/* The directories of one sandbox count as one: that of a further copy (ID.N), which is looked at
 * before it (see reap_run()), counts if it is all there is. */
static bool is_counted(const struct state *s, const char *name)
{
	char of[STATE_ID_SIZE];

	state_name_of(name, of);
	return !strchr(name, '.') || faccessat(s->sandboxes, of, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

/*
 * With the exclusive lock on HOME/sandboxes nobody is between making and locking a directory: what
 * has no keeper then, never will. From then on its own lock, which is ours, is enough: who else
 * looks for the dead leaves it alone, and those who start others do not wait for what is asked
 * about it.
 */
static int reap_candidate(const struct state *s, const char *name, int64_t since, enum reap how,
			  struct reaped *ret, struct err *e)
{
	struct state_sandbox sb = {.dir = FD_NONE};
	bool expired = false, over, counts = is_counted(s, name);
	int r = 0;

	if (strlen(name) >= sizeof(sb.id)) {
		return 0;
	}
	memcpy(sb.id, name, strlen(name) + 1);
	if (flock(s->sandboxes, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock the state directory");
	}
	over = is_over(s, name, since, &sb.dir, &expired);
	(void)flock(s->sandboxes, LOCK_UN);
	if (over) {
		r = expired ? expire_one(s, &sb, since > 0, e) : reap_one(s, &sb, how, ret, e);
		ret->orphans += r >= 0 && !expired && counts;
		ret->expired += r >= 0 && expired;
	}
	state_sandbox_done(&sb);
	return r;
}

/* One that is over (*ret_over), as far as can be seen without removing it. */
static int consider(const struct state *s, const char *name, int64_t since, enum reap how,
		    struct reaped *ret, bool *ret_over, struct err *e)
{
	bool expired = false;
	int probe = FD_NONE;

	if (name[0] == '.' || !is_over(s, name, since, &probe, &expired)) {
		return 0;
	}
	*ret_over = true;
	(void)fd_close(probe);
	if (how != REAP_LOOK) {
		return reap_candidate(s, name, since, how, ret, e);
	}
	ret->orphans += !expired && is_counted(s, name);
	ret->expired += expired;
	return 0;
}

struct waiting {
	char id[STATE_ID_SIZE];
	int64_t since;
};

struct waiting_list {
	struct waiting *list;
	size_t n;
};

static int by_age(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;

	return (x->since > y->since) - (x->since < y->since);
}

/* Adds it if it is a copy that waits. */
static int note_waiting(const struct state *s, const char *name, struct waiting_list *l,
			struct err *e)
{
	_cleanup_fd_ int dir =
		openat(s->sandboxes, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	int64_t since = dir < 0 || strlen(name) >= STATE_ID_SIZE ? 0 : kept_since(dir);

	if (since == 0) {
		return 0;
	}
	if (l->n % 64 == 0) {
		struct waiting *more = realloc(l->list, (l->n + 64) * sizeof(*more));

		if (!more) {
			return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
		}
		l->list = more;
	}
	l->list[l->n].since = since;
	memcpy(l->list[l->n++].id, name, strlen(name) + 1);
	return 0;
}

/* One directory. */
static int reap_entry(const struct state *s, const char *name, enum reap how,
		      struct waiting_list *l, struct reaped *ret, struct err *e)
{
	bool over = false;
	int r = consider(s, name, 0, how, ret, &over, e);

	return r < 0 || over || name[0] == '.' ? r : note_waiting(s, name, l, e);
}

/* Those of one kind: a sandbox's own directories, or those of its further copies. One that cannot
 * be removed keeps none of those behind it; the first error is said. */
static int reap_kind(const struct state *s, DIR *dir, bool further, enum reap how,
		     struct waiting_list *l, struct reaped *ret, struct err *e)
{
	const struct dirent *d;
	int failed = 0;

	rewinddir(dir);
	while ((d = readdir(dir))) {
		if ((strchr(d->d_name, '.') != NULL) == further) {
			int r = reap_entry(s, d->d_name, how, l, ret, failed < 0 ? NULL : e);

			failed = failed < 0 ? failed : r;
		}
	}
	return failed;
}

/* Of more than KEPT_MAX copies the first. */
static int reap_surplus(const struct state *s, struct waiting *list, size_t n, enum reap how,
			struct reaped *ret, struct err *e)
{
	int failed = 0;

	if (n > KEPT_MAX) {
		qsort(list, n, sizeof(*list), by_age);
	}
	for (size_t i = 0; i + KEPT_MAX < n; i++) {
		int r = consider(s, list[i].id, list[i].since, how, ret, &(bool){false},
				 failed < 0 ? NULL : e);

		failed = failed < 0 ? failed : r;
	}
	return failed;
}

/* To look at hundreds takes as long as to start one. */
static bool is_too_much(const struct state *s, DIR *dir)
{
	size_t n = 0;

	while (n <= REAP_FEW && readdir(dir)) {
		n++;
	}
	rewinddir(dir);
	return n > REAP_FEW && !state_is_due(s->home, "looked", REAP_EVERY_S);
}

int reap_sandbox(const struct state *s, const char *id, struct err *e)
{
	struct reaped unused = {};

	return consider(s, id, 0, REAP_SANDBOXES, &unused, &(bool){false}, e);
}

int reap_run(const struct state *s, enum reap how, struct reaped *ret, struct err *e)
{
	const bool look = how == REAP_LOOK;
	int copy = openat(s->sandboxes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct waiting_list waiting = {};
	int r, failed;

	*ret = (struct reaped){};
	if (!dir) {
		(void)fd_close(copy);
		return err_sys(e, errno, "cannot list the state directory");
	}
	if (how == REAP_PASSING && is_too_much(s, dir)) {
		(void)closedir(dir);
		return 0;
	}
	failed = reap_kind(s, dir, true, how, &waiting, ret, e);
	r = reap_kind(s, dir, false, how, &waiting, ret, failed < 0 ? NULL : e);
	failed = failed < 0 ? failed : r;
	(void)closedir(dir);
	r = reap_surplus(s, waiting.list, waiting.n, how, ret, failed < 0 ? NULL : e);
	failed = failed < 0 ? failed : r;
	free(waiting.list);
	ret->logs = log_reap(s, how == REAP_ALL, look);
	if (how != REAP_PASSING) {
		/* On the way of another command: where it cannot be, the next one tries, and
		 * 'atoll audit verify' says what is not anchored. */
		r = look ? 0 : anchor_pending(s, how == REAP_ALL && failed >= 0 ? e : NULL);
		failed = failed < 0 || r > 0 || how != REAP_ALL ? failed : r;
		r = retire_trails(s, how == REAP_ALL || look, look, failed < 0 ? NULL : e);
		ret->trails = r > 0 ? r : 0;
		failed = failed < 0 || r > 0 ? failed : r;
	}
	return failed;
}
