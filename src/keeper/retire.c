/* SPDX-License-Identifier: Apache-2.0 */
/* Removing trails whose time is up. */
#include "keeper/retire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "keeper/account.h"
#include "keeper/state.h"
#include "policy/config.h"
#include "policy/work.h"
#include "record/ledger-anchor.h"
#include "record/ledger.h"
#include "record/trail.h"

extern char **environ;

/* The id, where the name is that of a first segment. */
static bool take_name(const char *name, char id[STATE_ID_SIZE])
{
	size_t n = strcspn(name, ".");

	if (n == 0 || n >= STATE_ID_SIZE || strcmp(name + n, ".jsonl") != 0) {
		return false;
	}
	memcpy(id, name, n);
	id[n] = '\0';
	return true;
}

/* The last segment, which is the last that was written to. */
static int64_t changed_ns(const struct state *s, const char *id, unsigned *ret_segments)
{
	char name[TRAIL_FILE_SIZE];
	int64_t ns = INT64_MAX;
	struct stat st;
	unsigned n = 0;

	for (trail_file(id, 1, name); fstatat(s->trail, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	     trail_file(id, n + 1, name)) {
		ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
		n++;
	}
	*ret_segments = n;
	return ns;
}

/* Anything of its sandbox; what waits may also be a further copy alone (ID.N). */
static bool is_left(const struct state *s, const char *id)
{
	bool left = faccessat(s->sandboxes, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
	char name[STATE_ID_SIZE];

	for (size_t n = 0; !left && n < PLAN_MORE_MAX; n++) {
		state_name_more(id, n, name);
		left = faccessat(s->sandboxes, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
		       errno != ENOENT;
	}
	return left;
}

/* Its sandbox is gone, with its copies; nobody writes to it. The lock is the caller's, in *ret_fd.
 */
static bool is_over(const struct state *s, const char *id, int *ret_fd)
{
	char name[TRAIL_FILE_SIZE];
	_cleanup_fd_ int fd = FD_NONE;

	trail_file(id, 1, name);
	fd = openat(s->trail, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || is_left(s, id)) {
		return false;
	}
	*ret_fd = TAKE_FD(fd);
	return true;
}

/* The first segment last: while that is there, so is the trail. */
static int remove_trail(const struct state *s, const char *id, unsigned segments, struct err *e)
{
	for (unsigned n = segments; n > 0; n--) {
		char name[TRAIL_FILE_SIZE];

		trail_file(id, n, name);
		if (unlinkat(s->trail, name, 0) < 0 && errno != ENOENT) {
			return err_sys(e, errno, "cannot remove the record of sandbox %s", id);
		}
	}
	return 0;
}

struct retiring {
	const struct state *state;
	int64_t before_ns;
	bool look;
	struct ledger *ledger; /* opened for the first of them */
	int n;
};

static int retire_one(struct retiring *r, const char *id, struct err *e)
{
	_cleanup_fd_ int lock = FD_NONE;
	unsigned segments = 0;
	int n = 0;

	/* Again with the lock: whoever had it may have written meanwhile. */
	if (changed_ns(r->state, id, &segments) >= r->before_ns || !is_over(r->state, id, &lock) ||
	    changed_ns(r->state, id, &segments) >= r->before_ns) {
		return 0;
	}
	if (!r->look) {
		n = r->ledger ? 0 : account_open_ledger(r->state->home, &r->ledger, NULL, e);
		n = n < 0 ? n : ledger_retire(r->ledger, id, "its time was up (trail_keep)", e);
		n = n < 0 ? n : remove_trail(r->state, id, segments, e);
	}
	r->n += n >= 0;
	return n;
}

static int retire_all(struct retiring *r, struct err *e)
{
	int copy = openat(r->state->trail, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *d;
	char id[STATE_ID_SIZE];

	if (!dir) {
		(void)fd_close(copy);
		return err_sys(e, errno, "cannot list the records");
	}
	while (n >= 0 && (d = readdir(dir))) {
		n = take_name(d->d_name, id) ? retire_one(r, id, e) : 0;
	}
	(void)closedir(dir);
	return n;
}

int retire_trails(const struct state *s, bool now, bool look, struct err *e)
{
	_cleanup_(config_done) struct config config = {};
	struct retiring r = {.state = s, .look = look};
	int n;

	if (!now && !state_is_due(s->home, "retired", RETIRE_EVERY_S)) {
		return 0;
	}
	n = config_load(environ, &config, e);
	if (n < 0 || config.keep == 0) {
		return n;
	}
	r.before_ns = clock_real_ns() - config.keep;
	n = retire_all(&r, e);
	ledger_close(r.ledger);
	return n < 0 ? n : r.n;
}
