# SPDX-License-Identifier: Apache-2.0
"""B, C, E, F: processes, descriptors, files, limits and the network around a payload."""
import fcntl
import os
import re
import subprocess

import pytest

from harness import runner, trail
from harness.arms import REFUSED, Check, NoOutcome
from security.kernel import named, succeeded

LEAK = 57  # a descriptor number that nobody else uses
METADATA = ("169.254.169.254 80", "100.100.100.200 80", "198.51.100.7 443", "10.0.0.1 80",
            "0.0.0.0 22", "127.0.0.2 80")


def descriptors(t):
    """B1: the payload has the three that we made and nothing that its caller held."""
    kept = os.open(t.canaries.files["a private file"], os.O_RDONLY)
    os.dup2(kept, LEAK, inheritable=True)
    os.close(kept)
    try:
        # A look at a link of /proc is not reading there, which the process tier refuses.
        script = "ls /proc/self/fd" if t.tier == "container" else \
            "for n in $(seq 0 99); do readlink /proc/self/fd/$n >/dev/null && echo $n; done"
        result = t.run("/bin/sh", "-c", f"{script}; cat /proc/self/fd/{LEAK}", quiet=True,
                       pass_fds=(LEAK,))
    finally:
        os.close(LEAK)
    seen = {int(word) for word in result.out.split() if word.isdigit() and len(word) < 6}
    return [f"descriptor {n}" for n in sorted(seen - {0, 1, 2, 3})]


def environment(t):
    """Nothing of the caller's environment."""
    secret = t.canaries.token("the caller's environment")
    result = t.run("/usr/bin/env", quiet=True, env={"GITHUB_TOKEN": secret, "LD_AUDIT_X": secret,
                                                    f"N{secret}": "1"})
    return [f"inherited {line}" for line in result.out.splitlines() if secret in line]


def striking(t):
    """B6, A16: signals to init, to the canary process, and by asynchronous owner."""
    victim = str(t.canaries.process.pid)
    t.run(t.probe("neighbours"), "own", victim)
    t.run(t.probe("neighbours"), "strike", victim)
    return []


def visible_processes(t):
    """B7: only the sandbox's own processes in /proc."""
    result = t.run("/bin/ls", "/proc", quiet=True)
    seen = [int(n) for n in result.out.split() if n.isdigit()]
    return [f"process {n}" for n in seen if n > 64 or n == os.getpid()]


def survivors(t):
    """B8: daemons that ignore every signal, after the payload has ended."""
    name = f"d{t.canaries.token('a name')[:12]}"
    t.run(t.probe("storm"), "daemons", name)

    if t.sandboxed:
        runner.eventually(lambda: not named(name))
    found = named(name)
    for pid in found:
        os.kill(pid, 9)
    return [f"{len(found)} daemons live on"] if found else []


def orphans(t):
    """B8: whoever supervises is killed without warning; what it started ends with it at once."""
    name = f"o{t.canaries.token('a name')[:12]}"
    command = [str(t.probe("storm")), "stopped", name]
    process = t.atoll.start(*command) if t.sandboxed else \
        subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    line = process.stdout.readline()
    if t.sandboxed and not line:
        t.results.append(t.atoll.finish(runner.Result(command, process.wait(), b"", b"", 0.0)))
        return []
    runner.eventually(lambda: len(named(name)) == 9)
    for pid in keepers(process.pid) if t.sandboxed else [process.pid]:
        os.kill(pid, 9)
    process.stdout.close()
    if not t.sandboxed:
        process.wait()
    runner.eventually(lambda: not named(name), 3)
    found = named(name)
    # Pid 1 of a sandbox carries the payload's words in its own, a guard is its parent; a mutant's may
    # still be there.
    above = {parent_of(pid) for pid in found}
    inside = [int(p) for p in filter(str.isdigit, os.listdir("/proc"))
              if (name in (runner.text_of(f"/proc/{p}/cmdline") or "") or int(p) in above)
              and (runner.text_of(f"/proc/{p}/cmdline") or "").startswith(("atoll-init", "atoll-guard"))]
    for pid in found + inside:
        os.kill(pid, 9)
    t.atoll.end()
    t.atoll.run("/bin/true")  # the next command clears away what a dead keeper has left
    return [f"{len(found)} processes live on"] if found else []


