/* SPDX-License-Identifier: Apache-2.0 */
/* The table of policy keys. */
#include "policy/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define MS  1000000ULL
#define SEC (1000 * MS)
#define DAY (86400 * SEC)
#define PIB (1ULL << 50)

#define WORDS(list)  .words = (list), .n_words = ARRAY_SIZE(list)
#define ABSENT(list) .absent = (list), .n_absent = ARRAY_SIZE(list)

/* The order of each list is that of the enumeration in plan.h. */
static const struct word trust_words[] = {
	{"none", "The code is taken for hostile (trust none)."},
	{"low", "The code is not trusted (trust low)."},
	{"medium",
	 "The code is trusted to mean well and expected to make mistakes (trust medium)."},
	{"high", "The code has been reviewed (trust high)."},
	{"full",
	 "The code runs as the user, without a wall; what it does is recorded (trust full)."},
};

static const struct word provenance_words[] = {
	{"reviewed", "A person reviewed the code, so trust may be up to high."},
	{"agent",
	 "An agent that works for this user wrote the code, so trust may be up to medium."},
	{"external",
	 "The code follows from content that somebody else controls, so trust may be up to low."},
};

static const struct word tier_words[] = {
	{"none", "There is no wall at all (tier none)."},
	{"process", "The walls are a system call filter and Landlock on the host's own view "
		    "(tier process)."},
	{"container", "The walls are namespaces, a root file system of its own, a system call "
		      "filter, Landlock and no capabilities (tier container)."},
	{"microvm", "The wall is a virtual machine with a kernel of its own (tier microvm)."},
};

static const struct absent tier_absent[] = {
	{"wasm", "this version has no wasm tier; use container"},
};

static const struct word root_words[] = {
	{"host", "It sees the host's /usr read-only, an /etc made for it, and empty places "
		 "elsewhere."},
};

static const struct absent root_absent[] = {
	{"image:", "this version has no image roots; use host"},
};

static const struct word review_words[] = {
	{"daily", "What such sandboxes may do is looked at every day."},
	{"weekly", "What such sandboxes may do is looked at every week."},
	{"monthly", "What such sandboxes may do is looked at every month."},
	{"quarterly", "What such sandboxes may do is looked at every three months."},
	{"yearly", "What such sandboxes may do is looked at every year."},
};

static const struct word escape_words[] = {
	{"lower", "It is ended where so much was refused that an escape is suspected, and its "
		  "agent has one level of trust less from then on, until a person gives it back."},
	{"stop", "It is ended where so much was refused that an escape is suspected."},
	{"pause", "It is paused where so much was refused that an escape is suspected, until a "
		  "person resumes or stops it."},
	{"note", "It is recorded where so much was refused that an escape is suspected."},
};

static const struct word durability_words[] = {
	{"power", "Its record survives a loss of power: what it begins with is on the disk before "
		  "anything runs, and its end before that is told."},
	{"process", "Its record survives the death of any process; a loss of power can take the "
		    "last of it."},
};

/* Of settle.c: the keys that each stands for. */
static const struct word require_words[] = {
	{"owner", "Who answers for it must be said."},
	{"account", "The account that it belongs to must be said."},
	{"purpose", "What it is for must be said."},
	{"scopes", "The kinds of data that it is for must be said."},
	{"expires", "When it expires must be said."},
	{"review", "How often it is reviewed must be said."},
	{"agent", "Which agent runs in it must be said."},
};

/* The bits of enum idle_signal, in their order. */
static const struct word idle_words[] = {
	{"output", "Output keeps it from being idle."},
	{"cpu", "Use of the CPU keeps it from being idle."},
	{"exec", "The start and the end of a command keep it from being idle."},
	{"connection", "A connection that is open keeps it from being idle."},
};

static const struct word mode_words[] = {
	{"none", "It has no workspace: nothing of the user's files is visible."},
	{"read-only", "It can read the workspace and cannot change it."},
	{"copy", "It changes a copy of the workspace; what it changed is kept for review, and the "
		 "original stays as it is."},
	{"direct", "It changes the files of the workspace themselves; there is no copy to review."},
};

