/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table of hazards, the matching of names and the classification share.
 *
 * A row names the files that it is about by two patterns, at any depth of the tree:
 *
 *   dir    the directories that the file is directly in, such as ".github/workflows"; "" is any
 *   base   the last component; "**" instead is everything below `dir`
 *
 * In a component `*` stands for any bytes, none included; a component `**` in `dir` stands for any
 * number of components, none included. Nothing else is special. fnmatch(3) is not used: it knows
 * no `**`, reads `[` and `\` as more than themselves, and takes bytes for text of the locale.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct changes;

/* Indices of hazard_reasons. */
enum hazard_reason {
	ORDINARY, /* no hazard, as long as it is a regular file that does not become executable */
	GIT_HOOK,
	GIT_HOOKS_PATH,
	GIT_CONFIG,
	GIT_SETTINGS,
	GIT_ATTRIBUTES,
	GIT_MODULES,
	GIT_ALTERNATES,
	GIT_POINTER,
	GIT_SEQUENCE,
	GIT_REPOSITORY,
	GIT_BARE,
	GIT_INTERNALS,
	VSCODE,
	JETBRAINS,
	VIM,
	EMACS,
	EDITOR,
	DEV_CONTAINER,
	AGENT_SETTINGS,
	AGENT_INSTRUCTIONS,
	SHELL,
	SESSION,
	SERVICE,
	SCHEDULE,
	DIRENV,
	ENV_FILE,
	TOOL_VERSIONS,
	SSH,
	GNUPG,
	TRANSFER,
	TOOL_SETTINGS,
	DEBUGGER,
	PACKAGE_SCRIPTS,
	PACKAGE_SETTINGS,
	PACKAGE_PROGRAM,
	PYTHON_START,
	PYTHON_BUILD,
	PYTHON_TEST,
	SCRIPT_CONFIG,
	RUBY,
	PHP,
	CARGO,
	GO,
	JVM_BUILD,
	MSBUILD,
	MAKE,
	CMAKE,
	CONFIGURE,
	BAZEL,
	BUILD,
	TASK_RUNNER,
	CONTAINER_BUILD,
	INFRASTRUCTURE,
	NIX,
	COMMIT_CHECKS,
	CI,
	VENV,
	NODE_BIN,
	INSTALLED,
	COMPILED,
	OBJECT_CODE,
	DESKTOP,
	GUARD_REMOVED,
	SETID,
	SPECIAL_FILE,
	LINK_OUTSIDE,
	LINK_INTO_GIT,
	LINK_IN_PLACE,
	HIDES_PROGRAM,
	DENIED_PATH,
	HAZARD_REASONS,
};

struct hazard_text {
	const char *code, *why; /* as in struct hazard; NULL: none */
};
extern const struct hazard_text hazard_reasons[HAZARD_REASONS];

/* When a row applies; without any of these: to a file that is there after the change. */
enum hazard_when {
	ROW_LOSS = 1 << 0, /* to a change of any kind: that it is gone is obeyed as well */
	ROW_GONE = 1 << 1, /* only if it is gone */
	ROW_DIR = 1 << 2,  /* to a directory too */
	ROW_EXEC = 1 << 3, /* only if it may be executed; ORDINARY: even if */
};

/* The first row that matches and applies counts: particular ones stand before general ones. */
struct hazard_row {
	enum hazard_reason reason;
	const char *dir, *base;
	const char *example; /* a path that this row is the first to match */
	const char *miss;    /* a path close to it that this row does not match */
	unsigned when;       /* of enum hazard_when */
};
extern const struct hazard_row hazard_rows[];
extern const size_t hazard_rows_count;

/*
 * A path in components, each as a file system sees it that folds names (hazard-name.c). All zeros
 * is a valid start; may be set again and again.
 */
struct hazard_name {
	char *text;
	const char **parts;
	size_t n, room;
	unsigned char initials[32]; /* a bit for each byte that begins a component */
	char last;                  /* byte of the last component */
};

int hazard_name_set(struct hazard_name *name, const char *path); /* 0 or -ENOMEM */
void hazard_name_done(struct hazard_name *name);

bool hazard_name_matches(const struct hazard_name *name, const char *dir, const char *base);

/* True if the path is one of the directories that `dir` names. */
bool hazard_name_leads(const struct hazard_name *name, const char *dir);

/* True if a component of the path is `.git`. */
bool hazard_name_in_git(const struct hazard_name *name);

/*
 * Which changes are executables that have the name of a program in a directory of `path`, and are
 * where they could be found before it (hazard-program.c): as many flags as there are changes, to be
 * freed; NULL: none. 0 or -ENOMEM.
 */
int hazard_programs(const struct changes *c, const char *path, bool **ret);