def parent_of(pid):
    stat = runner.text_of(f"/proc/{pid}/stat") or ""
    return int(stat.rpartition(")")[2].split()[1]) if stat else 0


def keepers(front):
    """The keeper that a front has started: its child, or what became of it."""
    return [int(p) for p in filter(str.isdigit, os.listdir("/proc"))
            if (runner.text_of(f"/proc/{p}/comm") or "").startswith("atoll-keeper") and
            (runner.text_of(f"/proc/{p}/stat") or "").rpartition(")")[2].split()[1:2] == [str(front)]]


def kernel_settings(t):
    """C8: the kernel's own settings. Outside, only one of a network namespace made for it."""
    if not t.sandboxed:
        return succeeded(t.run(t.probe("files"), "write", "/proc/sys/net/ipv4/ip_forward",
                               wrap=("unshare", "--map-root-user", "--net")), "write:")
    paths = ("/proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/net/ipv4/ip_forward "
             "/proc/sys/kernel/hostname /proc/sys/fs/binfmt_misc/register /proc/sysrq-trigger "
             "/proc/sys/user/max_user_namespaces /proc/sys/vm/overcommit_memory /proc/irq/0 "
             "/sys/kernel/uevent_helper /sys/kernel/mm/ksm/run /sys/fs/cgroup/cgroup.procs "
             "/proc/1/oom_score_adj /proc/1/mem /proc/1/uid_map /proc/self/uid_map "
             "/proc/self/gid_map /proc/self/setgroups /proc/self/projid_map /proc/1/attr/current")
    result = t.run(t.probe("files"), "write", *paths.split())
    return succeeded(result, "write:", "chmod:", "unlink:")


def masked(t):
    """C9: what /proc and /sys tell about the host."""
    paths = ("/proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/kmsg /proc/kallsyms "
             "/proc/key-users /proc/latency_stats /proc/interrupts "
             "/proc/kpagecount /proc/slabinfo /proc/vmallocinfo /proc/mtrr /proc/1/environ "
             "/proc/irq/default_smp_affinity /proc/bus/input/devices /proc/driver/rtc /proc/fs/jbd2 "
             "/proc/scsi/scsi /proc/sysvipc/shm /proc/acpi/wakeup "
             "/sys/firmware/dmi/tables/DMI /sys/kernel/debug /sys/class/dmi/id/product_uuid "
             "/sys/kernel/security/lsm /sys/kernel/notes")
    result = t.run(t.probe("files"), "peek", *paths.split())
    return [line for line in succeeded(result) if "sysvipc" not in line]


def system_files(t):
    """C12: the programs and libraries of the host stay as they are."""
    places = ("/usr", "/usr/bin", "/usr/lib", "/etc")
    paths = [f"{p}/atoll-probe-new" for p in places]
    if not t.sandboxed:
        return succeeded(t.run(t.probe("files"), "write", str(t.workspace / "new")), "create:")
    result = t.run(t.probe("files"), "write", *paths)
    return [f"{name}: {word}" for name, word in result.probes().items()
            if name.startswith("create:") and name.split(":")[1].startswith("/usr") and
            word != ("EROFS" if t.tier == "container" else "EACCES")]


def connections(t):
    """C20, F1, F4, F5: listeners of the host and addresses of elsewhere, refused at once."""
    arguments = t.canaries.addresses()
    if t.sandboxed:
        for address in METADATA:
            arguments += ["tcp", address]
    result = t.run(t.probe("connect"), *arguments)
    # A datagram is accepted by the sandbox's own kernel; whether it arrived is seen outside.
    return [line for line in succeeded(result, "tcp", "unix", "abstract", "slow")]