static const struct word copy_by_words[] = {
	{"overlay",
	 "Its copy is an overlay: what it does not change is the original's own, as it is "
	 "at that moment."},
	{"files",
	 "Its copy is one of every file, made before the start: by reference where the file "
	 "system can, else byte by byte."},
};

static const struct word network_words[] = {
	{"none", "It has no network but a loopback of its own, and no rule can give it one."},
	{"deny",
	 "It can connect to nothing that no rule allows: its only interface is a loopback of "
	 "its own."},
	{"allow",
	 "It can connect, through the gateway and by name, to every host on the Internet that "
	 "network.deny does not name, at the usual ports."},
	{"open",
	 "It has the host's own network, as the user has it: every address and port, and what "
	 "listens on this host."},
};

static const struct word syscall_words[] = {
	{"file", "System calls are those of programs that only work on files: no sockets."},
	{"strict", "System calls are those of ordinary programs, with local sockets only."},
	{"default", "System calls are those of ordinary programs; new namespaces, io_uring, bpf, "
		    "keyrings and the like are refused."},
	{"nested", "System calls include new user namespaces, for payloads that bring a sandbox "
		   "of their own; this opens more of the kernel."},
};

static const struct word mechanism_words[] = {
	{"group", "Limits must be armed by a control group of the kernel, or it does not start."},
	{"any", "Limits are armed by a control group where the host offers one, otherwise by the "
		"keeper's own sampling."},
};

static const struct word denials_words[] = {
	{"end", "The first refusal that is recorded ends it."},
	{"record", "What is refused fails and is recorded; it goes on running."},
};

