# SPDX-License-Identifier: Apache-2.0
"""The process tier: Landlock and seccomp on the host's own files, with and without a pid namespace.

What does not differ from the container tier (exit codes, streams, terminals, denials) is in the
other modules of this folder, which scripts/run-tests also runs at this tier.
"""
import json
import os
import pathlib
import signal

import pytest

from harness import runner

# Root loses user namespaces in the test host that has none.
TIERS = ["process"] * runner.has_userns() + \
    ["guarded"] * (os.geteuid() != 0 or not runner.has_userns())
DIRECT = ("--workspace", ".:direct")


@pytest.fixture(params=TIERS)
def tier(request, base):
    product = runner.Atoll(base / "product", tier=request.param)
    yield product
    product.end()


def ok(result):
    assert result.status == 0, result
    return result.out


def python(script):
    return ("/usr/bin/python3", "-c", script)


def value(result, name):
    return result.receipt[name]["value"]


# The root of a chroot is a directory, not a mount, so its mount is in no table that it sees.
CHROOT = """set -e; cd "$1"; mkdir usr proc dev etc tree state; mkdir -m 1777 tmp
for d in bin lib lib64 sbin; do test ! -L /$d || cp -P /$d .; done
for d in usr dev etc; do mount --rbind /$d $d; done
mount -t proc proc proc; cp "$2" atoll; echo inside >tree/f; chown -R 1234:1234 tree state
test -z "$3" || { mkdir other; mount --bind "$3" other; }
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin ATOLL_HOME=/state chroot --userspec=1234:1234 --groups= . /atoll run --quiet --accept-tier process \
    --workspace /tree:$4 ${3:+--read /other} -- /bin/cat /tree/f"""


@pytest.mark.parametrize("mode", ["read-only", "direct"])
@pytest.mark.parametrize("mount", [False, True])
def test_in_a_chroot(atoll, need_root, mode, mount):
    root, other = atoll.base / "root", atoll.base / "other"
    root.mkdir()
    other.mkdir()
    result = runner.capture(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", CHROOT, "sh", root,
                             atoll.binary, other if mount else "", mode])
    if mount:
        assert result.status == 125 and "the root of this chroot is no mount" in result.err, result
    else:
        assert (result.status, result.out) == (0, "inside\n"), result


# ---- walls, as the receipt has them ----

def test_receipt(tier, world):
    result = tier.run("/bin/true")
    assert result.status == 0 and result.document["tier"] == "process", result
    guarded = tier.tier == "guarded"
    assert sorted(value(result, "namespaces")) == ([] if guarded else ["pid", "user"])
    assert value(result, "signals") == ("the keeper's: no pid namespace" if guarded else "a pid namespace")
    assert value(result, "network") == "none: seccomp, no sockets"
    assert value(result, "landlock")["abi"] >= 1 and value(result, "no_new_privs") is True
    assert value(result, "seccomp")["profile"] == "default"
    processes, = [row["mechanism"] for row in result.receipt["limits"] if row["name"] == "processes"]
    if os.geteuid() != 0 and not result.mechanism("memory").startswith("cgroup"):
        assert processes == ("keeper, at each start" if guarded else "rlimit in the user namespace")


def test_the_tier_must_be_asked_for(atoll):
    refused = runner.Atoll(atoll.base).run("/bin/true", options=("--tier", "process"))
    assert refused.status == 125 and "--accept-tier process" in refused.err, refused


@pytest.mark.parametrize("options, remedy", [
    (("--syscalls", "nested"), "use tier container"),
    (("--limits", "group"), "mechanism: any"),
    (("--trust", "low"), "mechanism: any")], ids=["nested", "group", "low"])
def test_what_the_tier_cannot_do_is_refused(tier, world, options, remedy):
    result = tier.run("/bin/true", options=options)
    assert result.status == 125 and remedy in result.err, result


def test_root_needs_a_container_for_a_direct_workspace(tier, need_root):
    result = tier.run("/bin/true", options=DIRECT)
    assert result.status == 125 and "start atoll as the user" in result.err, result


def test_the_policy_says_what_it_means(tier, world):
    result = tier.tool("policy", "explain", "--json", "--accept-tier", "process")
    said = {row["key"]: (row["class"], row["text"]) for row in json.loads(ok(result))}
    assert "no socket" in said["network.default"][1]
    assert said["execution.limits.scratch"][0] == "guard-rail" and "TMPDIR" in said["filesystem.root"][1]


