/* SPDX-License-Identifier: Apache-2.0 */
/* What fronts ask for: a sandbox, a command, checked member by member. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "keeper/exec-internal.h"
#include "keeper/keeper-internal.h"
#include "keeper/message.h"
#include "linux/cpu.h"
#include "linux/fdpass.h"

/* Arguments and environment together are bounded by the kernel at about this (execve(2)). */
#define MAX_REQUEST (8 * 1024 * 1024)
#define MAX_ARGS    65536
/* Each is compared with all the others. */
#define MAX_ENV 300

static int no_memory(struct err *e)
{
	return err_set(e, ERR_SYSTEM, ENOMEM, "out of memory");
}

/* Splits "a\0b\0" in place of the text; every string is copied. */
static int parse_argv(struct command *c, const char *text, size_t len, struct err *e)
{
	const char *p = text;
	size_t n = 0, i;

	for (i = 0; i < len; i++) {
		n += text[i] == '\0';
	}
	if (n < 1 || n > MAX_ARGS || text[len - 1] != '\0') {
		return err_set(e, ERR_USER, E2BIG, "a command has 1 to %d arguments", MAX_ARGS);
	}
	c->argv = calloc(n + 1, sizeof(*c->argv));
	for (i = 0; c->argv && i < n; i++) {
		c->argv[i] = strdup(p);
		if (!c->argv[i]) {
			break;
		}
		p += strlen(p) + 1;
	}
	return c->argv && c->argv[n - 1] ? 0 : no_memory(e);
}

/* Of the terminal, which the sandbox did not have when its policy was settled. */
static bool is_terminal_word(const char *text)
{
	return strncmp(text, "TERM=", 5) == 0 || strncmp(text, "COLORTERM=", 10) == 0;
}

/* Sets NAME=VALUE in c->env, which has room for it. */
static int put_env(struct command *c, const struct plan *plan, const char *text, struct err *e)
{
	size_t name = strcspn(text, "="), i = 0;
	char *own;

	if (name == 0 || text[name] != '=') {
		return err_set(e, ERR_BUG, EINVAL, "the request's environment is malformed");
	}
	own = strdup(text);
	if (!own) {
		return no_memory(e);
	}
	while (c->env[i] && strncmp(c->env[i], text, name + 1) != 0) {
		i++;
	}
	if (plan->env_fixed && !is_terminal_word(text) &&
	    (!c->env[i] || strcmp(c->env[i], own) != 0)) {
		(void)err_set(e, ERR_POLICY, EPERM,
			      "data.env: '%.*s' is refused: the sandbox's policy says which "
			      "variables there are",
			      (int)name, text);
		free(own);
		return -EPERM;
	}
	free(c->env[i]);
	c->env[i] = own;
	return 0;
}

/* The plan's environment, and what this command has of its own. */
static int make_env(struct command *c, const struct plan *plan, const json_t *own, struct err *e)
{
	size_t n = json_array_size(own), i;
	json_t *text;
	int r = 0;

	if (n == 0) {
		return 0;
	}
	if (n > MAX_ENV) {
		return err_set(e, ERR_USER, E2BIG, "more than %d variables", MAX_ENV);
	}
	c->env = calloc(plan->n_env + n + 1, sizeof(*c->env));
	if (!c->env) {
		return no_memory(e);
	}
	for (i = 0; r >= 0 && i < plan->n_env; i++) {
		c->env[i] = strdup(plan->env[i]);
		r = c->env[i] ? 0 : no_memory(e);
	}
	json_array_foreach(own, i, text)
	{
		const char *s = json_string_value(text);

		r = r < 0 ? r
		    : s   ? put_env(c, plan, s, e)
			  : err_set(e, ERR_BUG, EINVAL, "the request's environment is malformed");
	}
	return r;
}

/* True if `path` is `dir` or lies below it. */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/*
 * The command starts where its caller is, if that place is in the view; otherwise in the
 * workspace, and without one at home.
 */