const struct schema_key schema_keys[KEY_COUNT] = {
	[KEY_VERSION] = {.path = "version",
			 .type = TYPE_INT,
			 .rule = MERGE_NONE,
			 .min = POLICY_VERSION,
			 .max = POLICY_VERSION,
			 .doc = "Version of the policy language; required, and 1."},
	[KEY_NAME] = {.path = "name",
		      .type = TYPE_NAME,
		      .rule = MERGE_FREE,
		      .doc = "Name of the sandbox in records and lists.",
		      .say = "Records call it {}."},
	[KEY_PROFILE] = {.path = "profile",
			 .type = TYPE_NAME,
			 .rule = MERGE_SAME,
			 .doc = "A built-in profile that supplies defaults and the trust level.",
			 .say = "Defaults come from the profile {}."},
	[KEY_TRUST] = {.path = "trust",
		       .type = TYPE_WORD,
		       .rule = MERGE_LOWER,
		       WORDS(trust_words),
		       .doc = "How far the code is trusted; picks the tier and the defaults. "
			      "Bounded by provenance; full only on the command line."},
	[KEY_PROVENANCE] = {.path = "provenance",
			    .type = TYPE_WORD,
			    .rule = MERGE_RAISE,
			    WORDS(provenance_words),
			    .doc = "Where the code comes from: reviewed allows trust up to high, "
				   "agent up to medium, external up to low."},
	[KEY_TIER] = {.path = "tier",
		      .type = TYPE_WORD,
		      .rule = MERGE_RAISE,
		      .class = CLASS_WALL,
		      WORDS(tier_words),
		      ABSENT(tier_absent),
		      .doc = "Depth of the wall. Weaker than the trust level asks needs "
			     "--accept-tier."},
	[KEY_FILESYSTEM] = {.path = "filesystem",
			    .type = TYPE_SECTION,
			    .doc = "What the payload sees of the file system."},
	[KEY_ROOT] = {.path = "filesystem.root",
		      .type = TYPE_WORD,
		      .rule = MERGE_SAME,
		      .class = CLASS_WALL,
		      WORDS(root_words),
		      ABSENT(root_absent),
		      .doc = "The root file system: host shows the host's programs read-only."},
	[KEY_WORKSPACE] = {.path = "filesystem.workspace",
			   .type = TYPE_SECTION,
			   .doc = "The directory that the payload works on."},
	[KEY_WORKSPACE_PATH] = {.path = "filesystem.workspace.path",
				.type = TYPE_PATH,
				.rule = MERGE_WITHIN,
				.class = CLASS_WALL,
				.doc = "The directory; relative to this document, on the command "
				       "line to the current directory.",
				.say = "The workspace is the directory '{}'."},
	[KEY_WORKSPACE_MODE] =
		{.path = "filesystem.workspace.mode",
		 .type = TYPE_WORD,
		 .rule = MERGE_LOWER,
		 .class = CLASS_WALL,
		 WORDS(mode_words),
		 .doc = "none hides the workspace, read-only shows it, copy lets the "
			"payload change a copy, direct the original."},
	[KEY_COPY_BY] =
		{.path = "filesystem.workspace.copy_by",
		 .type = TYPE_WORD,
		 .rule = MERGE_FREE,
		 .class = CLASS_FACT,
		 WORDS(copy_by_words),
		 .doc = "How a copy is made: an overlay, or every file before the start. Without "
			"it: an overlay, or files where the state directory can hold no overlay "
			"and the mode copy was named."},
	[KEY_COPIES] = {.path = "filesystem.copies",
			.type = TYPE_PATHS,
			.rule = MERGE_SUBSET,
			.class = CLASS_WALL,
			.doc = "Further directories to work on, each as a copy of its own, which "
			       "is reviewed by itself; ~ is HOME.",
			.say = "It also changes copies of {}.",
			.say_none = "It has no copy of another directory."},
	[KEY_WRITE] = {.path = "filesystem.write",
		       .type = TYPE_PATHS,
		       .rule = MERGE_SUBSET,
		       .class = CLASS_WALL,
		       .doc = "Further directories whose files it may change themselves, such as "
			      "caches; ~ is HOME.",
		       .say = "It can also change the files below {} themselves.",
		       .say_none = "It can change no files of the host in other directories."},
	[KEY_READ] = {.path = "filesystem.read",
		      .type = TYPE_PATHS,
		      .rule = MERGE_SUBSET,
		      .class = CLASS_WALL,
		      .doc = "Further files and directories to show read-only; ~ is HOME.",
		      .say = "It can also read {}.",
		      .say_none = "It can read no further files of the host."},
	[KEY_DENY] = {.path = "filesystem.deny",
		      .type = TYPE_PATTERNS,
		      .rule = MERGE_UNION,
		      .class = CLASS_WALL,
		      .doc = "Paths to hide from it, with all below them, whatever else shows "
			     "them: below the workspace, absolute, or ~/...; * ? [abc] stand for "
			     "characters of a name, ** for any directories. Case and Unicode form "
			     "make no difference.",
		      .say = "Hidden from it, wherever it could see them: {}.",
		      .say_none = "Nothing of what is shown to it is hidden by a rule."},
	[KEY_NETWORK] = {.path = "network", .type = TYPE_SECTION, .doc = "Network access."},
	[KEY_NETWORK_DEFAULT] =
		{.path = "network.default",
		 .type = TYPE_WORD,
		 .rule = MERGE_LOWER,
		 .class = CLASS_WALL,
		 WORDS(network_words),
		 .doc = "What happens to connections that no rule allows. none: nothing may be "
			"allowed. deny: they are refused. allow, from trust high on: every host "
			"by its name, but those of network.deny, at ports 22, 80, 443, 587, 993, "
			"3306, 5432, 6379, 8080, 8443, 9418 and 27017. open, the host's own "
			"network, comes with trust full and no tier."},
	[KEY_NETWORK_ALLOW] =
		{.path = "network.allow",
		 .type = TYPE_RULES,
		 .rule = MERGE_SUBSET,
		 .class = CLASS_WALL,
		 .doc = "What it may connect to: HOST[:PORT][/PROTOCOL][,private], or "
			"mappings of host, ports, protocol and private. A host is a "
			"name, *.NAME for all names below one, or an address; with network.default "
			"allow also * for every name. The port "
			"is 443 where none is said. tls (at port 443): from the first "
			"byte, to that very name; http (80): requests for that name; "
			"tcp (others): anything. private: also where the name leads to "
			"an address that is nobody's on the Internet.",
		 .say = "It can connect to {}, through the gateway and by name.",
		 .say_none = "No destination is allowed by a rule."},
	[KEY_NETWORK_DENY] =
		{.path = "network.deny",
		 .type = TYPE_HOSTS,
		 .rule = MERGE_UNION,
		 .class = CLASS_WALL,
		 .doc = "Hosts that it may not connect to, whatever allows them: a name, *.NAME "
			"for "
			"all names below one, or an address, which is not dialled for any name.",
		 .say = "It cannot connect to {}, whatever allows them.",
		 .say_none = "No host is denied by a rule."},
	[KEY_NETWORK_LIMITS] = {.path = "network.limits",
				.type = TYPE_SECTION,
				.doc = "Ceilings of its connections, counted by the gateway."},
	[KEY_NETWORK_CONNECTIONS] = {.path = "network.limits.connections",
				     .type = TYPE_INT,
				     .rule = MERGE_LOWER,
				     .class = CLASS_WALL,
				     .min = 1,
				     .max = 1024,
				     .doc = "Connections at one time.",
				     .say = "It may have {} connections at a time."},
	[KEY_NETWORK_BYTES] = {.path = "network.limits.bytes",
			       .type = TYPE_SIZE,
			       .rule = MERGE_LOWER,
			       .class = CLASS_WALL,
			       .min = 1,
			       .max = PIB,
			       .doc = "Bytes of all its connections together, both ways.",
			       .say = "Its connections may carry {} in all."},
	[KEY_NETWORK_HOST_BYTES] = {.path = "network.limits.host_bytes",
				    .type = TYPE_SIZE,
				    .rule = MERGE_LOWER,
				    .class = CLASS_WALL,
				    .min = 1,
				    .max = PIB,
				    .doc = "Bytes of all connections to one host, both ways.",
				    .say = "Its connections to one host may carry {}."},
	[KEY_NETWORK_REQUESTS] =
		{.path = "network.limits.requests",
		 .type = TYPE_INT,
		 .rule = MERGE_LOWER,
		 .class = CLASS_WALL,
		 .min = 1,
		 .max = 1000000,
		 .doc = "Requests in any minute: connections, and of one that speaks HTTP each "
			"request. What is beyond is refused, and everything after it for "
			"time.cooldown.",
		 .say = "It may begin {} connections and requests in a minute."},
	[KEY_EXECUTION] = {.path = "execution",
			   .type = TYPE_SECTION,
			   .doc = "What may be executed, and how much of it."},
	[KEY_EXEC_ALLOW] = {.path = "execution.allow",
			    .type = TYPE_PROGRAMS,
			    .rule = MERGE_SUBSET,
			    .class = CLASS_GUARD,
			    .nonempty = true,
			    .doc = "Programs that may be executed: names found in PATH, paths, "
				   "globs in the last part of a path. Without it every visible "
				   "program may.",
			    .say = "Only these programs may be executed: {}; an interpreter or a "
				   "dynamic loader among them can still run any code.",
			    .say_none = "No program may be executed until the policy lists some "
					"in execution.allow."},
	[KEY_SYSCALLS] = {.path = "execution.syscalls",
			  .type = TYPE_WORD,
			  .rule = MERGE_LOWER,
			  .class = CLASS_WALL,
			  WORDS(syscall_words),
			  .doc = "The system call filter, from the narrowest to the widest."},
	[KEY_DENIALS] = {.path = "execution.denials",
			 .type = TYPE_WORD,
			 .rule = MERGE_LOWER,
			 .class = CLASS_FACT,
			 WORDS(denials_words),
			 .doc = "What a refusal does: record lets the payload go on, end kills "
				"everything at the first one."},
	[KEY_LIMITS] = {.path = "execution.limits",
			.type = TYPE_SECTION,
			.doc = "Ceilings; each one but io is always armed."},
	[KEY_MECHANISM] = {.path = "execution.limits.mechanism",
			   .type = TYPE_WORD,
			   .rule = MERGE_LOWER,
			   .class = CLASS_FACT,
			   WORDS(mechanism_words),
			   .doc = "What is good enough to arm the limits: group accepts only the "
				  "kernel's control groups, any also the keeper's sampling."},
	[KEY_MEMORY] = {.path = "execution.limits.memory",
			.type = TYPE_SIZE,
			.rule = MERGE_LOWER,
			.class = CLASS_LIMIT,
			.min = 8ULL << 20,
			.max = PIB,
			.doc = "Memory of all processes together, swap and scratch included.",
			.say = "All its processes together may use {} of memory, swap and "
			       "scratch files included."},
	[KEY_CPUS] = {.path = "execution.limits.cpus",
		      .type = TYPE_CPUS,
		      .rule = MERGE_LOWER,
		      .class = CLASS_LIMIT,
		      .min = 10,
		      .max = 4096000,
		      .doc = "CPUs' worth of time; fractions are allowed.",
		      .say = "It gets the time of {} CPUs."},
	[KEY_PROCESSES] = {.path = "execution.limits.processes",
			   .type = TYPE_INT,
			   .rule = MERGE_LOWER,
			   .class = CLASS_WALL,
			   .min = 1,
			   .max = 4194304,
			   .doc = "Processes and threads at one time.",
			   .say = "It may have {} processes and threads at a time."},
	[KEY_OPEN_FILES] = {.path = "execution.limits.open_files",
			    .type = TYPE_INT,
			    .rule = MERGE_LOWER,
			    .class = CLASS_WALL,
			    .min = 16,
			    .max = 1048576,
			    .doc = "Open descriptors of each process.",
			    .say = "Each process may have {} files open."},
	[KEY_FILE_SIZE] = {.path = "execution.limits.file_size",
			   .type = TYPE_SIZE,
			   .rule = MERGE_LOWER,
			   .class = CLASS_WALL,
			   .min = 4096,
			   .max = PIB,
			   .doc = "Largest file that a process may write.",
			   .say = "No file that it writes may grow above {}."},
	[KEY_SCRATCH] = {.path = "execution.limits.scratch",
			 .type = TYPE_SIZE,
			 .rule = MERGE_LOWER,
			 .class = CLASS_WALL,
			 .min = 64 * 1024,
			 .max = PIB,
			 .doc = "Room in /tmp, HOME and the other scratch places together.",
			 .say = "Its scratch places hold {} together and are gone afterwards."},
	[KEY_COPY] = {.path = "execution.limits.copy",
		      .type = TYPE_SIZE,
		      .rule = MERGE_LOWER,
		      .class = CLASS_LIMIT,
		      .min = 64 * 1024,
		      .max = PIB,
		      .doc = "What a copy of the workspace may hold beyond the original.",
		      .say = "Its copy may grow by {}: the keeper looks, and ends it beyond that."},
	[KEY_OUTPUT] = {.path = "execution.limits.output",
			.type = TYPE_SIZE,
			.rule = MERGE_LOWER,
			.class = CLASS_WALL,
			.min = 1,
			.max = PIB,
			.doc = "Bytes of standard output and error together.",
			.say = "It may write {} to standard output and error, then it is ended."},
	[KEY_STARTS] = {.path = "execution.limits.starts",
			.type = TYPE_INT,
			.rule = MERGE_LOWER,
			.class = CLASS_GUARD,
			.min = 1,
			.max = 1000000,
			.doc = "New processes and threads in any one second.",
			.say = "It may start {} processes and threads a second."},
	[KEY_IO] = {.path = "execution.limits.io",
		    .type = TYPE_RATE,
		    .rule = MERGE_LOWER,
		    .class = CLASS_WALL,
		    .min = 4096,
		    .max = PIB,
		    .doc = "Bytes in a second that may be read from each disk that it sees, and as "
			   "many written. Without it disks are as fast as they are. Only a control "
			   "group of version 2 can hold it.",
		    .say = "It may read {} from each disk that it sees, and write as much."},
	[KEY_DATA] = {.path = "data", .type = TYPE_SECTION, .doc = "Data given to the payload."},
	[KEY_ENV] = {.path = "data.env",
		     .type = TYPE_ENV,
		     .rule = MERGE_BY_NAME,
		     .class = CLASS_WALL,
		     .doc = "Environment variables: NAME: value, or NAME: {inherit: true} to take "
			    "the caller's value. Nothing else of the caller's is passed on.",
		     .say = "Of environment variables it gets {} and the standard ones.",
		     .say_none = "It gets no environment variables but the standard ones."},
	[KEY_LOG] = {.path = "data.log",
		     .type = TYPE_SIZE,
		     .rule = MERGE_LOWER,
		     .class = CLASS_FACT,
		     .min = 0,
		     .max = PIB,
		     .doc = "How much of what is put out in a sandbox that lives is kept for "
			    "'atoll logs', the newest; 0 for none. It waits for as long as "
			    "time.keep says.",
		     .say = "Of what is put out in a sandbox that lives, the last {} are kept."},
	[KEY_TIME] = {.path = "time", .type = TYPE_SECTION, .doc = "Time limits."},
	[KEY_WALL] = {.path = "time.wall",
		      .type = TYPE_DURATION,
		      .rule = MERGE_LOWER,
		      .class = CLASS_WALL,
		      .min = MS,
		      .max = 365 * DAY,
		      .doc = "Wall-clock time from the start; where a sandbox lives on, of each "
			     "command in it.",
		      .say = "It is ended after {}."},
	[KEY_IDLE] = {.path = "time.idle",
		      .type = TYPE_DURATION,
		      .rule = MERGE_LOWER,
		      .class = CLASS_WALL,
		      .min = MS,
		      .max = 365 * DAY,
		      .doc = "Time without anything that time.idle_signals names.",
		      .say = "It is ended when it has been idle for {}."},
	[KEY_IDLE_SIGNALS] = {.path = "time.idle_signals",
			      .type = TYPE_NAMES,
			      .rule = MERGE_SUBSET,
			      .class = CLASS_WALL,
			      .nonempty = true,
			      WORDS(idle_words),
			      .doc = "What keeps it from being idle, some of output, cpu (a "
				     "hundredth of one CPU or more), exec (the start or end of a "
				     "command) and connection (one that is open, whether or not "
				     "anything moves). Without it each of them does.",
			      .say = "Nothing keeps it from being idle but {}.",
			      .say_none =
				      "Output, use of the CPU, the start or end of a "
				      "command, and an open connection keep it from being idle."},
	[KEY_SESSION] = {.path = "time.session",
			 .type = TYPE_DURATION,
			 .rule = MERGE_LOWER,
			 .class = CLASS_WALL,
			 .min = MS,
			 .max = 365 * DAY,
			 .doc = "How long a sandbox may live, whatever it does.",
			 .say = "It lives for {} at most."},
	[KEY_PAUSES] = {.path = "time.pauses",
			.type = TYPE_INT,
			.rule = MERGE_LOWER,
			.class = CLASS_WALL,
			.min = 0,
			.max = 1000000,
			.doc = "How often a sandbox may be paused; 0: never.",
			.say = "It may be paused {} times."},
	[KEY_PAUSED] = {.path = "time.paused",
			.type = TYPE_DURATION,
			.rule = MERGE_LOWER,
			.class = CLASS_WALL,
			.min = MS,
			.max = 365 * DAY,
			.doc = "How long it may be paused, all pauses together. time.session goes "
			       "on meanwhile.",
			.say = "It is ended when it has been paused for {} in all."},
	[KEY_KEEP] =
		{.path = "time.keep",
		 .type = TYPE_DURATION,
		 .rule = MERGE_LOWER,
		 .class = CLASS_WALL,
		 .min =
			 MS,
		 .max =
			 365 * DAY,
		 .doc =
			 "How long what was changed in a copy of the workspace waits, after the "
			 "end, for somebody to look at it. Then it is removed.",
		 .say =
			 "What it has changed in a copy is removed {} after its end."},
	[KEY_COOLDOWN] = {.path = "time.cooldown",
			  .type = TYPE_DURATION,
			  .rule = MERGE_RAISE,
			  .class = CLASS_WALL,
			  .min = 0,
			  .max = DAY,
			  .doc = "For how long nothing more may be requested of the network once "
				 "there have been too many requests (network.limits.requests).",
			  .say = "When it has begun too many connections or requests, no more are "
				 "let through for {}."},
	[KEY_CPU] = {.path = "time.cpu",
		     .type = TYPE_DURATION,
		     .rule = MERGE_LOWER,
		     .class = CLASS_LIMIT,
		     .min = MS,
		     .max = 365 * DAY,
		     .doc = "CPU time of all processes together.",
		     .say = "It is ended when it has used {} of CPU time."},
	[KEY_GOVERNANCE] = {.path = "governance",
			    .type = TYPE_SECTION,
			    .doc = "Who answers for it; recorded in the trail."},
	[KEY_OWNER] = {.path = "governance.owner",
		       .type = TYPE_TEXT,
		       .rule = MERGE_SAME,
		       .doc = "The person or service that answers for the sandbox.",
		       .say = "{} answers for it."},
	[KEY_ACCOUNT] =
		{.path = "governance.account",
		 .type = TYPE_NAME,
		 .rule = MERGE_SAME,
		 .doc =
			 "The account that it spends from: nothing starts beyond its budgets.",
		 .say =
			 "It belongs to the account {}."},
	[KEY_AGENT] =
		{.path = "governance.agent",
		 .type = TYPE_NAME,
		 .rule = MERGE_SAME,
		 .doc =
			 "The agent that runs in it, by a name of yours: it starts with no more "
			 "trust than the ledger says that this one has.",
		 .say =
			 "The agent {} runs in it."},
	[KEY_PURPOSE] = {.path = "governance.purpose",
			 .type = TYPE_TEXT,
			 .rule = MERGE_SAME,
			 .doc = "What it is for.",
			 .say = "Its declared purpose: {}."},
	[KEY_SCOPES] = {.path = "governance.scopes",
			.type = TYPE_NAMES,
			.rule = MERGE_SUBSET,
			.doc = "The kinds of data that it is for, by names of your own.",
			.say = "It is for data of these kinds: {}.",
			.say_none = "Nobody has said what kinds of data it is for."},
	[KEY_EXPIRES] = {.path = "governance.expires",
			 .type = TYPE_DURATION,
			 .rule = MERGE_LOWER,
			 .class = CLASS_WALL,
			 .min = MS,
			 .max = 365 * DAY,
			 .doc = "From its start until its end; a copy and the output that it has "
				"left go then, too, with the next command (output: within ten "
				"minutes of it).",
			 .say = "It is ended {} after its start, and what it has left, a copy and "
				"output, goes, too."},
	[KEY_REVIEW] = {.path = "governance.review",
			.type = TYPE_WORD,
			.rule = MERGE_LOWER,
			WORDS(review_words),
			.doc = "How often somebody looks at what such sandboxes may do; recorded."},
	[KEY_ESCAPE] =
		{.path = "governance.escape",
		 .type = TYPE_WORD,
		 .rule = MERGE_LOWER,
		 .class = CLASS_FACT,
		 WORDS(escape_words),
		 .doc =
			 "What follows where an escape is suspected: note, pause (stop where "
			 "nothing can pause it), stop, or lower: stop, and one level of trust "
			 "less for governance.agent from then on."},
	[KEY_ESCAPE_THRESHOLD] = {.path = "governance.escape_threshold",
				  .type = TYPE_INT,
				  .rule = MERGE_LOWER,
				  .class = CLASS_FACT,
				  .min = 1,
				  .max = 1000,
				  .doc = "From which score on an escape is suspected: the sum over "
					 "different refusals, each with the weight of its code "
					 "(docs/denials.md).",
				  .say = "An escape is suspected where the weights of what was "
					 "refused add up to {}."},
	[KEY_DURABILITY] = {.path = "governance.durability",
			    .type = TYPE_WORD,
			    .rule = MERGE_LOWER,
			    .class = CLASS_FACT,
			    WORDS(durability_words),
			    .doc = "What its record survives: process, the death of any process; "
				   "power, also a loss of power, which costs a start some "
				   "milliseconds."},
	[KEY_REQUIRE] = {.path = "governance.require",
			 .type = TYPE_NAMES,
			 .rule = MERGE_UNION,
			 WORDS(require_words),
			 .doc = "What must be said of a sandbox: nothing starts without it.",
			 .say = "It must be said of each sandbox: {}.",
			 .say_none = "Nothing has to be declared."},
};

