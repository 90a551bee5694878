/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the documents of a policy.
 *
 * Floor and template stand above what the caller writes, so neither may be of others' making: the
 * opened file, not its name, must belong to root or to the caller and be writable by nobody else.
 * A template is looked up by name in the caller's configuration, then in that of the host; root
 * has the latter only. A place that cannot be examined ends the search: the document that would
 * have been found there must not be passed over for another one.
 */
#include "policy/source.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "policy/identity.h"
#include "policy/load.h"
#include "policy/plan-internal.h"
#include "policy/setting.h"

#define FLOOR_PATH    "/etc/atoll/floor.yaml"
#define CONFIG        "/atoll/config.yaml"
#define TEMPLATES     "/atoll/templates"
#define TEMPLATES_DIR "/etc" TEMPLATES

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

static int open_document(const char *path)
{
	int fd;

	if (fault_hit()) {
		return -EIO;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int load_fd(int fd, const char *file, enum layer layer, struct policy *ret, struct err *e)
{
	_cleanup_buf_ struct buf text = {};
	int r;

	buf_init(&text, POLICY_DOCUMENT_MAX);
	r = policy_read_fd(fd, file, &text, e);
	return r < 0 ? r : policy_load(file, layer, buf_str(&text), text.len, ret, e);
}

/* What others could write would be no ceiling. `owner` is said of the document. */
static int check_owner(int fd, const char *path, const char *owner, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot read '%s'", path);
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		return err_set(e, ERR_POLICY, EPERM,
			       "'%s' is refused: %s and be writable by nobody else, and it belongs "
			       "to user %u; chown it to root",
			       path, owner, (unsigned)st.st_uid);
	}
	if ((st.st_mode & 022) != 0) {
		return err_set(e, ERR_POLICY, EPERM,
			       "'%s' is refused: %s and be writable by nobody else; look at it, "
			       "then chmod go-w it",
			       path, owner);
	}
	return 0;
}

int source_floor(const char *path, struct policy *ret, struct err *e)
{
	const char *name = path ? path : FLOOR_PATH;
	_cleanup_fd_ int fd = open_document(name);
	int r;

	if (fd < 0) {
		return !path && fd == -ENOENT ? 0 : err_sys(e, -fd, "cannot open '%s'", name);
	}
	r = check_owner(fd, name, "the floor must belong to root", e);
	return r < 0 ? r : load_fd(fd, name, LAYER_FLOOR, ret, e);
}

int source_file(const char *file, struct policy *ret, struct err *e)
{
	_cleanup_fd_ int fd = open_document(file);

	return fd < 0 ? err_sys(e, -fd, "cannot open '%s'", file)
		      : load_fd(fd, file, LAYER_FILE, ret, e);
}

/* ---- templates ---- */

/* Something of the caller's own configuration; "" where there is no place for any. */
static int own_place(char *const *environ, const char *what, char out[PATH_MAX], struct err *e)
{
	const char *config = environ_get(environ, "XDG_CONFIG_HOME");
	const char *home = environ_get(environ, "HOME");
	int n = 0;

	out[0] = '\0';
	if (geteuid() == 0) {
		return 0;
	}
	if (config && config[0] == '/') {
		n = snprintf(out, PATH_MAX, "%s%s", config, what);
	} else if (home && home[0] == '/') {
		n = snprintf(out, PATH_MAX, "%s/.config%s", home, what);
	}
	return n < 0 || n >= PATH_MAX ? err_set(e, ERR_USER, ENAMETOOLONG,
						"the path of your configuration is too long")
				      : 0;
}

static int add_place(char ***places, size_t *n, const char *dir, const char *word, struct err *e)
{
	char *place = NULL;

	if (!fault_hit() &&
	    asprintf(&place, "%s%s%s%s", dir, *dir ? "/" : "", word, *dir ? ".yaml" : "") < 0) {
		place = NULL;
	}
	return strings_add(places, n, place) < 0 ? no_memory(e) : 0;
}

/* A link that leads nowhere is there, too. */
static bool is_there(const char *place)
{
	struct stat st;

	return lstat(place, &st) == 0 || errno != ENOENT;
}

static int not_there(const char *word, char *const *places, struct err *e)
{
	const char *second = places[1];

	return err_set(e, ERR_USER, ENOENT,
		       "--template: there is no template '%s': looked for '%s'%s%s%s; a file "
		       "elsewhere is named by a path with a slash",
		       word, places[0], second ? " and '" : "", second ? second : "",
		       second ? "'" : "");
}

/* Opens the first place that there is; those before it stay in the list. */
static int open_first(const char *word, char *const *environ, char ***ret_places, struct err *e)
{
	char own[PATH_MAX];
	const char *const dirs[] = {own, TEMPLATES_DIR};
	size_t n = 0;
	int r = own_place(environ, TEMPLATES, own, e);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		int fd;

		if (dirs[i][0] == '\0') {
			continue;
		}
		r = add_place(ret_places, &n, dirs[i], word, e);
		if (r < 0) {
			return r;
		}
		fd = open_document((*ret_places)[n - 1]);
		if (fd >= 0) {
			return fd;
		}
		if (fd != -ENOENT || is_there((*ret_places)[n - 1])) {
			return err_sys(e, -fd, "cannot open '%s'", (*ret_places)[n - 1]);
		}
	}
	return not_there(word, *ret_places, e);
}

