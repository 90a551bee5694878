/* SPDX-License-Identifier: Apache-2.0 */
/* atoll pause, atoll resume. */
#include <errno.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "front/cli/cli.h"
#include "front/cli/commands.h"
#include "front/cli/sandboxes.h"

static int tell(const struct state *s, const char *word, void *op, struct err *e)
{
	return sandbox_tell(s, word, *(const enum control_op *)op, 0, e);
}

static int tell_all(const struct cli_command *c, int argc, char **argv, enum control_op op)
{
	struct cli_operands words;
	struct state s;
	int r = sandboxes_begin(c, argc, argv, NULL, &words, &s);

	if (r != 0) {
		return r > 0 ? CLI_OK : -r;
	}
	r = sandboxes_each(&s, &words, tell, &op);
	state_done(&s);
	return r;
}

static int cmd_pause(const struct cli_command *c, int argc, char **argv)
{
	return tell_all(c, argc, argv, CONTROL_PAUSE);
}

static int cmd_resume(const struct cli_command *c, int argc, char **argv)
{
	return tell_all(c, argc, argv, CONTROL_RESUME);
}

static const struct cli_example pause_examples[] = {
	CLI_EXAMPLE("atoll pause work"),
	{},
};

static const struct cli_example resume_examples[] = {
	CLI_EXAMPLE("atoll resume work"),
	{},
};

const struct cli_command cli_pause_command = {
	.name = "pause",
	.summary = "stop everything in a sandbox for a while",
	.operands = "SANDBOX...",
	.operand.kind = CLI_SANDBOX,
	.max_operands = SIZE_MAX,
	.about = "Stop everything in sandboxes until 'atoll resume': nothing in them uses a CPU. "
		 "What\n"
		 "they hold of memory they keep. A sandbox that is paused is not idle, but the "
		 "time\n"
		 "of its session and of its commands goes on. How often, and for how long in all, "
		 "its\n"
		 "policy says (time.pauses, time.paused); after that time it is ended.\n",
	.examples = pause_examples,
	.run = cmd_pause,
};

const struct cli_command cli_resume_command = {
	.name = "resume",
	.summary = "let a sandbox go on that is paused",
	.operands = "SANDBOX...",
	.operand.kind = CLI_SANDBOX,
	.max_operands = SIZE_MAX,
	.about = "Let sandboxes go on where 'atoll pause' has stopped them.\n",
	.examples = resume_examples,
	.run = cmd_resume,
};