SHARED = """
mount --make-rprivate / && mount --bind '{0}' '{0}' && mount --make-rshared '{0}' &&
    cd '{0}' && chmod 755 . && mkdir -p work/below && chmod 777 work && cd work || exit 1
count() {{ grep -c ' {0}' /proc/self/mountinfo; }}
before=$(count)
{1} &
until [ -e ready ]; do kill -0 $! 2>/dev/null || break; sleep 0.02; done
mount -t tmpfs none below && touch below/late go
wait $!
status=$?
echo "mounts $(($(count) - before))"
exit $status
"""


def shared_mounts(t):
    """C11: a host that shares its mounts, as with systemd: later ones stay outside, ours inside.

    No tmpfs around the workspace: before 6.3 its owners cannot be translated."""
    shared = t.base / "shared"
    shared.mkdir()
    command = ["/bin/sh", "-c", "touch ready; until [ -e go ]; do sleep 0.02; done; ls below"]
    if t.sandboxed:
        command = t.atoll.arguments(command, [
            "--quiet", "--workspace", f"{shared}/work:direct", "--read", str(shared)])
    script = SHARED.format(shared, " ".join(f"'{word}'" for word in command))
    result = runner.capture(["/usr/bin/unshare", "-m", "/bin/sh", "-c", script],
                            env=t.atoll.environment())
    t.results.append(t.atoll.finish(result) if t.sandboxed else result)
    if "mounts" not in result.out:
        raise NoOutcome(str(result))
    through = ["what was mounted later is inside"] if "late" in result.out else []
    return through + ([] if "mounts 1\n" in result.out else ["a mount of the sandbox is outside"])


