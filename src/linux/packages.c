/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of package managers. TRUST: they are the host's own, written by root. */
#include "linux/packages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"

/* Lines that are sorted and hashed. */
struct list {
	char **lines;
	size_t n;
};

static void list_done(struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->lines[i]);
	}
	free(l->lines);
}

/* Takes the line; NULL: out of memory. */
static int list_add(struct list *l, char *line)
{
	if (line && l->n % 256 == 0) {
		char **more = realloc(l->lines, (l->n + 256) * sizeof(*more));

		if (!more) {
			free(line);
			return -ENOMEM;
		}
		l->lines = more;
	}
	if (!line) {
		return -ENOMEM;
	}
	l->lines[l->n++] = line;
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static json_t *list_facts(struct list *l, const char *manager)
{
	char hex[DIGEST_HEX_SIZE];
	struct digest d;

	if (l->n > 0) {
		qsort(l->lines, l->n, sizeof(*l->lines), by_text);
	}
	digest_init(&d);
	for (size_t i = 0; i < l->n; i++) {
		digest_add(&d, l->lines[i], strlen(l->lines[i]));
		digest_add(&d, "\n", 1);
	}
	digest_end(&d, hex);
	return json_pack("{s:s, s:I, s:s}", "manager", manager, "count", (json_int_t)l->n, "digest",
			 hex);
}

static char *join(const char *name, const char *version, const char *architecture)
{
	char *line = NULL;

	return asprintf(&line, "%s %s %s", name, version, architecture) < 0 ? NULL : line;
}

/* The value of a field of this name at the beginning of a line, or NULL. */
static const char *field(const char *line, const char *name)
{
	size_t n = strlen(name);

	return strncmp(line, name, n) == 0 ? line + n + strspn(line + n, " ") : NULL;
}

/* Stanzas, each ended by an empty line: deb-control(5), and the shorter names of apk. */
struct stanza_names {
	const char *name, *version, *architecture, *status;
	const char *installed; /* what the status says of one that is; NULL: all are */
};

struct stanza {
	char name[128], version[128], architecture[32];
	bool installed;
};

static void take_field(struct stanza *s, const struct stanza_names *names, const char *line)
{
	const char *value;

	if ((value = field(line, names->name))) {
		(void)snprintf(s->name, sizeof(s->name), "%s", value);
	} else if ((value = field(line, names->version))) {
		(void)snprintf(s->version, sizeof(s->version), "%s", value);
	} else if ((value = field(line, names->architecture))) {
		(void)snprintf(s->architecture, sizeof(s->architecture), "%s", value);
	} else if (names->status && (value = field(line, names->status))) {
		s->installed = strcmp(value, names->installed) == 0;
	}
}

static int read_stanzas(FILE *in, const struct stanza_names *names, struct list *l)
{
	_cleanup_free_ char *line = NULL;
	struct stanza s = {};
	size_t size = 0;
	ssize_t n = 0;
	int r = 0;

	while (r >= 0 && n >= 0) {
		n = getline(&line, &size, in);
		if (n > 1) {
			line[n - 1] = '\0';
			take_field(&s, names, line);
			continue;
		}
		if (s.name[0] && (s.installed || !names->status)) {
			r = list_add(l, join(s.name, s.version, s.architecture));
		}
		s = (struct stanza){};
	}
	return r < 0 ? r : ferror(in) ? -EIO : 0;
}

static json_t *stanza_facts(const char *path, const char *manager, const struct stanza_names *names)
{
	_cleanup_(list_done) struct list l = {};
	_cleanup_fclose_ FILE *in = fopen(path, "re");
	int r = in ? read_stanzas(in, names, &l) : -errno;

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return list_facts(&l, manager);
}

/* A directory for each package, NAME-VERSION-RELEASE. */
static json_t *directory_facts(const char *path, const char *manager)
{
	_cleanup_(list_done) struct list l = {};
	DIR *dir = opendir(path);
	const struct dirent *d;
	int r = dir ? 0 : -errno;

	while (r >= 0 && (d = readdir(dir))) {
		if (d->d_name[0] != '.' && strchr(d->d_name, '-')) {
			r = list_add(&l, strdup(d->d_name));
		}
	}
	if (dir) {
		(void)closedir(dir);
	}
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return list_facts(&l, manager);
}

static json_t *database_facts(const char *path, const char *manager)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char hex[DIGEST_HEX_SIZE];
	int r = fd < 0 ? -errno : digest_file(fd, hex);

	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return json_pack("{s:s, s:n, s:s}", "manager", manager, "count", "digest", hex);
}

json_t *packages_facts(void)
{
	static const struct stanza_names dpkg = {
		"Package:", "Version:", "Architecture:", "Status:", "install ok installed"};
	static const struct stanza_names apk = {"P:", "V:", "A:", NULL, NULL};
	json_t *facts = stanza_facts("/var/lib/dpkg/status", "dpkg", &dpkg);

	if (!facts && errno == ENOENT) {
		facts = stanza_facts("/lib/apk/db/installed", "apk", &apk);
	}
	if (!facts && errno == ENOENT) {
		facts = directory_facts("/var/lib/pacman/local", "pacman");
	}
	if (!facts && errno == ENOENT) {
		facts = database_facts("/usr/lib/sysimage/rpm/rpmdb.sqlite", "rpm");
	}
	if (!facts && errno == ENOENT) {
		facts = database_facts("/var/lib/rpm/rpmdb.sqlite", "rpm");
	}
	return !facts && errno == ENOENT ? json_null() : facts;
}
