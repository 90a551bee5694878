# SPDX-License-Identifier: Apache-2.0
"""Control groups of version 1 that root gives away, so that an ordinary user's sandboxes have limits of the kernel's."""
import contextlib
import os
import pathlib
import uuid

from . import runner

CONTROLLERS = ("memory", "pids", "cpu", "cpuacct", "freezer")


def own_group(controller):
    """Our own group in the hierarchy of a controller; None: it is not mounted."""
    mounts = runner.text_of("/proc/self/mountinfo").splitlines()
    place = next((line.split()[4] for line in mounts if " - cgroup " in line
                  and controller in line.split()[-1].split(",")), None)
    path = next((line.split(":")[2] for line in runner.text_of("/proc/self/cgroup").splitlines()
                 if controller in line.split(":")[1].split(",")), None)
    return pathlib.Path(f"{place}{path}") if place and path else None


def missing():
    """The first controller that cannot be given away here."""
    return next((name for name in CONTROLLERS if own_group(name) is None), None)


@contextlib.contextmanager
def given_to(user):
    """What goes before a command, which then runs as `user` (a passwd entry) in groups of its own."""
    made = list(dict.fromkeys(own_group(name) / f"atoll-test-{uuid.uuid4().hex[:12]}" for name in CONTROLLERS))
    for group in made:
        group.mkdir()
        for path in (group, *group.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    join = "; ".join(f"echo $$ >{group}/tasks" for group in made)
    try:
        yield ("/bin/sh", "-c", f"{join}; exec setpriv --reuid {user.pw_uid} --regid {user.pw_gid} --clear-groups "
               '"$@"', "sh")
    finally:
        for group in made:
            assert runner.eventually(lambda path=group: remove(path)), f"{group} is still in use"


def remove(group):
    try:
        group.rmdir()
    except OSError:
        return False
    return True
