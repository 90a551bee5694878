/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How atoll-ledger serve begins.
 *
 * As root it makes what only root can make (the directory of its user, which nobody else can enter,
 * and the socket, which everybody can reach), and becomes that user. Started as a user by a service
 * manager it finds the directory there, and the socket, which it is given (LISTEN_FDS,
 * sd_listen_fds(3)), or makes it itself. The directory is locked for life, so that there is one of
 * us; with that lock a socket of that name that is there is a dead one's.
 *
 * Clients trust what listens if that is root's or the owner's of the socket's directory (the
 * kernel remembers who called listen(2)): so root listens before it gives itself up.
 */
#include "record/ledger-start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "record/ledger.h"

#define DEFAULT_DIRECTORY "/var/lib/atoll-ledger"
#define DEFAULT_USER      "atoll-ledger"
#define FIRST_FD          3
#define BACKLOG           1024

static const char help[] =
	"usage: atoll-ledger serve [--directory DIR] [--socket PATH] [--user USER]\n"
	"\n"
	"Keep a ledger for the users of this host, who reach it by 'ledger: system' in "
	"config.yaml.\n"
	"Started as root it becomes USER, which must not be root.\n"
	"\n"
	"  --directory DIR  USER's, where the ledger is (" DEFAULT_DIRECTORY ")\n"
	"  --socket PATH    where it is reached (" LEDGER_SYSTEM_SOCKET
	"), unless a service manager has\n"
	"                   passed one\n"
	"  --user USER      a name or a number (" DEFAULT_USER ")\n";

int serve_parse(struct serve *s, int argc, char **argv, struct err *e)
{
	static const struct option options[] = {
		{"directory", required_argument, NULL, 'd'},
		{"socket", required_argument, NULL, 's'},
		{"user", required_argument, NULL, 'u'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int c;

	*s = (struct serve){.home = FD_NONE, .listener = FD_NONE};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'd':
			s->directory = optarg;
			break;
		case 's':
			s->socket = optarg;
			break;
		case 'u':
			s->user = optarg;
			break;
		case 'h':
			(void)fputs(help, stdout);
			return 1;
		default:
			return err_set(e, ERR_USER, EINVAL,
				       "'%s' is no option, or has no value; see 'atoll-ledger "
				       "serve --help'",
				       argv[optind - 1]);
		}
	}
	return optind == argc
		       ? 0
		       : err_set(e, ERR_USER, EINVAL,
				 "'%s' is too much; see 'atoll-ledger serve --help'", argv[optind]);
}

/* ---- the user ---- */

struct identity {
	uid_t uid;
	gid_t gid;
};

static int find_user(const struct serve *s, struct identity *ret, struct err *e)
{
	const char *name = s->user ? s->user : DEFAULT_USER;
	const struct passwd *p;
	char *end;
	unsigned long n = strtoul(name, &end, 10);

	if (geteuid() != 0 && !s->user) {
		*ret = (struct identity){geteuid(), getegid()};
		return 0;
	}
	p = getpwnam(name);
	*ret = (struct identity){p ? p->pw_uid : (uid_t)n, p ? p->pw_gid : (gid_t)n};
	if (!p && (*end != '\0' || end == name || n >= UINT32_MAX)) {
		return err_set(e, ERR_USER, ENOENT,
			       "there is no user '%s'; make it: 'useradd --system --home-dir %s "
			       "--shell /usr/sbin/nologin %s'",
			       name, DEFAULT_DIRECTORY, name);
	}
	if (ret->uid == 0) {
		return err_set(e, ERR_USER, EPERM,
			       "the ledger is not served as root; choose another --user");
	}
	return geteuid() != 0 && ret->uid != geteuid()
		       ? err_set(e, ERR_USER, EPERM, "only root can become '%s'", name)
		       : 0;
}

static int become(const struct identity *who, struct err *e)
{
	if (geteuid() != 0) {
		return 0;
	}
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap) < 0) {
			return err_sys(e, errno, "cannot give capabilities up");
		}
	}
	return setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
			       setresuid(who->uid, who->uid, who->uid) < 0 || setuid(0) == 0
		       ? err_sys(e, errno ? errno : EPERM, "cannot become uid %u",
				 (unsigned)who->uid)
		       : 0;
}

/* ---- the directory ---- */

