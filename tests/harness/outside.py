# SPDX-License-Identifier: Apache-2.0
"""A host of the test's own, with an Internet behind it (internet.py): namespaces that whoever runs the tests may make."""
import json
import os
import pathlib
import subprocess
import time

from harness import runner

HERE = pathlib.Path(__file__).parent
OWN = "11.22.33.1"  # the host's address on its only link
NEAR = "11.22.33.2"  # where its name server is

SETUP = f"""
set -e
exec 3<&0
ip link set lo up
mount --bind "$1" /etc/resolv.conf
[ -z "$4" ] || mount --bind "$4" /etc/hosts
python3 -B "{HERE}/internet.py" $$ "$2" "$3" <&3 &
while ! ip link show outer >/dev/null 2>&1; do sleep 0.02; done
ip address add {OWN}/24 dev outer
ip link set outer up
ip route add default via {NEAR}
exec cat >/dev/null
"""


def certificates(base, *names):
    """A CA, and a certificate for these names, in a directory of their own."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=base, check=True, capture_output=True)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", f"/CN={names[0]}")
    (base / "more").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
    openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            "cert.pem", "-days", "2", "-extfile", "more")
    for name in os.listdir(base):
        (base / name).chmod(0o644)
    return base


class Outside:
    """What is tried from inside of it leaves by one link, and at its other end everything is written down."""

    def __init__(self, atoll, names=None, serve=None, hosts=None, run=None):
        self.atoll = atoll
        base = atoll.base / "outside"
        base.mkdir()
        self.path = base / "log"
        (base / "resolv.conf").write_text(f"nameserver {NEAR}\n")
        known = base / "hosts"
        known.write_text(hosts or "127.0.0.1 localhost\n")
        user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
        config = json.dumps({"names": names or {}, "serve": serve or {}, "run": run or {}})
        self.process = subprocess.Popen(
            ["unshare", *user, "--net", "--mount", "--propagation", "private", "/bin/sh", "-c", SETUP, "sh",
             str(base / "resolv.conf"), config, str(self.path), str(known)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"
        assert runner.eventually(lambda: b"default" in subprocess.run(
            [*self.enter(), "ip", "route"], capture_output=True, check=False).stdout, 20)

    def enter(self):
        pid = self.process.pid
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "--target", str(pid), *user, "--net", "--mount"]

    def run(self, *command, options=(), env=None, **how):
        argv = [*self.enter(), *self.atoll.arguments(command, ("--workspace", ":none", *options))]
        result = runner.capture(argv, env=self.atoll.environment(env), cwd=self.atoll.workspace, **how)
        return self.atoll.finish(result)

    def shell(self, script, *allow, options=(), **how):
        words = [word for one in allow for word in ("--allow", one)]
        return self.run("/bin/bash", "-c", script, options=(*words, *options), **how)

    def start(self, *command, options=()):
        argv = [*self.enter(), *self.atoll.arguments(command, ("--workspace", ":none", *options))]
        process = subprocess.Popen([str(a) for a in argv], env=self.atoll.environment(), cwd=self.atoll.workspace,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.atoll.started.append(process)
        return process

    def tool(self, *arguments, **how):
        return runner.capture([*self.enter(), self.atoll.binary, *arguments], env=self.atoll.environment(),
                              cwd=self.atoll.workspace, **how)

    def log(self):
        time.sleep(0.05)  # what was sent has arrived; who serves it is another process
        text = runner.text_of(self.path) or ""
        return [json.loads(line) for line in text.splitlines()]

    def asked(self):
        return sorted({line["asked"] for line in self.log() if "asked" in line})

    def accepted(self):
        return [line["accepted"] for line in self.log() if "accepted" in line]

    def events(self, result, *kinds):
        path = self.atoll.home / "trail" / f"{result.document['sandbox']}.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        return [e["data"] for e in events if e["event"] in kinds]

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