static const char *choose_cwd(const struct plan *plan, const char *here)
{
	size_t i;

	if (plan->tier == TIER_NONE && here) {
		return here;
	}
	if (plan->workspace_mode != WORKSPACE_NONE) {
		return here && plan_work_around(plan, here, WORKSPACE_READ_ONLY)
			       ? here
			       : plan->workspace.path;
	}
	if (here && plan_work_around(plan, here, WORKSPACE_READ_ONLY)) {
		return here;
	}
	for (i = 0; here && i < plan->n_read; i++) {
		if (plan->read[i].is_dir && is_below(here, plan->read[i].path)) {
			return here;
		}
	}
	return plan->identity.home;
}

static int take_cwd(struct command *c, const struct plan *plan, const json_t *doc, struct err *e)
{
	const char *here = json_string_value(json_object_get(doc, "here"));
	const char *cwd = json_string_value(json_object_get(doc, "cwd"));

	if (cwd && cwd[0] != '/') {
		return err_set(e, ERR_BUG, EINVAL, "the request's cwd is not absolute");
	}
	c->cwd = strdup(cwd ? cwd : choose_cwd(plan, here && here[0] == '/' ? here : NULL));
	c->program.anywhere = cwd != NULL;
	return c->cwd ? 0 : no_memory(e);
}

static int parse_command(struct command *c, const struct plan *plan, const json_t *doc,
			 struct err *e)
{
	int64_t tty;
	int r = json_get_int(doc, "tty", &tty, e);

	if (r >= 0) {
		r = json_get_bool(doc, "one_output", &c->one_output, e);
	}
	if (r >= 0) {
		r = json_get_bool(doc, "detached", &c->detached, e);
	}
	if (r >= 0) {
		r = json_get_bool(doc, "own", &c->program.own, e);
	}
	if (r >= 0) {
		r = json_get_int(doc, "wall_ns", &c->wall, e);
	}
	if (r < 0) {
		return r;
	}
	if (tty < 0 || tty > 7 || c->wall < 0) {
		return err_set(e, ERR_BUG, EINVAL, "the request's tty or wall is out of range");
	}
	if (c->program.own && (c->main || c->detached || tty)) {
		return err_set(e, ERR_BUG, EINVAL, "the request copies what it cannot");
	}
	if (c->detached && (c->main || tty)) {
		return err_set(e, ERR_BUG, EINVAL, "the request detaches what somebody waits for");
	}
	c->tty = (unsigned)tty;
	r = take_cwd(c, plan, doc, e);
	return r < 0 ? r : make_env(c, plan, json_object_get(doc, "env"), e);
}

/* The document and the arguments, from the descriptors that carried them. */
static int read_document(int fd, json_t **ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = message_read_fd(fd, MAX_REQUEST, &len, e);
	if (!text) {
		return -e->code;
	}
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	return *ret ? 0 : err_set(e, ERR_BUG, EINVAL, "the request is not JSON");
}

static int read_command(struct command *c, const struct plan *plan, const struct message *m,
			const json_t *doc, int argv_fd, struct err *e)
{
	_cleanup_free_ char *argv = NULL;
	size_t len = 0;
	int r;

	argv = message_read_fd(argv_fd, MAX_REQUEST, &len, e);
	r = argv ? parse_argv(c, argv, len, e) : -e->code;
	c->rows = m->a;
	c->columns = m->b;
	return r < 0 ? r : parse_command(c, plan, doc, e);
}

int keeper_receive_exec(const struct keeper *k, struct command *c, const struct message *m,
			const int *fds, size_t n, struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;
	int r = n == REQUEST_FDS ? read_document(fds[REQUEST_DOCUMENT], &doc, e)
				 : err_set(e, ERR_BUG, EPROTO, "the request is incomplete");

	return r < 0 ? r
		     : read_command(c, &k->plan, m, json_object_get(doc, "command"),
				    fds[REQUEST_ARGV], e);
}