# ---- home and scratch ----

def test_home_and_scratch(tier, world):
    result = tier.run("/bin/sh", "-c", "echo a >$HOME/a; echo b >$TMPDIR/b; mktemp; cat ~/a $TMPDIR/b; "
                      "stat -c %a $HOME $TMPDIR; echo $HOME")
    made, a, b, mode, other, home = ok(result).splitlines()
    assert (a, b, mode, other) == ("a", "b", "700", "700")
    assert made.startswith(os.path.dirname(home) + "/tmp/")
    assert not pathlib.Path(home).parent.exists()


def test_declared_variables_stand(tier):
    result = tier.run("/usr/bin/env", options=("--env", "HOME=/declared", "--env", "TMPDIR=/usr"))
    names = [line.split("=")[0] for line in ok(result).splitlines()]
    assert "HOME=/declared\n" in result.out and "TMPDIR=/usr\n" in result.out
    assert len(names) == len(set(names))


def test_without_a_workspace_it_starts_at_home(tier, world):
    policy = tier.base / "none.yaml"
    policy.write_text("version: 1\nfilesystem: {workspace: {mode: none}}\n")
    result = tier.run("/bin/pwd", options=("--policy", policy), cwd="/")
    assert ok(result).endswith("/home\n")


HOSTILE = """
import os
here = os.environ["TMPDIR"]
for name in ("closed", "read-only", "write-only"):
    os.mkdir(f"{here}/{name}")
    open(f"{here}/{name}/file", "w").close()
    os.mkdir(f"{here}/{name}/below")
os.symlink("/usr", f"{here}/link"); os.symlink(here, f"{here}/loop"); os.mkfifo(f"{here}/fifo")
for i in range(500):
    open(f"{here}/{i}\\n\\xff", "w").close()
os.chdir(here)
for i in range(60):
    os.mkdir("d"); os.chdir("d")
os.chdir(here)
for name, mode in (("closed", 0), ("read-only", 0o500), ("write-only", 0o200)):
    os.chmod(f"{here}/{name}", mode)
"""


def test_whatever_was_left_is_removed(tier, world):
    assert ok(tier.run(*python(HOSTILE))) == ""


DEEP = "import os\nos.chdir(os.environ['TMPDIR'])\nfor i in range(3000):\n    os.mkdir('d'); os.chdir('d')\n"


@pytest.mark.parametrize("script", [
    "import os, time\nf = open(os.environ['TMPDIR'] + '/f', 'wb')\nfor _ in range(64): f.write(bytes(1 << 20))\n"
    "f.flush(); time.sleep(60)",
    "import os, time\nfor i in range(20000): open(os.environ['HOME'] + f'/{i}', 'w').close()\ntime.sleep(60)",
    DEEP + "import time; time.sleep(60)"], ids=["bytes", "files", "depth"])
def test_scratch_limit(tier, world, script):
    result = tier.run(*python(script), options=("--scratch", "16MiB"))
    assert (result.status, result.reason) == (137, "limit:scratch"), result


WATCH = ("import ctypes, sys\nlibc = ctypes.CDLL(None)\n"
         "print(libc.inotify_add_watch(libc.inotify_init(), sys.argv[1].encode(), 0xfff))\n")


def test_watching_needs_the_payloads_own_rights(tier, base, need_root):
    """The keeper adds the watch, and root's groups are not the payload's."""
    place = base / "for the group"
    place.mkdir()
    seen = []
    for mode in (0o755, 0o750):
        place.chmod(mode)
        result = tier.run(*python(WATCH), place, options=("--read", place), extra_groups=[0])
        seen.append(ok(result).strip())
    assert seen == ["1", "-1"]


# ---- real work ----

def test_git(tier, world, need_program, need_user):
    need_program("git")
    out = ok(tier.run("/bin/sh", "-c", "git init -q one && cd one && echo a >f && git add f && "
                      "git -c user.name=a -c user.email=a@b commit -qm first && cd .. && "
                      "git clone -q one two && git -C two log --format=%s", options=DIRECT))
    assert out == "first\n"


