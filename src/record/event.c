/* SPDX-License-Identifier: Apache-2.0 */
/* The table of events, and their schema. */
#include "record/event.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"

#define MEMBERS(...)                             \
	.members = (const struct event_member[]) \
	{                                        \
		__VA_ARGS__,                     \
		{                                \
		}                                \
	}
#define NOTHING                                  \
	.members = (const struct event_member[]) \
	{                                        \
		{                                \
		}                                \
	}

static const struct event_kind kinds[] = {
	{"created", EVENT_LIFE, "A sandbox is about to be made.",
	 MEMBERS({"schema", "integer", false, "version of this schema"},
		 {"plan", "object", false, "the plan: what it is made from"},
		 {"plan_digest", "string", false, "SHA-256 of the plan's canonical JSON"},
		 {"policy", "object", true, "the merged policy"},
		 {"origins", "object", true, "for each of its keys that was given, where"},
		 {"version", "string", false, "of Atoll"},
		 {"machine", "object", false, "kernel and processor"},
		 {"caller", "integer", false, "user id of who asked for it"},
		 {"name", "string", true, "its name"}, {"labels", "object", true, "its labels"})},
	{"receipt", EVENT_WALL, "What the kernel says is in force, read back before anything ran.",
	 MEMBERS({"digest", "string", false, "SHA-256 of the receipt's canonical JSON"},
		 {"receipt", "object", false, "a member for each wall"})},
	{"started", EVENT_LIFE, "Its main command begins.",
	 MEMBERS({"argv", "array", false, "program and arguments"},
		 {"cwd", "string", false, "where it starts"})},
	{"exec", EVENT_LIFE, "A further command begins.",
	 MEMBERS({"command", "integer", false, "its number"},
		 {"argv", "array", false, "program and arguments"},
		 {"cwd", "string", false, "where it starts"})},
	{"exec_failed", EVENT_LIFE, "A further command did not come to run.",
	 MEMBERS({"command", "integer", false, "its number"},
		 {"argv", "array", false, "program and arguments"},
		 {"cwd", "string", false, "where it was to start"},
		 {"kind", "string", false, "who can cure it"},
		 {"code", "integer", false, "the error, errno(3)"},
		 {"message", "string", false, "what failed"})},
	{"exec_ended", EVENT_LIFE, "A further command has ended.",
	 MEMBERS({"command", "integer", false, "its number"}, {"reason", "string", false, "why"},
		 {"wait_status", "integer", false, "as wait(2) has it; -1: none"})},
	{"program", EVENT_PROGRAM,
	 "A program is about to be executed: an attempt, seen from outside.",
	 MEMBERS({"path", "string", true, "as it was given"},
		 {"argv", "array", true, "its arguments, as far as they fit"},
		 {"argv_more", "integer", true, "so many more arguments"},
		 {"argv_cut", "boolean", true, "the last one is only its beginning"},
		 {"cwd", "string", true, "where it is"}, {"pid", "integer", true, "inside"},
		 {"parent", "integer", true, "inside"},
		 {"command", "integer", true, "number of the command that it belongs to"},
		 {"via", "string", true, "by a descriptor, and not a path"},
		 {"unread", "boolean", true, "what it asks for could not be read"})},
	{"programs_more", EVENT_PROGRAM, "Programs that were too many to be told one by one.",
	 MEMBERS({"count", "integer", false, ""})},
	{"name", EVENT_NETWORK, "A name was asked for that a rule allows, for the first time.",
	 MEMBERS({"host", "string", false, "in its canonical form"})},
	{"connection", EVENT_NETWORK, "A connection has ended.",
	 MEMBERS({"host", "string", false, "the name, or address, that was dialled"},
		 {"port", "integer", false, ""}, {"rule", "string", false, "that allowed it"},
		 {"address", "string", false, "that was dialled for it; empty: none was"},
		 {"end", "string", false, "how it ended"},
		 {"bytes_up", "integer", false, "from the payload"},
		 {"bytes_down", "integer", false, "to the payload"},
		 {"duration_ms", "number", false, ""},
		 {"tls", "string", true, "the version of the server's hello"})},
	{"connections", EVENT_NETWORK, "Connections that were too many to be told one by one.",
	 MEMBERS({"more", "integer", false, "how many"}, {"bytes_up", "integer", false, ""},
		 {"bytes_down", "integer", false, ""})},
	{"gateway_started", EVENT_NETWORK, "The payload has sent its first packet.", NOTHING},
	{"gateway_ended", EVENT_NETWORK, "The gateway ended before the sandbox.",
	 MEMBERS({"why", "string", false, ""})},
	{"learned", EVENT_NETWORK, "Rules that it would need.",
	 MEMBERS({"rules", "array", false, ""}, {"more", "boolean", false, "there were too many"})},
	{"denied", EVENT_DENIAL, "The first refusal of its kind.",
	 MEMBERS({"code", "string", false, "docs/denials.md"},
		 {"what", "string", true, "what was refused"},
		 {"rule", "string", true, "the key of the policy that decides it"},
		 {"count", "integer", false, "so many at once"},
		 {"request_id", "string", true, "how the payload was told to call it"},
		 {"agent", "string", true, "how to go on"},
		 {"remedy", "string", true, "how a person widens it"})},
	{"denial", EVENT_DENIAL, "A refusal has ended the sandbox.",
	 MEMBERS({"denial", "string", false, "its code"}, {"request_id", "string", false, ""})},
	{"escape.suspected", EVENT_DENIAL,
	 "So much of what only an escape needs was refused that one is suspected.",
	 MEMBERS({"score", "integer", false, "weights of what was refused"},
		 {"threshold", "integer", false, "governance.escape_threshold"},
		 {"action", "string", false, "what follows: governance.escape"},
		 {"codes", "object", false, "how often each kind was refused"})},
	{"trust.lowered", EVENT_DENIAL, "Its agent may have less trust from now on.",
	 MEMBERS({"agent", "string", false, "governance.agent"},
		 {"from", "string", false, "what it had, as far as it was let have it"},
		 {"to", "string", true, "what it may have at most from now on"},
		 {"why", "string", true, "why that could not be written to the ledger"})},
	{"limit", EVENT_LIMIT, "A limit has ended the sandbox.",
	 MEMBERS({"limit", "string", false, ""}, {"mechanism", "string", false, ""})},
	{"reserved", EVENT_MONEY, "Its account has enough for the longest life that it may have.",
	 MEMBERS({"account", "string", false, ""},
		 {"amounts", "object", true, "what is reserved, by dimension"},
		 {"currency", "string", true, ""}, {"settled_every_ms", "integer", false, ""})},
	{"budget", EVENT_MONEY, "A budget of its account is nearly used up, or is.",
	 MEMBERS({"account", "string", false, ""}, {"answer", "string", false, "warn or exhausted"},
		 {"why", "string", false, "which one"})},
	{"settled", EVENT_MONEY, "What it has used is spent, and the rest is free again.",
	 MEMBERS({"account", "string", false, ""},
		 {"amounts", "object", true, "what is spent, by dimension"},
		 {"currency", "string", true, ""})},
	{"paused", EVENT_LIFE, "It is frozen.", NOTHING},
	{"resumed", EVENT_LIFE, "It goes on.", NOTHING},
	{"copy_reduced", EVENT_FILE, "Not all of what it changed could be kept.",
	 MEMBERS({"files", "integer", false, ""}, {"attributes", "integer", false, ""},
		 {"names", "integer", false, ""}, {"first", "string", false, ""})},
	{"changed", EVENT_FILE, "What is different in its copy at its end.",
	 MEMBERS({"copy", "string", false, "of which directory: the id of the copy"},
		 {"files", "array", false, "path, change, and digest where there is one"},
		 {"more", "integer", true, "so many more"},
		 {"failed", "string", true, "why nobody could look at them"})},
	{"applied", EVENT_FILE, "Changes were taken over into the original.",
	 MEMBERS({"copy", "string", false, ""}, {"caller", "integer", false, "user id"},
		 {"files", "array", false, "path, change, and digest where there is one"},
		 {"more", "integer", true, "so many more"},
		 {"allowed", "array", true, "hazards that were allowed by name or by an answer"},
		 {"allowed_more", "integer", true, "so many more"})},
	{"discarded", EVENT_FILE, "A copy was thrown away.",
	 MEMBERS({"copy", "string", false, ""}, {"caller", "integer", false, "user id"})},
	{"reviewed", EVENT_RECORD, "Somebody has looked at what it could do, and did.",
	 MEMBERS({"caller", "integer", false, "user id"},
		 {"note", "string", false, "what was found"})},
	{"copy_expired", EVENT_FILE, "A copy was removed that nobody had looked at.",
	 MEMBERS({"why", "string", false, ""}, {"copy", "string", false, ""})},
	{"graduated", EVENT_FILE, "It was exported.",
	 MEMBERS({"directory", "string", false, ""},
		 {"manifest", "string", false, "SHA-256 of the manifest"})},
	{"ended", EVENT_LIFE, "It has ended.",
	 MEMBERS({"reason", "string", false, ""},
		 {"wait_status", "integer", false, "of the main command; -1: none"},
		 {"cpu_ns", "integer", false, ""}, {"memory_peak", "integer", false, "bytes"},
		 {"denials", "integer", false, "all of them"}, {"copy_kept", "boolean", false, ""},
		 {"programs", "integer", false, "attempts to start one"},
		 {"programs_unfound", "integer", false, "of these, whose file was not there"},
		 {"more", "array", true, "further directories"})},
	{"torn_down", EVENT_LIFE, "Everything that was made for it is gone, or not.",
	 MEMBERS({"clean", "boolean", false, "nothing is left"})},
	{"reaped", EVENT_LIFE, "Its keeper had died; it was found and brought to an end.",
	 MEMBERS({"why", "string", false, ""},
		 {"groups", "integer", true, "control groups that were named"})},
	{"anchor_failed", EVENT_RECORD, "What is sealed could not be anchored.",
	 MEMBERS({"why", "string", false, ""})},
	{"checkpoint", EVENT_RECORD, "Everything before this is signed.",
	 MEMBERS({"size", "integer", false, "records before it"},
		 {"head", "string", false, "SHA-256 of the last of them"},
		 {"root", "string", false, "of their hash tree (RFC 9162)"},
		 {"key", "string", false, "SHA-256 of the public key"},
		 {"signature", "string", false, "Ed25519, in hexadecimal"})},
};

