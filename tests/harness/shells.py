# SPDX-License-Identifier: Apache-2.0
"""What real shells propose for a command line that begins with `atoll`."""
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time

from harness import runner

# Readline breaks words at COMP_WORDBREAKS; the driver does that and calls what `complete` registered.
BASH = r"""
COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=()
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
[[ $(complete -p atoll) =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" atoll "${@: -1}" "${@: -2:1}"
((${#COMPREPLY[@]} == 0)) || printf 'found:%s\n' "${COMPREPLY[@]}"
"""

# Every match on a line of its own as it is found; the shell ends after the first completion.
ZSH = r"""
autoload -U compinit && compinit -u -d $ZDOTDIR/dump
source $ZDOTDIR/atoll
zstyle ':completion:*' insert-tab false
bindkey '^I' complete-word
leave() { exit 0 }
comppostfuncs=(leave)
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


def bash(script, line, loaded, **how):
    before = "source /usr/share/bash-completion/bash_completion\n" if loaded else ""
    done = subprocess.run(["bash", "--norc", "-c", f"{before}source '{script}'\n{BASH}", "bash", line,
                           *broken(line)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=runner.TIMEOUT, check=False, **how)
    return re.findall(r"^found:(.*?) *$", done.stdout, re.M)


def fish(script, line, **how):
    done = subprocess.run(["fish", "-c", "source $argv[1]; complete --do-complete=$argv[2]", script, line],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=runner.TIMEOUT, check=False, **how)
    assert done.stderr == "", done.stderr
    # It also proposes what only contains the word, or its letters; that comes behind the rest.
    return [row.split("\t")[0] for row in done.stdout.splitlines()
            if row.startswith(line.split(" ")[-1])]


def converse(argv, prompt, typed, until=None, **how):
    """On a terminal of its own: types when the prompt is there, returns what was shown to the end."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 1000, 0, 0))
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave,
                               preexec_fn=lambda: runner.become_session(slave), **how)
    os.close(slave)
    shown, said, end = b"", False, time.monotonic() + runner.TIMEOUT
    while time.monotonic() < end and not (until and said and re.search(until, shown)):
        if select.select([master], [], [], 0.1)[0]:
            try:
                shown += os.read(master, 65536)
            except OSError:
                break
        if not said and prompt in shown:
            os.write(master, typed)
            said = True
    process.kill()
    process.wait()
    os.close(master)
    return shown


def zsh(script, line, env, **how):
    place = script.parent / "zsh-home"
    place.mkdir(exist_ok=True)
    (place / ".zshrc").write_text(ZSH)
    (place / "atoll").write_text(script.read_text())
    shown = converse(["zsh", "-d", "-i"], b"ready> ", f"{line}\t".encode(),
                     env={**env, "ZDOTDIR": str(place)}, **how)
    return re.findall(r"^found:(.*?)\r?$", shown.decode(errors="replace"), re.M)
