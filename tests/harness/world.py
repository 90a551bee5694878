# SPDX-License-Identifier: Apache-2.0
"""What the host looks like from outside, before and after: nothing may be left behind or changed."""
import os
import pwd
import re

from . import runner
from .runner import text_of

# Values that the kernel changes by itself.
VOLATILE = re.compile(r"^/proc/sys/(?:fs/(?:file-nr|inode-nr|inode-state|dentry-state|aio-nr|quota)|"
                      r"kernel/(?:random|ns_last_pid|pty/nr|tainted|perf_event_max_sample_rate|"
                      r"perf_cpu_time_max_percent)|net/netfilter/nf_conntrack_count|"
                      r"vm/stat_refresh|vm/drop_caches|vm/compact_memory|fs/binfmt_misc)")


# Other programs of the machine make files and groups too: only what can be the product's counts, or
# what a probe would leave outside. Other test runs of this project come and go.
OURS = re.compile(r"atoll|canary|probe|landlock|s-[a-z0-9]{10}")
PASSING = re.compile(r"^atoll-(?:test|report|stage|policy|first-run|bench|unit|hide|crash|host|doctor)-")
# A control group or scratch directory of a sandbox carries the sandbox's name, and so does its record.
SANDBOX = re.compile(r"/atoll-(s-[a-z0-9]+)")
# And a group that a test has made for itself.
GROUP = re.compile(r"^/sys/fs/cgroup/.*/atoll-test-[0-9a-f]{12}(?:/|$)")


def sysctls():
    found = {}
    for directory, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(directory, name)
            if not VOLATILE.match(path):
                found[path] = text_of(path)
    return found


def directories(root):
    return {d for d, _, _ in os.walk(root, onerror=lambda _: None)}


def processes():
    """{(pid, start time)} of everything that runs; a pid that is used again is another process."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        stat = text_of(f"/proc/{name}/stat")
        if stat:
            fields = stat.rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found.add((int(name), int(fields[19])))
    return found


def belongs(pid, marks):
    """True for a process that one of the marks appears in: environment, arguments, name, mounts."""
    shown = "".join(text_of(f"/proc/{pid}/{name}") or ""
                    for name in ("environ", "cmdline", "comm", "mountinfo", "cgroup"))
    return any(mark in shown for mark in marks)


def listing(path):
    try:
        return set(os.listdir(path))
    except OSError:
        return set()


def ipc(kind):
    """Numbers of System V objects, but for those of another account: of the arm that runs beside this one.
    Root's payloads are ids that no account has."""
    head, *lines = (text_of(f"/proc/sysvipc/{kind}") or "\n").splitlines() or [""]
    for line in lines:
        row = dict(zip(head.split(), line.split()))
        if int(row["cuid"]) == os.geteuid() or not is_account(int(row["cuid"])):
            yield line.split()[1]


def is_account(uid):
    try:
        pwd.getpwuid(uid)
        return True
    except KeyError:
        return False


class World:
    """A snapshot; changes() waits a moment for what is on its way out, then names the difference."""

    def __init__(self, marks):
        self.marks = [str(m) for m in marks]
        self.at = self.look()
        self.ours = processes()

    @staticmethod
    def look():
        return {
            "mounts": set((text_of("/proc/self/mountinfo") or "").splitlines()),
            "System V IPC": {f"{kind} {number}" for kind in ("shm", "msg", "sem") for number in ipc(kind)},
            "temporary files": {f"{d}/{n}" for d in ("/tmp", "/var/tmp", "/dev/shm", "/run")
                                for n in listing(d) if OURS.search(n) and not PASSING.match(n)},
            "cgroups": {d for d in directories("/sys/fs/cgroup") if OURS.search(d)},
        }

    def foreign(self, entry):
        """True for what a sandbox, or a test, of another run on this machine has there."""
        if GROUP.search(entry):
            return True
        sandbox = SANDBOX.search(entry)
        return bool(sandbox) and not any(
            sandbox.group(1) in name for mark in self.marks
            for _, directories_, names in os.walk(mark) for name in (*directories_, *names))

    def difference(self):
        now, found = self.look(), []
        for name, before in self.at.items():
            for word, entries in (("new", now[name] - before), ("gone", before - now[name])):
                found += [f"{name}: {word} {entry}" for entry in sorted(entries)
                          if not self.foreign(entry)]
        found += [f"processes: {pid} {(text_of(f'/proc/{pid}/comm') or '').strip()}"
                  for pid, start in processes() - self.ours
                  if belongs(pid, self.marks)]
        return found

    def changes(self, seconds=5.0):
        left = []

        def same():
            left[:] = self.difference()
            return not left
        runner.eventually(same, seconds)
        return left