static const char *const classes[EVENT_CLASSES] = {
	[EVENT_LIFE] = "life",       [EVENT_WALL] = "wall",     [EVENT_PROGRAM] = "program",
	[EVENT_NETWORK] = "network", [EVENT_DENIAL] = "denial", [EVENT_LIMIT] = "limit",
	[EVENT_FILE] = "file",       [EVENT_MONEY] = "money",   [EVENT_RECORD] = "record",
};

const struct event_kind *event_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strncmp(kinds[i].name, name, len) == 0 && kinds[i].name[len] == '\0') {
			return &kinds[i];
		}
	}
	return NULL;
}

const struct event_kind *event_at(size_t i)
{
	return i < ARRAY_SIZE(kinds) ? &kinds[i] : NULL;
}

const char *event_class_name(enum event_class c)
{
	return classes[c];
}

enum event_class event_class_find(const char *name)
{
	enum event_class c = 0;

	while (c < EVENT_CLASSES && strcmp(classes[c], name) != 0) {
		c++;
	}
	return c;
}

/* ---- the schema ---- */

static json_t *data_schema(const struct event_kind *k)
{
	_cleanup_json_ json_t *properties = json_object(), *required = json_array();

	for (const struct event_member *m = k->members; m->name; m++) {
		json_t *p = json_pack("{s:s}", "type", m->type);

		if ((m->doc[0] && json_put(p, "description", json_string(m->doc)) < 0) ||
		    json_put(properties, m->name, p) < 0 ||
		    (!m->optional && json_array_append_new(required, json_string(m->name)) < 0)) {
			return NULL;
		}
	}
	return json_pack("{s:s, s:O, s:O, s:b}", "type", "object", "properties", properties,
			 "required", required, "additionalProperties", 0);
}

/* One of the alternatives: this name, and data of its form. */
static json_t *kind_schema(const struct event_kind *k)
{
	return json_pack("{s:s, s:{s:{s:s}, s:o}}", "description", k->doc, "properties", "event",
			 "const", k->name, "data", data_schema(k));
}

json_t *event_schema(void)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (json_array_append_new(list, kind_schema(&kinds[i])) < 0) {
			return NULL;
		}
	}
	return json_pack(
		"{s:s, s:s, s:s, s:[s,s,s,s,s,s], s:b, s:{s:{s:s}, s:{s:s}, s:{s:s, s:s}, s:{s:s}, "
		"s:{s:s, s:i}, s:{s:s, s:s}}, s:O}",
		"$schema", "https://json-schema.org/draft/2020-12/schema", "title",
		"One line of a trail", "type", "object", "required", "data", "event", "prev",
		"sandbox", "seq", "time", "additionalProperties", 0, "properties", "data", "type",
		"object", "event", "type", "string", "prev", "type", "string", "pattern",
		"^[0-9a-f]{64}$", "sandbox", "type", "string", "seq", "type", "integer", "minimum",
		0, "time", "type", "string", "format", "date-time", "oneOf", list);
}