static int open_directory(struct serve *s, const struct identity *who, struct err *e)
{
	const char *path = s->directory ? s->directory : DEFAULT_DIRECTORY;
	bool made = mkdir(path, 0700) == 0;
	struct stat st;

	if (!made && errno != EEXIST) {
		return err_sys(e, errno, "cannot make the directory '%s'", path);
	}
	s->home = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->home < 0 || (made && fchown(s->home, who->uid, who->gid) < 0) ||
	    fstat(s->home, &st) < 0) {
		return err_sys(e, errno, "cannot open the directory '%s'", path);
	}
	if (st.st_uid != who->uid || (st.st_mode & 077)) {
		return err_set(e, ERR_USER, EPERM,
			       "the directory '%s' must belong to uid %u, and nobody else may "
			       "enter it: 'chown %u %s', 'chmod 700 %s'",
			       path, (unsigned)who->uid, (unsigned)who->uid, path, path);
	}
	if (flock(s->home, LOCK_EX | LOCK_NB) < 0) {
		return errno == EWOULDBLOCK
			       ? err_set(e, ERR_USER, EBUSY,
					 "another atoll-ledger serves '%s' already", path)
			       : err_sys(e, errno, "cannot lock the directory '%s'", path);
	}
	return 0;
}

/* ---- the socket ---- */

/* 1: one was passed. Those variables are for us if they have our number. */
static int take_passed(struct serve *s, struct err *e)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	struct sockaddr_un name;
	socklen_t len = sizeof(name), size = sizeof(int);
	int listens = 0;

	if (!pid || !n || strtol(pid, NULL, 10) != getpid()) {
		return 0;
	}
	if (strcmp(n, "1") != 0) {
		return err_set(e, ERR_USER, EINVAL, "the service manager has passed %s sockets", n);
	}
	if (getsockopt(FIRST_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
	    getsockname(FIRST_FD, (struct sockaddr *)&name, &len) < 0 ||
	    name.sun_family != AF_UNIX) {
		return err_set(e, ERR_USER, EINVAL,
			       "what the service manager has passed is no unix socket that "
			       "listens");
	}
	s->listener = FIRST_FD;
	return fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) < 0 || fcntl(FIRST_FD, F_SETFL, O_NONBLOCK) < 0
		       ? err_sys(e, errno, "cannot take the socket")
		       : 1;
}

/* Where others may write nobody would trust what listens (ledger-socket.c). */
static int check_parent(const char *parent, const struct identity *who, struct err *e)
{
	struct stat st;

	if (stat(parent, &st) < 0) {
		return err_sys(e, errno, "cannot look at the directory '%s'", parent);
	}
	return (st.st_mode & 022) || (st.st_uid != 0 && st.st_uid != who->uid)
		       ? err_set(e, ERR_USER, EPERM,
				 "the directory of the socket, '%s', must belong to root or uid "
				 "%u, and nobody else may write there; choose another --socket",
				 parent, (unsigned)who->uid)
		       : 0;
}

/* Its directory, where that is not there, is made for everybody to enter. */
static int make_parent(const char *path, const struct identity *who, struct err *e)
{
	_cleanup_free_ char *parent = strdup(path);
	char *slash = parent ? strrchr(parent, '/') : NULL;
	bool made;

	if (!slash) {
		return !parent ? err_set(e, ERR_SYSTEM, ENOMEM, "out of memory")
			       : err_set(e, ERR_USER, EINVAL,
					 "'%s' is no whole path; begin it with '/'", path);
	}
	slash[slash == parent] = '\0';
	made = mkdir(parent, 0755) == 0;
	if ((!made && errno != EEXIST) || (made && chmod(parent, 0755) < 0)) {
		return err_sys(e, errno, "cannot make the directory '%s'", parent);
	}
	return check_parent(parent, who, e);
}

static int make_socket(struct serve *s, const struct identity *who, struct err *e)
{
	const char *path = s->socket ? s->socket : LEDGER_SYSTEM_SOCKET;
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	int r = make_parent(path, who, e);

	if (r < 0) {
		return r;
	}
	if (strlen(path) >= sizeof(name.sun_path)) {
		return err_set(e, ERR_USER, ENAMETOOLONG, "the path of the socket is too long");
	}
	memcpy(name.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
		return err_set(e, ERR_USER, EEXIST, "'%s' is there, and no socket", path);
	}
	(void)unlink(path);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0111); /* everybody's from the start, and no path is changed by name */
	r = s->listener < 0 || bind(s->listener, (struct sockaddr *)&name, sizeof(name)) < 0 ||
			    listen(s->listener, BACKLOG) < 0
		    ? err_sys(e, errno, "cannot listen on '%s'", path)
		    : 0;
	(void)umask(mask);
	return r;
}

int serve_open(struct serve *s, struct err *e)
{
	struct identity who;
	int r = find_user(s, &who, e);

	r = r < 0 ? r : open_directory(s, &who, e);
	r = r < 0 ? r : take_passed(s, e);
	r = r != 0 ? r : make_socket(s, &who, e);
	return r < 0 ? r : become(&who, e);
}