enum key_id schema_id(const struct schema_key *k)
{
	return (enum key_id)(k - schema_keys);
}

const struct schema_key *schema_find(const char *path, size_t len)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (strncmp(schema_keys[i].path, path, len) == 0 &&
		    schema_keys[i].path[len] == '\0') {
			return &schema_keys[i];
		}
	}
	return NULL;
}

bool schema_is_list(const struct schema_key *k)
{
	return k->type >= TYPE_PATHS;
}

int schema_word(const struct schema_key *k, const char *word)
{
	for (size_t i = 0; i < k->n_words; i++) {
		if (strcmp(k->words[i].word, word) == 0) {
			return (int)i;
		}
	}
	return -1;
}

const char *schema_word_list(const struct schema_key *k, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < k->n_words && used < size; i++) {
		const char *before = i == 0 ? "" : i + 1 == k->n_words ? " or " : ", ";

		used += (size_t)snprintf(out + used, size - used, "%s%s", before, k->words[i].word);
	}
	return out;
}

#define SUGGEST_MAX 32 /* longer keys get no suggestion */

/* Edit distance with transpositions (optimal string alignment) of two short texts. */
static size_t distance(const char *a, const char *b)
{
	size_t row[3][SUGGEST_MAX + 1], la = strlen(a), lb = strlen(b);
	size_t *before = row[0], *last = row[1], *now = row[2];

	if (la > SUGGEST_MAX || lb > SUGGEST_MAX) {
		return SIZE_MAX;
	}
	for (size_t j = 0; j <= lb; j++) {
		last[j] = j;
		before[j] = j;
	}
	for (size_t i = 1; i <= la; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			best = last[j] + 1 < best ? last[j] + 1 : best;
			best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best) {
				best = before[j - 2] + 1;
			}
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

static const char *last_part(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

const struct schema_key *schema_suggest(const char *path)
{
	const char *leaf = last_part(path);
	const struct schema_key *best = NULL;
	size_t best_score = SIZE_MAX;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const char *known = last_part(schema_keys[i].path);
		size_t d = distance(leaf, known), near = strlen(known) / 3;
		bool same_section = known - schema_keys[i].path == leaf - path &&
				    strncmp(schema_keys[i].path, path, (size_t)(leaf - path)) == 0;
		size_t score;

		if (d > (near > 0 ? near : 1)) {
			continue;
		}
		score = d + (same_section ? 0 : 2);
		if (score < best_score) {
			best = &schema_keys[i];
			best_score = score;
		}
	}
	return best;
}
