# SPDX-License-Identifier: Apache-2.0
"""What real shells propose for a command line that begins with `atoll`. A shell is started once and asked
line by line, for starting it takes many times what a question takes."""
import fcntl
import os
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

from harness import runner

# Readline breaks words at COMP_WORDBREAKS; the driver does that and calls what `complete` registered.
# A question is the line, the number of its words, and the words; each is answered in a fork of its own.
BASH = r"""
while IFS= read -r line && read -r count; do
	words=()
	for ((i = 0; i < count; i++)); do
		IFS= read -r word
		words+=("$word")
	done
	(
		COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=("${words[@]}") COMP_CWORD=$((count - 1))
		set -- "${words[@]}"
		[[ $(complete -p atoll) =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" atoll "${@: -1}" "${@: -2:1}"
		((${#COMPREPLY[@]} == 0)) || printf 'found:%s\n' "${COMPREPLY[@]}"
	) </dev/null
	echo answered
done
"""

FISH = r"""
source $argv[1]
while read --null line
	complete --do-complete=$line </dev/null
	echo answered
end
"""

# Every match on a line of its own as it is found; the line is empty again before the next question.
ZSH = r"""
autoload -U compinit && compinit -u -d $ZDOTDIR/dump
source $ZDOTDIR/atoll
zstyle ':completion:*' insert-tab false
answer() {
	zle complete-word
	BUFFER=
	print -lr -- "" answered
}
zle -N answer
bindkey '^I' answer
setopt no_auto_list no_auto_menu no_beep
compadd() {
	local -a hits apre hpre
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	builtin compadd -O hits "$@"
	zparseopts -E P:=apre p:=hpre
	(( $#hits == 0 )) || print -lr -- "" found:$IPREFIX$apre[2]$hpre[2]${^hits}
	builtin compadd "$@"
}
PROMPT=rea
PROMPT+='dy> '
"""


def broken(line):
    """The words of a line as readline has them: = and : stand alone."""
    words = [w for w in re.split(r"\s+|([=:]+)", line) if w]
    return words + [""] * line.endswith(" ")


class Pipes:
    """A shell that reads questions from a pipe and ends each answer with a line of its own."""

    def __init__(self, argv, **how):
        self.said = tempfile.TemporaryFile()  # what it complains about
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.said, start_new_session=True, **how)

    def ask(self, question):
        self.process.stdin.write(question)
        self.process.stdin.flush()
        shown, end = b"", time.monotonic() + runner.TIMEOUT
        while not re.search(rb"^answered\n\Z", shown, re.M):
            ready = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert piece, f"the shell {'has ended' if ready else 'does not answer'}: {shown} {self.complaints()}"
            shown += piece
        return shown.decode(errors="replace").splitlines()[:-1]

    def complaints(self):
        self.said.seek(0)
        return self.said.read().decode(errors="replace")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(runner.TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.said.close()


class Bash(Pipes):
    def __init__(self, script, loaded=False, **how):
        before = "source /usr/share/bash-completion/bash_completion\n" if loaded else ""
        super().__init__(["bash", "--norc", "-c", f"{before}source '{script}'\n{BASH}"], **how)

    def propose(self, line):
        words = broken(line)
        rows = self.ask("".join(f"{row}\n" for row in (line, len(words), *words)).encode())
        return [row[len("found:"):].rstrip(" ") for row in rows if row.startswith("found:")]


class Fish(Pipes):
    def __init__(self, script, **how):
        super().__init__(["fish", "-c", FISH, script], **how)

    def propose(self, line):
        rows = self.ask(f"{line}\0".encode())
        assert self.complaints() == "", self.complaints()
        # It also proposes what only contains the word, or its letters; that comes behind the rest.
        return [row.split("\t")[0] for row in rows if row.startswith(line.split(" ")[-1])]


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv, **how):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 1000, 0, 0))
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                                        preexec_fn=lambda: runner.become_session(slave), **how)
        os.close(slave)

    def until(self, pattern):
        """What is shown from now on until the pattern appears in it."""
        shown, end = b"", time.monotonic() + runner.TIMEOUT
        while not re.search(pattern, shown):
            if not select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"{pattern} does not come: {shown}")
            try:
                shown += os.read(self.master, 65536)
            except OSError as e:
                raise AssertionError(f"it has ended: {shown}") from e
        return shown

    def type(self, text):
        os.write(self.master, text)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


class Zsh(Terminal):
    def __init__(self, script, env, **how):
        place = script.parent / "zsh-home"
        place.mkdir(exist_ok=True)
        (place / ".zshrc").write_text(ZSH)
        (place / "atoll").write_text(script.read_text())
        super().__init__(["zsh", "-d", "-i"], env={**env, "ZDOTDIR": str(place)}, **how)
        self.until(rb"ready> ")

    def propose(self, line):
        self.type(f"{line}\t".encode())
        shown = self.until(rb"\nanswered\r\n").decode(errors="replace")
        return re.findall(r"^found:(.*?)\r?$", shown, re.M)
