/* SPDX-License-Identifier: Apache-2.0 */
/* Why a person should think twice: the codes of hazards, and what obeys them when. */
#include "workspace/hazard-internal.h"

const struct hazard_text hazard_reasons[HAZARD_REASONS] = {
	[GIT_HOOK] = {"git-hook",
		      "Git runs this hook by itself at the commit, checkout, merge, push or other "
		      "command that it is named after."},
	[GIT_HOOKS_PATH] =
		{"git-hook",
		 "Git runs it as a hook where core.hooksPath names this directory or a hook "
		 "manager puts it in place, at the next commit, checkout, merge or push."},
	[GIT_CONFIG] = {"git-config",
			"Git obeys this configuration at its next command here, and it can name "
			"programs to run: pager, editor, file system monitor, filters, ssh, "
			"aliases, credential helpers."},
	[GIT_SETTINGS] =
		{"git-config",
		 "Git obeys it at its next command where it is the user's own configuration "
		 "or is included by one, and it can name programs to run."},
	[GIT_ATTRIBUTES] =
		{"git-attributes",
		 "Git takes from it which of the configured filter, diff and merge programs "
		 "run on which files, at the next checkout, diff, add or merge."},
	[GIT_MODULES] = {"git-modules",
			 "Git takes from it where submodules come from and where they are put, at "
			 "the next submodule command or recursive clone or pull."},
	[GIT_ALTERNATES] =
		{"git-alternates",
		 "Git reads the history from the other places that are named in it, at its "
		 "next command here."},
	[GIT_POINTER] = {"git-pointer",
			 "Git looks where it points to for configuration and hooks, at its next "
			 "command here."},
	[GIT_SEQUENCE] =
		{"git-sequence",
		 "Git carries out the commands in it when the rebase, cherry-pick or revert "
		 "that it stands for is continued."},
	[GIT_REPOSITORY] =
		{"git-repository",
		 "Git takes this for a repository of its own and obeys the configuration and "
		 "hooks in it, or where it points to, at the next command in this directory; "
		 "prompts and editors run such commands by themselves."},
	[GIT_BARE] = {"git-repository",
		      "Git takes the directory of this file for a repository without a work tree "
		      "once objects and refs, or a commondir, are beside it, and obeys the "
		      "configuration there at the next command in it or below."},
	[GIT_INTERNALS] =
		{"git-internals",
		 "Git keeps its state here, an ordinary commit does not change this, and git "
		 "may act on it at its next command."},
	[VSCODE] = {"editor-settings",
		    "Visual Studio Code and editors made from it obey it when the folder is "
		    "opened or a task or debugger is started, and it can name programs to run."},
	[JETBRAINS] = {"editor-settings",
		       "JetBrains IDEs obey it when the project is opened, built or run, and it "
		       "can name programs to run."},
	[VIM] = {"editor-settings",
		 "Vim or Neovim runs it when started in this directory with exrc set, or as "
		 "the start-up file of the user whose home this is."},
	[EMACS] = {"editor-settings",
		   "Emacs evaluates it when a file of this directory is opened, or at start as "
		   "the file of the user whose home this is."},
	[EDITOR] = {"editor-settings",
		    "An editor or IDE obeys it when the project is opened, built or run, and it "
		    "can name programs to run as tasks, build steps or language servers."},
	[DEV_CONTAINER] =
		{"dev-container",
		 "Editors and development services build and start what it describes when "
		 "the folder is opened in a container, and it can name commands for the "
		 "host."},
	[AGENT_SETTINGS] =
		{"agent-settings",
		 "A coding agent obeys it at its next start in this directory, and it can "
		 "allow tools, run hooks, start servers or give instructions."},
	[AGENT_INSTRUCTIONS] =
		{"agent-instructions",
		 "A coding agent follows it as instructions at its next start in this "
		 "directory, with the rights that it has there."},
	[SHELL] = {"shell-start-up",
		   "A shell runs or obeys it at its next start or end if this directory is a "
		   "home directory or is copied to one."},
	[SESSION] = {"session-start-up",
		     "The desktop or login session obeys it at the next login if this directory "
		     "is a home directory or is copied to one."},
	[SERVICE] = {"service",
		     "Systemd starts what it names once the unit is linked, enabled or copied to "
		     "where units are looked for, at the next boot, login or event."},
	[SCHEDULE] = {"schedule",
		      "Cron runs the commands in it at the times that it names once it is "
		      "installed."},
	[DIRENV] = {"directory-environment",
		    "Direnv or its like runs it when a shell enters this directory and it has "
		    "been allowed."},
	[ENV_FILE] = {"environment-file",
		      "Compose, dotenv libraries, editors and agents put its variables into the "
		      "environment of what they start here, and some of those choose programs, "
		      "preloaded code and servers."},
	[TOOL_VERSIONS] =
		{"tool-versions",
		 "A version manager obeys it when a shell enters this directory or a tool is "
		 "called, and it chooses programs, plugins and hooks to install and run."},
	[SSH] = {"ssh-settings",
		 "OpenSSH obeys it at the next connection from or to the account whose home "
		 "directory this is or becomes: it can run commands and let keys in."},
	[GNUPG] = {"gnupg-settings",
		   "GnuPG obeys it at its next start if this is a home directory or becomes "
		   "one, and it can name programs to run and keys to trust."},
	[TRANSFER] = {"transfer-settings",
		      "Programs that transfer data, and database clients, obey it at their next "
		      "start if this is a home directory or becomes one: proxies, servers, "
		      "credentials, places to write to."},
	[TOOL_SETTINGS] =
		{"tool-settings",
		 "The tool that it is named after obeys it at its next start here or in the "
		 "home directory that this is or becomes, and it can name commands to run."},
	[DEBUGGER] = {"debugger-start-up",
		      "A debugger runs the commands in it when it is started in this directory or "
		      "loads the program beside it."},
	[PACKAGE_SCRIPTS] =
		{"package-scripts",
		 "Npm, pnpm, yarn, bun or deno runs the scripts that it names, at the next "
		 "install or at a call by their names."},
	[PACKAGE_SETTINGS] = {"package-settings",
			      "The package manager obeys it at its next command here: registries, "
			      "proxies, shells, hooks, and whether the scripts of packages run."},
	[PACKAGE_PROGRAM] =
		{"package-program",
		 "Yarn or node runs it in the place of installed programs and packages, at "
		 "the next yarn command or start of the project."},
	[PYTHON_START] = {"python-start-up",
			  "Python runs it at every start that finds it on its import path."},
	[PYTHON_BUILD] = {"build-script",
			  "Python's build, packaging and task tools run it or the programs that it "
			  "names, at the next install, build or task."},
	[PYTHON_TEST] =
		{"test-script",
		 "Python's test and check tools run it or load the plugins that it names, at "
		 "the next test run or check here; editors start those by themselves."},
	[SCRIPT_CONFIG] =
		{"tool-script",
		 "Build tools, linters and formatters run it, or load the plugins that it "
		 "names, at their next start here; editors start those by themselves."},
	[RUBY] = {"build-script",
		  "Bundler, rake or another Ruby tool runs it at its next command here."},
	[PHP] = {"build-script",
		 "Composer, PHP or its test and check tools obey it at their next command "
		 "here, and it can name scripts to run."},
	[CARGO] = {"build-script",
		   "Cargo and rustup obey it at the next build or check, and it can compile "
		   "and run code, wrap the compiler or choose the tool chain; editors start "
		   "checks by themselves."},
	[GO] = {"build-script",
		"Go or a tool for it obeys it at the next build or run: other directories "
		"to take code from, or commands to run."},
	[JVM_BUILD] = {"build-script",
		       "Gradle, Maven, sbt or another tool of the JVM runs it or what it names at "
		       "the next build; IDEs do when the project is opened."},
	[MSBUILD] = {"build-script",
		     "MSBuild or dotnet runs the tasks and commands in it at the next restore, "
		     "build or run; IDEs do when the project is opened."},
	[MAKE] = {"build-script",
		  "Make runs the commands in it, some as soon as it is read, at the next call "
		  "of make; tools that complete commands read it too."},
	[CMAKE] = {"build-script",
		   "CMake, ninja or a C++ package manager runs the commands in it at the next "
		   "configuration or build; IDEs do when the project is opened."},
	[CONFIGURE] = {"build-script",
		       "The shell runs it, or autoconf makes what runs from it, at the next "
		       "configuration or build."},
	[BAZEL] = {"build-script",
		   "Bazel or a build system like it evaluates it and runs the programs that it "
		   "names, at the next query or build."},
	[BUILD] = {"build-script",
		   "The build or package tool that it is for runs the code in it or the "
		   "programs that it names, at the next configuration or build."},
	[TASK_RUNNER] = {"build-script",
			 "A task or process runner runs the commands in it at its next call here."},
	[CONTAINER_BUILD] =
		{"container-build",
		 "Docker or podman builds and starts what it describes at the next build or "
		 "up, and it can show directories, sockets and devices of the host to it."},
	[INFRASTRUCTURE] =
		{"infrastructure",
		 "An infrastructure tool runs the programs and changes the systems that it "
		 "names, at its next plan or apply, with the rights of who calls it."},
	[NIX] = {"build-script",
		 "Nix or a tool built on it evaluates it and runs the programs that it "
		 "names, at the next build, develop or shell here."},
	[COMMIT_CHECKS] = {"commit-checks",
			   "A hook manager fetches and runs the programs that it names at the next "
			   "commit or push."},
	[CI] = {"ci-configuration",
		"The service that builds, checks or publishes the project obeys it after "
		"the next push, with the secrets and rights that it has there."},
	[VENV] = {"virtual-environment",
		  "The shell or Python runs what is in a virtual environment when it is "
		  "activated or one of its programs is called; editors do that by themselves."},
	[NODE_BIN] = {"installed-package",
		      "Npm, pnpm, yarn and npx find programs here before those of PATH, whenever "
		      "a script of a package runs."},
	[INSTALLED] = {"installed-package",
		       "It is code of an installed package, which the language's run time loads at "
		       "the next start of the project or its tools, and which no review of the "
		       "sources sees."},
	[COMPILED] = {"compiled-code",
		      "It is compiled or packed code, which the loader or a language's run time "
		      "takes from here in the place of sources, at the next start of what uses "
		      "it."},
	[OBJECT_CODE] =
		{"compiled-code",
		 "It is compiled code, which the next build may take as up to date and link "
		 "into what it makes."},
	[DESKTOP] = {"desktop-launcher",
		     "The desktop starts it, or the command that it names, when it is opened "
		     "with a click."},
	[GUARD_REMOVED] = {"guard-removed",
			   "It may have held checks or restrictions that tools on the host obeyed, "
			   "which end with it."},
	[SETID] = {"setid", "It runs with the rights of its owner or group, whoever starts it."},
	[SPECIAL_FILE] =
		{"special-file",
		 "It is a device, a socket or a pipe: it cannot be applied, and what opens "
		 "it would reach a driver or another process, or wait."},
	[LINK_OUTSIDE] =
		{"link-outside",
		 "The link leads, or by way of another link may lead, out of the workspace: "
		 "what reads or writes through it reaches other files of the host."},
	[LINK_INTO_GIT] =
		{"link-into-git",
		 "The link leads into a git directory: what writes through it changes what "
		 "git obeys at its next command."},
	[LINK_IN_PLACE] =
		{"link-in-place",
		 "The link stands in the place of a directory whose files tools on the host "
		 "obey, and puts others in their place."},
	[DENIED_PATH] = {"denied-path",
			 "The policy denies this path: it cannot be taken over, and what the "
			 "original has there was not seen."},
	[HIDES_PROGRAM] = {"hides-program",
			   "It has the name of a program of PATH, and is found before it where a "
			   "shell, a script or a tool looks here first."},
};