/* The main command has the front from now on. */
static int take_main(struct keeper *k, const struct message *m, const json_t *doc, int *fds,
		     struct err *e)
{
	struct command *c = command_new();

	if (!c) {
		return no_memory(e);
	}
	k->main = k->commands[k->n_commands++] = c;
	c->main = true;
	c->number = ++k->last_number;
	c->front = TAKE_FD(k->front);
	c->front_pidfd = TAKE_FD(fds[REQUEST_PIDFD]);
	return read_command(c, &k->plan, m, doc, fds[REQUEST_ARGV], e);
}

/* What the plan was made of goes into the record as it is. */
static int take_policy(struct keeper *k, json_t *doc, struct err *e)
{
	json_t *policy = json_object_get(doc, "policy");
	json_t *origins = json_object_get(doc, "origins");

	if ((policy && !json_is_object(policy)) || (origins && !json_is_object(origins))) {
		return err_set(e, ERR_BUG, EINVAL, "the request's policy is no object");
	}
	k->plan.policy = json_incref(policy);
	k->plan.origins = json_incref(origins);
	return 0;
}

static int take_names(struct keeper *k, const json_t *doc, struct err *e)
{
	const char *name = json_string_value(json_object_get(doc, "name")), *label;
	json_t *labels = json_object_get(doc, "labels"), *value;

	json_object_foreach(labels, label, value)
	{
		if (!json_is_string(value)) {
			return err_set(e, ERR_BUG, EINVAL, "a label of the request is no text");
		}
	}
	k->labels = json_is_object(labels) ? json_incref(labels) : json_object();
	k->name = name ? strdup(name) : NULL;
	return k->labels && (k->name || !name) ? 0 : no_memory(e);
}

/* What our parent has pushed away, before it sent the request, goes back where that is. */
static int take_affinity(const struct keeper *k, struct err *e)
{
	cpu_set_t cpus;

	return cpu_affinity(k->parent, &cpus) ? cpu_restore(&cpus, e) : 0;
}

static int take_request(struct keeper *k, const struct message *m, int *fds, size_t n,
			struct err *e)
{
	_cleanup_json_ json_t *doc = NULL;
	const json_t *command;
	int r = read_document(fds[REQUEST_DOCUMENT], &doc, e);

	if (r >= 0) {
		r = plan_from_json(json_object_get(doc, "plan"), &k->plan, e);
	}
	if (r >= 0) {
		r = plan_take_values(&k->plan, json_object_get(doc, "values"), e);
	}
	if (r >= 0) {
		r = take_policy(k, doc, e);
	}
	if (r >= 0) {
		r = take_names(k, doc, e);
	}
	k->tell_receipt = json_is_true(json_object_get(doc, "receipt"));
	command = json_object_get(doc, "command");
	if (r >= 0 && json_is_object(command)) {
		r = n == REQUEST_FDS ? take_main(k, m, command, fds, e)
				     : err_set(e, ERR_BUG, EPROTO, "the request is incomplete");
	}
	return r < 0 ? r : take_affinity(k, e);
}

int keeper_receive(struct keeper *k, struct err *e)
{
	int fds[REQUEST_FDS] = {FD_NONE, FD_NONE, FD_NONE};
	struct message m;
	size_t n = REQUEST_FDS, i;
	ssize_t len = fdpass_recv(k->front, &m, sizeof(m), fds, &n);
	int r;

	if (len != (ssize_t)sizeof(m) || m.op != MSG_START || n < REQUEST_ARGV) {
		r = err_set(e, ERR_SYSTEM, len < 0 ? (int)-len : EPIPE, "the front went away");
	} else {
		r = take_request(k, &m, fds, n, e);
	}
	for (i = 0; i < REQUEST_FDS; i++) {
		(void)fd_close(fds[i]);
	}
	return r;
}
