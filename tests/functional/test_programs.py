# SPDX-License-Identifier: Apache-2.0
"""Real programs do their real work inside."""
import subprocess

import pytest


def ok(result):
    assert result.status == 0, result
    return result.out


def direct(atoll):
    return ("--workspace", f"{atoll.workspace}:direct")


def test_python_threads_and_processes(atoll, world):
    script = """
import concurrent.futures as f, multiprocessing, threading, tempfile, sqlite3, ssl, ctypes
def square(n): return n * n
if __name__ == "__main__":
    with f.ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))
    with multiprocessing.Pool(4) as pool: print(sum(pool.map(square, range(100))))
    lock = multiprocessing.Lock()
    with lock, tempfile.NamedTemporaryFile() as t: t.write(b"x"); print(multiprocessing.cpu_count() > 0)
"""
    (atoll.workspace / "work.py").write_text(script)
    assert ok(atoll.run("/usr/bin/python3", "work.py")) == "328350\n328350\nTrue\n"


def test_node(atoll, world, need_program):
    need_program("node")
    script = """
const os = require('os'), cp = require('child_process'), fs = require('fs'), wt = require('worker_threads');
console.log(Object.keys(os.networkInterfaces()).join());
console.log(cp.execFileSync('/bin/echo', ['child']).toString().trim());
new wt.Worker("require('worker_threads').parentPort.postMessage(1)", {eval: true})
  .on('message', m => console.log('worker', m));
"""
    (atoll.workspace / "work.js").write_text(script)
    out = ok(atoll.run("node", "work.js", options=("--memory", "1GiB")))
    assert out.splitlines() == ["lo", "child", "worker 1"]


def test_java(atoll, world, need_program):
    need_program("java")
    out = atoll.run("java", "-version", options=("--memory", "2GiB"))
    assert out.status == 0 and "version" in out.err, out


def test_compiler(atoll, world, need_program):
    need_program("gcc")
    (atoll.workspace / "a.c").write_text('#include <stdio.h>\nint main(void) { puts("built"); }\n')
    assert ok(atoll.run("/bin/sh", "-c", "gcc -O2 -o /tmp/a a.c && /tmp/a")) == "built\n"


def test_address_sanitizer(atoll, world, need_program):
    need_program("gcc")
    (atoll.workspace / "a.c").write_text(
        "#include <stdlib.h>\nint main(int c, char **v) { char *p = malloc(4); (void)v; return p[c + 3]; }\n")
    result = atoll.run("/bin/sh", "-c", "gcc -g -fsanitize=address -o /tmp/a a.c && /tmp/a")
    assert result.status == 1 and "heap-buffer-overflow" in result.err, result


def test_git_clone(atoll, world, need_program):
    need_program("git")
    commands = [["git", "init", "-q", "origin"],
                ["git", "-C", "origin", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit",
                 "-q", "--allow-empty", "-m", "first"]]
    for command in commands:
        subprocess.run(command, cwd=atoll.workspace, check=True, env=atoll.environment())
    out = ok(atoll.run("/bin/sh", "-c", "git clone -q ./origin /tmp/copy && git -C /tmp/copy log --format=%s"))
    assert out == "first\n"


def test_git_commit_in_a_direct_workspace(atoll, world, need_program):
    need_program("git")
    out = ok(atoll.run("/bin/sh", "-c", "git init -q . && echo a >f && git add f && git -c user.name=a "
                       "-c user.email=a@b commit -qm one && git status --porcelain && git log --format=%s",
                       options=direct(atoll)))
    assert out == "one\n"
    assert (atoll.workspace / "f").read_text() == "a\n"
    assert (atoll.workspace / "f").stat().st_uid == atoll.workspace.stat().st_uid


def test_parallel_make(atoll, world, need_program):
    need_program("make")
    (atoll.workspace / "Makefile").write_text(
        "all: $(addprefix /tmp/,1 2 3 4 5 6 7 8)\n\t@cat $^\n/tmp/%:\n\t@echo $* >$@\n")
    assert ok(atoll.run("make", "-j4")) == "".join(f"{n}\n" for n in range(1, 9))


def test_tar(atoll, world):
    (atoll.workspace / "d").mkdir()
    (atoll.workspace / "d/f").write_text("x")
    assert ok(atoll.run("/bin/sh", "-c", "tar czf /tmp/d.tgz d && tar xzf /tmp/d.tgz -C /tmp && cat /tmp/d/f")) == "x"


def test_sqlite(atoll, world, need_program):
    need_program("sqlite3")
    sql = "pragma journal_mode=wal; create table t(a); insert into t values(1),(2); select sum(a) from t;"
    assert ok(atoll.run("sqlite3", "/tmp/t.db", sql)) == "wal\n3\n"


def test_pipeline(atoll, world):
    assert ok(atoll.run("/bin/bash", "-c", "seq 1 1000 | grep 7 | wc -l; cat <(echo a) <(echo b)")) == \
        "271\na\nb\n"


def test_strace(atoll, world, need_program):
    need_program("strace")
    result = atoll.run("strace", "-f", "-e", "trace=execve", "/bin/true")
    assert result.status == 0 and "execve" in result.err, result


def test_vim_on_a_terminal(atoll, world, need_program):
    need_program("vim")
    result = atoll.run_on_terminal("vim", "-u", "NONE", "-N", "/tmp/file", typed=b"ihello\x1b:wq\r",
                                   options=("--wall", "20s"))
    assert result.status == 0 and b"hello" in result.stdout, result


def test_terminal_size_and_modes(atoll, world):
    result = atoll.run_on_terminal("/bin/sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size", size=(33, 77))
    assert result.status == 0 and b"33 77" in result.stdout, result


def test_local_server(atoll, world):
    """A payload's own servers on its own loopback."""
    script = """
import http.server, threading, urllib.request
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=s.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f"http://127.0.0.1:{s.server_port}/").status)
"""
    assert ok(atoll.run("/usr/bin/python3", "-c", script)) == "200\n"


def test_identity(atoll, world):
    out = ok(atoll.run("/bin/sh", "-c", 'id -u; echo "$HOME"; getent passwd $(id -u) | cut -d: -f6; echo x >"$HOME/f"'))
    lines = out.splitlines()
    assert lines[0] != "0" and lines[1] == lines[2], out


@pytest.mark.parametrize("what", ["ls -la / >/dev/null", "ps ax", "df", "free", "uname -a", "date", "nproc",
                                  "getent hosts localhost", "locale", "perl -e 'print 1'", "mktemp"])
def test_everyday(atoll, what):
    ok(atoll.run("/bin/sh", "-c", what))