def test_a_build(tier, world, need_program, need_user):
    """Modes, times and owners of one's own files, which the keeper changes."""
    need_program("gcc")
    (tier.workspace / "a.c").write_text('#include <stdio.h>\nint main(void) { puts("built"); }\n')
    (tier.workspace / "Makefile").write_text(
        "all: a\n\ttouch -d 2001-02-03 x\n\tcp -a x y\n\ttar cf t.tar x y\n\tmkdir o\n\ttar xf t.tar -C o\n"
        "\tinstall -m 750 a o/i\n\tchmod -R go-w o\n\tchown $$(id -u) o\n\ttruncate -s 5 x\n\t./a\n"
        "a: a.c\n\tgcc -O1 -o a a.c\n")
    result = tier.run("make", "-s", "-j2", options=DIRECT)
    assert ok(result) == "built\n", result
    work = tier.workspace
    assert (work / "o/y").stat().st_mtime == (work / "y").stat().st_mtime < 10 ** 9
    assert (work / "o/i").stat().st_mode & 0o777 == 0o750 and (work / "x").stat().st_size == 5


def test_python(tier, world):
    script = ("import subprocess, tempfile, threading, concurrent.futures as f, ssl, sqlite3\n"
              "with f.ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda n: n * n, range(100))))\n"
              "print(subprocess.run(['echo', 'child'], capture_output=True, text=True).stdout.strip())\n"
              "with tempfile.TemporaryDirectory() as d: open(d + '/x', 'w').write('y'); print('made')\n")
    assert ok(tier.run(*python(script))) == "328350\nchild\nmade\n"


def test_node(tier, world, need_program):
    need_program("node")
    script = ("const cp=require('child_process'),fs=require('fs'),wt=require('worker_threads');"
              "fs.watch('.').close(); console.log(cp.execFileSync('echo',['child']).toString().trim());"
              "new wt.Worker(\"require('worker_threads').parentPort.postMessage(1)\",{eval:true})"
              ".on('message',m=>console.log('worker',m))")
    assert ok(tier.run("node", "-e", script)) == "child\nworker 1\n"


def test_java(tier, world, need_program):
    need_program("java")
    (tier.workspace / "T.java").write_text(
        "public class T { public static void main(String[] a) throws Exception {"
        " Thread t = new Thread(() -> System.out.println(\"thread\")); t.start(); t.join(); } }\n")
    assert ok(tier.run("java", "T.java", options=("--memory", "3GiB"))) == "thread\n"


# ---- processes and signals of one's own ----

def test_signals_among_themselves(tier, world):
    script = """
sleep 100 & kill -TERM $!; wait $!; echo $?
sh -c 'kill -9 $$'; echo $?
timeout 0.1 sleep 100; echo $?
(trap 'echo caught; exit 7' USR1; kill -USR1 $(sh -c 'echo $PPID'); sleep 5); echo $?
setsid sh -c 'sleep 100 & sleep 100 & trap "" TERM; kill 0; echo group'
kill -0 $$ && echo self; kill -9 -1; echo alone
"""
    result = tier.run("/bin/bash", "-c", script)
    assert ok(result).split() == ["143", "137", "124", "caught", "7", "group", "self", "alone"], result