/* A name is a part of a path, and shows plainly in messages. */
static int check_name(const char *word, struct err *e)
{
	static const struct schema_key name = {.path = "template", .type = TYPE_NAME};
	static const struct origin at = {.layer = LAYER_OPTION, .option = "--template"};
	struct value v = {};
	int r = setting_check_text("template", &at, word, strlen(word), e);

	r = r < 0 ? r : setting_take(&name, &at, word, &v, e);
	value_done(&v);
	return r;
}

/* The descriptor of the document, whose place is the last of the list. */
static int open_template(const char *word, char *const *environ, char ***ret_places, struct err *e)
{
	size_t n = 0;
	int r;

	if (!strchr(word, '/')) {
		r = check_name(word, e);
		return r < 0 ? r : open_first(word, environ, ret_places, e);
	}
	r = add_place(ret_places, &n, "", word, e);
	if (r < 0) {
		return r;
	}
	r = open_document(word);
	return r < 0 ? err_sys(e, -r, "cannot open the template '%s'", word) : r;
}

int source_template(const char *word, char *const *environ, struct policy *ret, char ***ret_places,
		    struct err *e)
{
	_cleanup_fd_ int fd = open_template(word, environ, ret_places, e);
	char *const *last = *ret_places;
	int r;

	if (fd < 0) {
		return fd;
	}
	while (last[1]) {
		last++;
	}
	r = check_owner(fd, *last, "a template must belong to root or to you", e);
	return r < 0 ? r : load_fd(fd, *last, LAYER_TEMPLATE, ret, e);
}

/* ---- configuration ---- */

int source_config(enum config_place place, char *const *environ, char path[PATH_MAX],
		  const struct schema_key *keys, size_t n, struct value *v, struct err *e)
{
	_cleanup_buf_ struct buf text = {};
	_cleanup_fd_ int fd = FD_NONE;
	int r = 0;

	if (place == CONFIG_OF_HOST) {
		(void)snprintf(path, PATH_MAX, "/etc" CONFIG);
	} else {
		r = own_place(environ, CONFIG, path, e);
	}
	if (r < 0 || path[0] == '\0') {
		return r;
	}
	fd = open_document(path);
	if (fd < 0) {
		/* A link that leads nowhere is a mistake. */
		return fd == -ENOENT && !is_there(path) ? 0
							: err_sys(e, -fd, "cannot open '%s'", path);
	}
	buf_init(&text, POLICY_DOCUMENT_MAX);
	r = check_owner(fd, path, "a configuration must belong to root or to you", e);
	r = r < 0 ? r : policy_read_fd(fd, path, &text, e);
	r = r < 0 ? r : policy_load_flat(path, buf_str(&text), text.len, keys, n, v, e);
	return r < 0 ? r : 1;
}