def shared_memory(t):
    """System V IPC belongs to the sandbox. Whatever else is made of it meanwhile would count."""
    place = os.open(runner.PROBES, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        return shared_memory_alone(t)
    finally:
        os.close(place)


def shared_memory_alone(t):
    result = t.run("/usr/bin/ipcmk", "--shmem", "64", "--queue", quiet=True)
    made = re.findall(r"id: (\d+)", result.out)
    if not t.sandboxed:
        for flag, number in zip(("--shmem-id", "--queue-id"), made):
            runner.capture(["/usr/bin/ipcrm", flag, number])
        return [f"made {n}" for n in made]
    through = [line for line in t.world.changes(1) if line.startswith("System V")]
    for line in through:
        kind, number = line.split()[-2:]
        runner.capture(["/usr/bin/ipcrm", {"shm": "--shmem-id", "msg": "--queue-id"}[kind], number])
    return through


def crowd(t):
    """E1: more processes than the limit allows."""
    result = t.run(t.probe("storm"), "herd", options=("--processes", "32"))
    return succeeded(result)


def memory(t):
    """E2: more memory than the limit allows, each in another disguise."""
    through = []
    for kind in ("anonymous", "undumpable", "leaderless", "memfd"):
        result = t.run(t.probe("hog"), kind, "192", quiet=True,
                       options=("--memory", "64MiB", "--wall", "20s"))
        # The sampler says of itself that a memfd which nobody maps escapes it.
        if kind != "memfd" or result.mechanism("memory") != "sampler":
            through += [f"{kind}: {line}" for line in succeeded(result)]
    return through


# Writes until the size is reached, once past the page cache and once through it, and times itself.
WRITER = """
import json, mmap, os, sys, time
size, rate = int(sys.argv[1]), int(sys.argv[2])
block = mmap.mmap(-1, 1 << 20)
block.write(os.urandom(1 << 20))
for kind, flags in ("direct", os.O_DIRECT), ("through the cache", 0):
    f = os.open("written", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, 0o600)
    begin = time.monotonic()
    for _ in range(size >> 20):
        os.write(f, block)
    os.fsync(f)
    seconds = time.monotonic() - begin
    os.close(f)
    os.unlink("written")
    print(json.dumps({"probe": f"{kind}: faster than the limit", "seconds": round(seconds, 2),
                      "errno": "OK" if seconds < size / rate * 0.8 else "HELD"}), flush=True)
"""


def bandwidth(t):
    """E4: written faster than the limit allows."""
    if "io" not in (runner.text_of("/sys/fs/cgroup/cgroup.controllers") or "").split():
        pytest.skip("this host has no cgroup v2 controllers")
    (t.workspace / "write.py").write_text(WRITER)
    rate, size = 2 << 20, 8 << 20
    return succeeded(t.run("/usr/bin/python3", "write.py", str(size), str(rate), options=(
        "--workspace", f"{t.workspace}:direct", "--io", f"{rate}/s", "--wall", "10m")))


def outgrow(t):
    """A copy that holds more than it may, where the kernel is to hold it."""
    script = ("head -c 25165824 /dev/zero >big; [ $(stat -c %s big) -lt 25165824 ] && word=ENOSPC || word=OK;"
              """ echo "{\\"probe\\": \\"a copy of 24 MiB\\", \\"errno\\": \\"$word\\"}" """)
    return succeeded(t.run("/bin/sh", "-c", script, options=("--limits", "group", "--copy", "16MiB", "--workspace",
                                                             f"{t.workspace}:copy")))


def program_starts(t):
    """H: a program that is executed and is not in the record."""
    word = '{"probe": "echo", "errno": "OK"}'
    result = t.run("/bin/sh", "-c", f"/bin/echo '{word}'; true")
    record = t.atoll.home / "trail" / f"{result.document['sandbox']}.jsonl"
    seen = [e["data"]["argv"] for e in trail.read(record) if e["event"] == "program"]
    return [] if ["/bin/echo", word] in seen else ["/bin/echo"]


CHECKS = [
    Check("B1-descriptors", descriptors, {"close_fds": REFUSED, "close_fds+receipt_compare": "red"},
          process={"close_fds": REFUSED, "close_fds+receipt_compare": "red"}, guarded={}),
    Check("B-environment", environment, {"environ": REFUSED, "environ+receipt_compare": "red"},
          process={"environ": REFUSED, "environ+receipt_compare": "red"}, guarded={}),
    Check("B6-striking", striking, {}, process={}, guarded={"broker_tree": "red"}),
    Check("B7-visible-processes", visible_processes, {
        "pidns": REFUSED}, process={"landlock+receipt_compare": "red"}, guarded={}),
    Check("B8-survivors", survivors, {}, process={}, guarded={}),
    Check("B8-orphans", orphans, {
        "pdeathsig": "held by the end of file on init's socket",
        "keeper_eof": "held by the parent-death signal",
        "pdeathsig+keeper_eof": "red"},
        process={"pdeathsig": "held by the end of file on init's socket",
                 "keeper_eof": "held by the parent-death signal",
                 "pdeathsig+keeper_eof": "red"},
        guarded={"keeper_eof": "red"}),
    Check("C8-kernel-settings", kernel_settings, {}, process={}, guarded={}),
    Check("C9-masked", masked, {"mask_proc": REFUSED, "mask_proc+receipt_compare": "red"},
          process={"landlock+receipt_compare": "red"}, guarded={}),
    Check("C12-system-files", system_files, {
        "ro_usr": REFUSED,
        "landlock": REFUSED,
        "landlock+receipt_compare": "held by the read-only mounts",
        "landlock+ro_usr+receipt_compare": "red"}, process={"landlock": REFUSED}, guarded={}),
    Check("F4-connections", connections, {
        "netns": REFUSED, "netns+receipt_compare": "red"},
        process={"seccomp+receipt_compare": "red"}, guarded={}),
    Check("C11-shared-mounts", shared_mounts, {
        "propagation": (REFUSED, None), "propagation+receipt_compare": ("red", None)}, root=True),
    Check("C-shared-memory", shared_memory, {
        "ipcns": REFUSED, "ipcns+receipt_compare": "red"},
        process={"seccomp+receipt_compare": "red"}, guarded={}),
    Check("E1-crowd", crowd, {}, process={}, guarded={}),
    Check("E4-io", bandwidth, {"io": REFUSED, "io+receipt_compare": "red"}, root=True),
    Check("E-copy-size", outgrow, {"copy_size": REFUSED, "copy_size+receipt_compare": "red"}, root=True),
    Check("H-program-starts", program_starts, {"starts": "red"}, control=False, process={"starts": "red"}, guarded={"starts": "red"}),
    Check("E2-memory", memory, {"cgroup": (REFUSED, None)}, process={}, guarded={}),
]
