# SPDX-License-Identifier: Apache-2.0
"""Every built-in profile, at every tier of this version: what it promises in each dimension, seen from
inside and in the receipt. Where a profile asks for more than the tier or the host has, it is refused."""
import json
import os
import socket

import pytest
import yaml


NAMES = ["dev-assistant", "layered", "permissive", "playground", "production-backend", "public-chat",
         "research", "strict", "trust-high", "trust-low", "trust-medium", "trust-none"]
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "ms": 1, "s": 1000, "m": 60000,
         "h": 3600000}
STANDARD = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "COLORTERM"}
# What a scratch directory of the process tier adds.
SCRATCH = {"TMPDIR", "GIT_CONFIG_NOSYSTEM"}
# Prints one object: what each attempt came to.
SCRIPT = """
import ctypes, errno, json, os, socket, subprocess, sys
outside, port = sys.argv[1], int(sys.argv[2])
def attempt(what):
    try: return what() or "ok"
    except OSError as error: return errno.errorcode.get(error.errno, "error")
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    return "ok" if libc.syscall(number, *arguments) >= 0 else errno.errorcode[ctypes.get_errno()]
seen = {"read": attempt(lambda: open("given").close()), "list": attempt(lambda: os.listdir(".") and None),
        "write": attempt(lambda: open("made", "w").close()), "outside": attempt(lambda: open(outside).close()),
        "system": attempt(lambda: open("/usr/atoll-made", "w").close()),
        "home": attempt(lambda: open(os.path.expanduser("~/x"), "w").close()),
        "scratch": attempt(lambda: open(os.environ.get("TMPDIR", "/tmp") + "/x", "w").close()),
        "network": attempt(lambda: socket.create_connection(("127.0.0.1", port), 5).close()),
        "program": attempt(lambda: subprocess.run(["/usr/bin/id"], capture_output=True) and None),
        "namespace": call(272, 0x10000000), "bpf": call(321, 0, 0, 0), "environment": sorted(os.environ)}
print(json.dumps(seen))
"""


def number(text):
    """A size in bytes, a time in milliseconds, or a plain number."""
    text = str(text)
    digits = text.rstrip("BKMGTihms")
    return int(float(digits) * UNITS[text[len(digits):]]) if text != digits else float(text)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def place(atoll):
    (atoll.workspace / "given").write_text("given")
    atoll.workspace.chmod(0o755)
    secret = atoll.base / "secret"
    secret.write_text("outside")
    secret.chmod(0o644)
    return atoll


def test_these_are_all(place):
    shown = place.tool("policy", "show", "--json")
    # What has no wall is in test_full.py.
    assert sorted(p["name"] for p in json.loads(shown.out)) == sorted([*NAMES, "trust-full"])


def document_of(place, name):
    """The profile, and below it that of its trust level."""
    def load(*words):
        return yaml.safe_load(place.tool("policy", "show", *words).out)
    own = load("--profile", name)
    base = load("--trust", own["trust"])
    merged = dict(base)
    for section, keys in own.items():
        if isinstance(keys, dict):
            merged[section] = {**base.get(section, {}), **keys}
            for key, value in keys.items():
                if isinstance(value, dict):
                    merged[section][key] = {**(base.get(section, {}).get(key) or {}), **value}
        else:
            merged[section] = keys
    return merged


def refusal(document, tier, place):
    """Words of the message when this profile cannot run here; None where it can."""
    limits, syscalls = document["execution"]["limits"], document["execution"]["syscalls"]
    if tier == "process" and syscalls == "nested":
        return "'nested' needs namespaces"
    if tier == "process" and limits["mechanism"] == "group":
        return "'group' asks for control groups alone"
    if tier == "process" and document["filesystem"]["workspace"]["mode"] == "direct" and os.geteuid() == 0:
        return "root's payload runs as a user id that owns nothing"
    group = place.run("/bin/true").mechanism("memory").startswith("cgroup")
    if limits["mechanism"] == "group" and not group:
        return "limits by control group"
    return None


@pytest.mark.parametrize("tier", ["container", "process"])
@pytest.mark.parametrize("name", NAMES)
def test_every_dimension(place, listener, world, name, tier):
    document = document_of(place, name)
    limits, mode = document["execution"]["limits"], document["filesystem"]["workspace"]["mode"]
    listed = "allow" in document["execution"]
    # Hard limits and the number of CPUs are the host's; a lower option may always tighten.
    small = ["--open-files", str(min(limits["open_files"], 256)), "--cpus", "1", "--memory", "256MiB"]
    options = ["--profile", name, "--provenance", "reviewed", "--accept-tier", tier, *small,
               *(["--allow-program", "/usr/bin/python3"] if listed else [])]
    result = place.run("/usr/bin/python3", "-c", SCRIPT, place.base / "secret",
                       str(listener.getsockname()[1]), options=options, env={"CI": "1", "STRAY": "1"})
    words = refusal(document, tier, place)
    if words:
        assert result.status == 125 and words in result.err, result
        return
    assert result.status == 0, result
    if mode == "copy" and tier == "process":
        mode = "read-only"  # and a note says so
        assert "It makes no copy of the workspace, which is read-only." in result.err
    seen = json.loads(result.out)
    # Filesystem.
    hidden = {"ENOENT", "EACCES"}
    assert seen["read"] == "ok" if mode != "none" else seen["read"] in hidden, seen
    # Without a workspace it starts in its own home.
    assert seen["write"] == "ok" if mode != "read-only" else seen["write"] in {"EROFS", "EACCES"}, seen
    assert (place.workspace / "made").exists() == (mode == "direct")
    assert seen["outside"] in hidden and seen["system"] in {"EROFS", "EACCES"}, seen
    assert seen["home"] == seen["scratch"] == "ok", seen
    # Network.
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert seen["network"] != "ok"
    # Execution.
    assert (seen["program"] == "ok") == (not listed), seen
    assert (seen["namespace"] == "ok") == (document["execution"]["syscalls"] == "nested"), seen
    assert seen["bpf"] in {"EPERM", "ENOSYS"}, seen
    assert result.receipt["seccomp"]["value"]["profile"] == document["execution"]["syscalls"]
    assert result.document["tier"] == tier
    # Data: what is declared and was there, and nothing else.
    declared = {k for k, v in document["data"]["env"].items() if not isinstance(v, dict) or k == "CI"}
    assert set(seen["environment"]) - STANDARD - SCRATCH == declared, seen
    # Time and limits, as they are armed.
    armed = {row["name"]: row["value"] for row in result.receipt["limits"]}
    for key in ("file_size", "scratch", "output", "starts"):
        assert armed[key] == number(limits[key]), key
    for key in ("wall", "idle", "cpu"):
        assert armed[f"{key}_ms"] == number(document["time"][key]), key
    assert armed["memory"] == 256 << 20 and armed["open_files"] == min(limits["open_files"], 256)


def test_denials_are_recorded_in_every_profile(place):
    for name in NAMES:
        assert document_of(place, name)["execution"]["denials"] == "record"