SIGNALS = """
import ctypes, os, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
got = []
signal.signal(signal.SIGUSR1, lambda *a: got.append(1))
signal.signal(signal.SIGUSR2, lambda *a: got.append(2))
signal.raise_signal(signal.SIGUSR1)
signal.pthread_kill(threading.get_ident(), signal.SIGUSR2)
os.kill(os.getpid(), signal.SIGUSR1)
child = os.fork()
if child == 0:
    time.sleep(60)
fd = os.pidfd_open(child)
signal.pidfd_send_signal(fd, signal.SIGTERM)
print(os.waitpid(child, 0)[1], got)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
child = os.fork()
if child == 0:
    os._exit(9 if signal.sigtimedwait([signal.SIGALRM], 10) else 1)
value = ctypes.c_void_p(5)
print(libc.sigqueue(child, signal.SIGALRM, value), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_every_call_that_signals(tier, world):
    assert ok(tier.run(*python(SIGNALS))).splitlines() == ["15 [1, 2, 1]", "0 9"]


def test_abort_and_cancel(tier, world, need_program):
    """raise(3) and pthread_cancel(3) check who sent the signal."""
    need_program("gcc")
    (tier.workspace / "c.c").write_text(
        "#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
        "static void *f(void *u) { (void)u; for (;;) sleep(1); }\n"
        "int main(void) { pthread_t t; void *r; pthread_create(&t, 0, f, 0); pthread_cancel(t);"
        " pthread_join(t, &r); puts(r == PTHREAD_CANCELED ? \"cancelled\" : \"no\"); fflush(stdout); abort(); }\n")
    result = tier.run("/bin/sh", "-c", "gcc -pthread -o $TMPDIR/c c.c && $TMPDIR/c; echo $?")
    assert ok(result) == "cancelled\n134\n", result


def test_job_control_on_a_terminal(tier, world):
    result = tier.run_on_terminal("/bin/bash", "--norc", "-i", typed=b"sleep 50 & kill %1; wait; echo d${x}one\rexit\r",
                                  options=("--wall", "20s"))
    assert result.status == 0 and b"done" in result.stdout, result


HIDING = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c",
          "mount -t proc -o hidepid=invisible proc /proc && "
          "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"", "sh")


def test_a_proc_that_hides_processes(base, need_root):
    """A process that may not be traced would be hidden from who must end it."""
    if not runner.has_userns():
        pytest.skip("this host has no user namespaces")
    (base / "state").mkdir(mode=0o700)
    (base / "work").mkdir()
    os.chown(base / "state", 65534, 65534)
    run = (runner.BIN, "run", "--accept-tier", "process", "--", "/bin/true")
    with_, without = [
        runner.capture([*HIDING, *wrap, *run], cwd=base / "work",
                       env=runner.command_environment({"ATOLL_HOME": str(base / "state")}))
        for wrap in ((), runner.WITHOUT_USERNS)]
    assert with_.status == 0, with_
    assert without.status == 125 and "hidepid" in without.err, without


def test_limit_of_processes(tier, world):
    result = tier.run(tier.probe("storm"), "herd", options=("--processes", "20", "--denials", "record"))
    refused = [name for name, word in result.probes().items() if word == "EAGAIN"]
    assert refused and 10 < int(refused[0].split(":")[1]) <= 20, result


def test_limit_of_starts(tier, world):
    result = tier.run(*python("import os\nwhile True:\n    if os.fork() == 0: os._exit(0)\n    os.wait()"),
                      options=("--starts", "20", "--wall", "20s"))
    assert (result.status, result.reason) == (137, "limit:starts"), result


@pytest.mark.parametrize("kind", ["bomb", "chain", "daemons", "stopped", "vforked", "threads",
                                  "leaderless"])
def test_everything_ends(tier, world, kind):
    """Bombs that grow, chains that no pid can catch, what ignores signals or sits in the kernel."""
    name = f"s{os.urandom(6).hex()}"
    result = tier.run(tier.probe("storm"), kind, name,
                      options=("--wall", "1s", "--starts", "1000000", "--processes", "300",
                               "--denials", "record"))
    assert result.document["torn_down"] is True, result
    assert result.document["durations_ms"]["teardown"] < 5000 * runner.SLOW, result
    assert not [p for p in os.listdir("/proc") if p.isdigit() and
                (runner.text_of(f"/proc/{p}/comm") or "").strip() == name]


def test_a_killed_keeper_leaves_no_bomb(tier, base):
    """The guard, or the kernel, ends what the keeper cannot; the next command removes the rest."""
    name = f"k{os.urandom(6).hex()}"
    process = tier.start(tier.probe("storm"), "bomb", name,
                         options=("--starts", "1000000", "--processes", "100", "--denials", "record"))
    assert runner.eventually(lambda: len(named(name)) > 5)
    for keeper in [p for p in named("atoll-keeper") if parent(p) == process.pid]:
        os.kill(keeper, signal.SIGKILL)
    assert runner.eventually(lambda: not named(name), 10)
    process.wait()
    after = tier.run("/bin/true")
    assert after.status == 0 and "removed what 1 sandbox" in after.err, after
    assert not list(pathlib.Path("/tmp").glob(f"atoll-{tier_id(process)}*"))


def tier_id(process):
    """The id is in what the front said, or there is none to look for."""
    said = process.stderr.read().decode(errors="replace")
    return next((word for word in said.split() if word.startswith("s-")), "none")


def named(name):
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and
            (runner.text_of(f"/proc/{p}/comm") or "").strip() == name[:15]]


def parent(pid):
    stat = runner.text_of(f"/proc/{pid}/stat") or ""
    return int(stat.rpartition(")")[2].split()[1]) if stat else 0


def test_without_user_namespaces_it_says_so(base, need_user):
    if not runner.has_userns():
        pytest.skip("this host has no user namespaces")
    """The same host, once with and once without: the receipt tells which it was."""
    seen = [value(runner.Atoll(base / t, tier=t).run("/bin/true"), "signals") for t in ("process", "guarded")]
    assert seen == ["a pid namespace", "the keeper's: no pid namespace"]
