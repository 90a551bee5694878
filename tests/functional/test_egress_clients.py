# SPDX-License-Identifier: Apache-2.0
"""Egress by name with programs that know nothing of it, to servers that are real ones where there are any."""
import base64
import glob
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile

import pytest

from harness import outside, runner

GOOD = "11.22.40.1"
NAMES = ("web.example", "db.example", "cache.example", "git.example", "registry.example", "index.example")
PG = max(glob.glob("/usr/lib/postgresql/*/bin"), default="/usr/lib/postgresql/bin")
# As a user that is not root, where we are: PostgreSQL runs as nothing else.
OTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
HTTP = "GET /{} HTTP/1.1 for web.example: 0\n"


@pytest.fixture(scope="session")
def ca(tmp_path_factory):
    return outside.certificates(tmp_path_factory.mktemp("ca"), *NAMES)


@pytest.fixture
def make_outside(atoll, world):
    made = []

    def make(serve=None, run=None):
        made.append(outside.Outside(atoll, {name: [GOOD] for name in NAMES} | {"ttl": 30}, serve, run=run))
        return made[-1]
    yield make
    for one in made:
        one.end()


@pytest.fixture
def web(base, ca, make_outside):
    """Files of a directory, and what webserver.py has besides, with TLS and without."""
    files = base / "web"
    files.mkdir()

    def make():
        server = ["python3", "-B", str(outside.HERE / "webserver.py"), GOOD]
        return make_outside(run={f"{GOOD}:443": [*server, "443", str(files), str(ca / "cert.pem"), str(ca / "key.pem")],
                                 f"{GOOD}:80": [*server, "80", str(files)]})
    make.files = files
    return make


# Who has closed a connection with TLS answers the other one's last alert with a reset.
LATE = ("closed", "reset")


def ends(out, result, *expected, how=("closed",)):
    """Every connection was what is said here (host, rule), and ended by itself, or with the payload; nothing was refused."""
    found = out.events(result, "connection")
    assert {(c["host"], c["rule"]) for c in found} == set(expected), (found, result)
    assert {c["end"] for c in found} <= {*how, "stopped"}, [(c["port"], c["end"], c["bytes_up"], c["bytes_down"]) for c in found]
    assert result.document["denials"] == []
    return found


# ---- databases ----

@pytest.fixture
def postgres(base, ca, need_program):
    """The command of a server with TLS and a password."""
    need_program(f"{PG}/initdb")
    data, key = base / "db", base / "db.key"
    data.mkdir()
    (base / "password").write_text("a password\n")
    shutil.copy(ca / "key.pem", key)
    key.chmod(0o600)
    if OTHER:
        for path in data, key:
            os.chown(path, 65534, 65534)
    subprocess.run([*OTHER, f"{PG}/initdb", "-D", data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", base / "password", "-N",
                    "--no-locale", "-E", "UTF8"], cwd=base, check=True, capture_output=True)
    with open(data / "pg_hba.conf", "w") as hba:
        hba.write("host all all 0.0.0.0/0 scram-sha-256\n")
    settings = {"ssl": "on", "ssl_cert_file": ca / "cert.pem", "ssl_key_file": key, "dynamic_shared_memory_type": "mmap",
                "unix_socket_directories": "", "listen_addresses": GOOD, "fsync": "off", "shared_buffers": "16MB"}
    if OTHER:  # the directory of the session is root's alone
        shutil.copy(ca / "cert.pem", base / "db.pem")
        settings["ssl_cert_file"] = base / "db.pem"
    return [*OTHER, f"{PG}/postgres", "-D", str(data), *(w for k, v in settings.items() for w in ("-c", f"{k}={v}"))]


PSQL = f"{PG}/psql -X -q -At -v ON_ERROR_STOP=1"
TABLE = 200000


def test_postgresql(make_outside, postgres, ca):
    """A query, some MiB each way, and TLS that begins inside of its protocol: the rule for port 5432 holds nothing against it."""
    out = make_outside(run={f"{GOOD}:5432": postgres})
    rows = "".join(f"{i}|{hashlib.md5(str(i).encode()).hexdigest()}\n" for i in range(TABLE))
    script = f"""
export PGHOST=db.example PGUSER=postgres PGPASSWORD='a password' PGSSLMODE=disable
{PSQL} -c 'select 6 * 7' -c 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
{PSQL} -c 'select i, md5(i::text) from generate_series(0, {TABLE - 1}) i' >/tmp/rows && sha256sum </tmp/rows
{PSQL} -c 'create table t (i int, m text)' -c "\\copy t from /tmp/rows delimiter '|'" \\
  -c "select count(*), sum((m = md5(i::text))::int) from t"
export PGSSLROOTCERT={ca}/ca.pem
PGSSLMODE=verify-full {PSQL} -c 'select ssl, version from pg_stat_ssl where pid = pg_backend_pid()' -c 'table t' | sha256sum
PGSSLMODE=require {PSQL} -c 'select ssl from pg_stat_ssl where pid = pg_backend_pid()'
PGPASSWORD=another {PSQL} -c 'select 1' 2>&1 | grep -o 'password authentication failed'
"""
    result = out.shell(script, "db.example:5432", options=("--read", ca))

    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest() + "  -"
    assert result.out.splitlines() == [
        "42", "f", digest(rows), f"{TABLE}|{TABLE}", digest("t|TLSv1.3\n" + rows), "t", "password authentication failed"], result
    found = ends(out, result, ("db.example", "db.example:5432"), how=LATE)
    assert {c["end"] for c in found[:3]} == {"closed"}
    assert {(c["port"], c["address"]) for c in found} == {(5432, f"{GOOD}:5432")} and len(found) == 6
    assert sum(c["bytes_down"] > len(rows) for c in found) == 2 and sum(c["bytes_up"] > len(rows) for c in found) == 1


def test_redis(make_outside, base, need_program):
    """A value, many commands at once, and some MiB."""
    server = [need_program("redis-server"), "--bind", GOOD, "--protected-mode", "no", "--save", "", "--dir", str(base)]
    out = make_outside(run={f"{GOOD}:6379": server})
    script = """
redis() { redis-cli -h cache.example "$@"; }
redis set a 'b c'; redis get a
seq 20000 | sed 's/.*/SET key:& value:&/' | redis --pipe | tail -1
redis dbsize; redis get key:12345
head -c 8000000 /dev/urandom >/tmp/big; redis -x set big </tmp/big; redis --raw get big | head -c 8000000 | cmp - /tmp/big && echo same
"""
    result = out.shell(script, "cache.example:6379")
    assert result.out.splitlines() == ["OK", "b c", "errors: 0, replies: 20000", "20001", "value:12345", "OK", "same"], result
    found = ends(out, result, ("cache.example", "cache.example:6379"))
    assert len(found) == 7 and max(c["bytes_up"] for c in found) > 8000000 < max(c["bytes_down"] for c in found)


# ---- programs that are compiled ----

GO = """
package main

import ("crypto/tls"; "crypto/x509"; "fmt"; "io"; "net"; "net/http"; "os")

func check(e error) {
	if e != nil {
		fmt.Println(e)
		os.Exit(1)
	}
}

func main() {
	pem, e := os.ReadFile(os.Args[1])
	check(e)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: pool}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	for _, url := range []string{"https://web.example/a", "https://web.example/b", "http://web.example/c"} {
		r, e := client.Get(url)
		check(e)
		io.Copy(os.Stdout, r.Body)
		r.Body.Close()
	}
	c, e := net.Dial("tcp", "web.example:7")
	check(e)
	fmt.Fprint(c, "over tcp\\n")
	check(c.(*net.TCPConn).CloseWrite())
	io.Copy(os.Stdout, c)
	_, e = net.LookupHost("other.example")
	fmt.Println(e.(*net.DNSError).IsNotFound)
}
"""


@pytest.fixture(scope="session")
def go_clients(tmp_path_factory):
    """One that asks for names by itself, and one that has the C library ask."""
    base = tmp_path_factory.mktemp("go")
    (base / "client.go").write_text(GO)
    env = {"PATH": os.environ["PATH"], "HOME": str(base), "GOCACHE": str(base / "cache"), "GO111MODULE": "off"}
    for name, cgo in ("static", "0"), ("cgo", "1"):
        subprocess.run(["go", "build", "-o", base / name, base / "client.go"], env={**env, "CGO_ENABLED": cgo}, check=True)
    return base


def served(ca):
    return {f"{GOOD}:443": f"tls:{ca}/cert.pem:{ca}/key.pem", f"{GOOD}:80": "http", f"{GOOD}:7": "echo"}


WEB = ("web.example", "web.example:80", "web.example:7")
WEB_RULES = {("web.example", rule) for rule in ("web.example:443", "web.example:80", "web.example:7")}


@pytest.mark.parametrize("program, resolver", [("static", "go"), ("cgo", "go"), ("cgo", "cgo")])
def test_go(make_outside, ca, need_program, request, program, resolver):
    """Its own resolver, and the C library's; the connection for two requests; what is no name is none at once."""
    need_program("go")
    clients = request.getfixturevalue("go_clients")
    out = make_outside(served(ca))
    words = [w for rule in WEB for w in ("--allow", rule)]
    result = out.run(clients / program, ca / "ca.pem", options=(
        *words, "--read", ca, "--read", clients, "--env", f"GODEBUG=netdns={resolver}"))
    assert result.out == HTTP.format("a") + HTTP.format("b") + HTTP.format("c") + "over tcp\ntrue\n", result
    [denial] = result.document["denials"]
    assert (denial["code"], denial["what"]) == ("network.name", "other.example")
    found = out.events(result, "connection")
    assert {(c["host"], c["rule"]) for c in found} == WEB_RULES and len(found) == 3
    assert [c["tls"] for c in found if c["port"] == 443] == ["1.3"]


JAVA = """
import java.io.*;
import java.net.*;
import java.net.http.*;

public class Client {
    public static void main(String[] words) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (String url : new String[] {"https://web.example/a", "https://web.example/b"}) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
            System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
        HttpRequest clear = HttpRequest.newBuilder(URI.create("http://web.example/c")).build();
        HttpClient old = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        System.out.print(old.send(clear, HttpResponse.BodyHandlers.ofString()).body());
        HttpResponse<String> upgrade = client.send(clear, HttpResponse.BodyHandlers.ofString());
        System.out.println(upgrade.statusCode() + upgrade.body().replaceAll("(?s).*(network.[a-z]+).*", " $1"));
        try (Socket s = new Socket("web.example", 7)) {
            s.getOutputStream().write("over tcp\\n".getBytes());
            s.shutdownOutput();
            s.getInputStream().transferTo(System.out);
        }
        try {
            new Socket("other.example", 7);
        } catch (UnknownHostException e) {
            System.out.println("unknown: " + e.getMessage());
        }
    }
}
"""
ECJ = "/usr/share/java/eclipse-jdt-core.jar"  # needs no more than the runtime environment


@pytest.fixture(scope="session")
def java_client(tmp_path_factory, ca):
    base = tmp_path_factory.mktemp("java")
    (base / "Client.java").write_text(JAVA)
    quick = ("-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")  # and nothing of it in /tmp
    compiler = ("-cp", ECJ, "org.eclipse.jdt.internal.compiler.batch.Main", "-proc:none", "-nowarn", "-17")
    for command in (["java", *quick, *compiler, "Client.java"],
                    ["keytool", *(f"-J{word}" for word in quick), "-importcert", "-noprompt", "-file", ca / "ca.pem", "-keystore", "trust",
                     "-storepass", "changeit"]):
        subprocess.run(command, cwd=base, check=True, capture_output=True)
    return base


def test_java(make_outside, ca, need_program, request):
    """Its sockets are IPv6 ones that hold IPv4 addresses. A client that asks for HTTP/2 in the clear is told that it may not."""
    need_program("java")
    if not os.path.exists(ECJ):
        pytest.skip("needs libeclipse-jdt-core-java to be installed")
    client = request.getfixturevalue("java_client")
    out = make_outside(served(ca))
    words = [w for rule in WEB for w in ("--allow", rule)]
    trust = (f"-Djavax.net.ssl.trustStore={client}/trust", "-Djavax.net.ssl.trustStorePassword=changeit")
    result = out.run("java", "-XX:TieredStopAtLevel=1", *trust, "-cp", client, "Client",
                     options=(*words, "--read", client))
    served_three = "".join(map(HTTP.format, "abc"))
    assert result.out == served_three + "403 network.protocol\nover tcp\nunknown: other.example\n", str(result)
    assert [(d["code"], d["what"]) for d in result.document["denials"]] == [
        ("network.protocol", "web.example:80"), ("network.name", "other.example")]
    assert {(c["host"], c["rule"]) for c in out.events(result, "connection")} == WEB_RULES


# ---- what fetches packages and sources ----

def tarball(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def npm_package(files, name, said, needs=()):
    """One version of a package, as a registry has it."""
    about = {"name": name, "version": "1.0.0", "main": "index.js", "dependencies": {n: "^1.0.0" for n in needs}}
    data = tarball({"package.json": json.dumps(about).encode(), "index.js": said.encode(), "blob": os.urandom(1000000)})
    (files / f"{name}.tgz").write_bytes(data)
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    about["dist"] = {"tarball": f"https://registry.example/{name}.tgz", "integrity": integrity}
    (files / name).write_text(json.dumps({"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": about}}))


def test_npm(web, ca, need_program):
    need_program("npm")
    npm_package(web.files, "the-package", "module.exports = require('another-one') + ' and the package'", ["another-one"])
    npm_package(web.files, "another-one", "module.exports = 'another one'")
    out = web()
    script = (f"mkdir /tmp/p && cd /tmp/p && npm install --registry https://registry.example/ --cafile {ca}/ca.pem the-package >&2 && "
              "node -p 'require(\"the-package\")'")
    result = out.shell(script, "registry.example", options=("--read", ca))
    assert result.out == "another one and the package\n", result
    found = ends(out, result, ("registry.example", "registry.example:443"), how=LATE)
    assert sum(c["bytes_down"] for c in found) > 2000000


def wheel(files, name, code, needs=()):
    """One version of a package in a simple index (PEP 503)."""
    about = f"{name}-1.0.dist-info"
    content = {f"{name}.py": code, f"{about}/METADATA": "".join([f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
                                                                   *(f"Requires-Dist: {n}\n" for n in needs)]),
               f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    content[f"{about}/RECORD"] = "".join(f"{n},,\n" for n in content)
    place = files / "simple" / name
    place.mkdir(parents=True)
    with zipfile.ZipFile(place / f"{name}-1.0-py3-none-any.whl", "w") as packed:
        for path, text in content.items():
            packed.writestr(path, text)
    digest = hashlib.sha256((place / f"{name}-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    (place / "index.html").write_text(f'<a href="{name}-1.0-py3-none-any.whl#sha256={digest}">{name}-1.0-py3-none-any.whl</a>')


INDEXES = {"https": "index.example", "http": "index.example:80"}


@pytest.mark.parametrize("scheme", INDEXES)
def test_pip(web, ca, scheme):
    """With TLS, and in the clear, where each request is looked at."""
    if not os.path.exists("/usr/bin/pip3"):
        pytest.skip("needs pip3 to be installed")
    wheel(web.files, "thepackage", "import anotherone\nprint(anotherone.said + ' and the package')\n", ["anotherone"])
    wheel(web.files, "anotherone", "said = 'another one'\n")
    out = web()
    script = (f"/usr/bin/pip3 install --index-url {scheme}://index.example/simple/ --trusted-host index.example --cert {ca}/ca.pem "
              "--target /tmp/t thepackage >&2 && PYTHONPATH=/tmp/t /usr/bin/python3 -c 'import thepackage'")
    result = out.shell(script, INDEXES[scheme], options=("--read", ca))
    assert result.out == "another one and the package\n", result
    ends(out, result, ("index.example", INDEXES[scheme] + (":443" if scheme == "https" else "")),
         how=LATE if scheme == "https" else ("closed",))


def repository(files):
    """Bare, with some MiB in it, for both ways in which git asks for it."""
    place = files / "git" / "repo.git"

    def git(*words, cwd=files):
        return subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@y.example", *words], cwd=cwd, check=True,
                              stdout=subprocess.PIPE, env=runner.command_environment({"HOME": str(files)})).stdout
    git("init", "-q", "-b", "main", "work")
    work = files / "work"
    (work / "blob").write_bytes(os.urandom(4000000))
    for i in range(200):
        (work / f"file{i}").write_text(f"{i}\n")
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "first", cwd=work)
    git("clone", "-q", "--bare", work, place)
    git("config", "http.receivepack", "true", cwd=place)
    git("update-server-info", cwd=place)
    (files / "dumb.git").symlink_to(place)
    return lambda *words: git(*words, cwd=place).decode().strip()


GITS = {
    # what is asked of the server, and how large a body may be before it goes in chunks
    "smart": ("https://git.example/git/repo.git", "git.example", 1048576),
    "dumb": ("https://git.example/dumb.git", "git.example", None),
    "clear": ("http://git.example/git/repo.git", "git.example:80", 1048576),
    "chunks": ("http://git.example/git/repo.git", "git.example:80", 65536),
}


@pytest.mark.parametrize("kind", GITS)
def test_git(web, ca, kind):
    """A clone, and a push of what was made inside, with TLS and in the clear."""
    url, rule, post = GITS[kind]
    git = repository(web.files)
    first = git("rev-parse", "main")
    out = web()
    push = ("head -c 500000 /dev/urandom >new && git add . && git commit -q -m second && "
            f"git -c http.postBuffer={post} push -q origin main && git rev-parse main && git fetch -q && "
            "git status -sb | head -1") if post else "true"
    script = (f"export GIT_SSL_CAINFO={ca}/ca.pem GIT_AUTHOR_NAME=x GIT_COMMITTER_NAME=x EMAIL=x@y.example; "
              f"git clone -q {url} /tmp/r && cd /tmp/r && git rev-parse HEAD && git fsck --strict 2>&1 && {push}")
    result = out.shell(script, rule, options=("--read", ca))
    lines = result.out.splitlines()
    assert lines[:1] == [first] and result.status == 0, result
    if post:
        assert lines[-2:] == [git("rev-parse", "main"), "## main...origin/main"] and lines[-2] != first, result
    found = ends(out, result, ("git.example", rule if ":" in rule else rule + ":443"), how=("closed",) if ":" in rule else LATE)
    assert sum(c["bytes_down"] for c in found) > 4000000
    assert not post or sum(c["bytes_up"] for c in found) > 500000


REQUESTS = """
import hashlib, os, requests, sys
s = requests.Session()
s.verify = sys.argv[1]
body = os.urandom(3000000)
told = f"{len(body)} {hashlib.sha256(body).hexdigest()}\\n"
for scheme in "https", "http":
    r = s.get(f"{scheme}://web.example/a.txt")
    print(scheme, r.status_code, hashlib.sha256(r.content).hexdigest())
    print(s.post(f"{scheme}://web.example/x", data=body).text == told)
    print(s.put(f"{scheme}://web.example/x", data=(body[i:i + 70000] for i in range(0, len(body), 70000))).text == told)
try:
    s.get("https://other.example/")
except requests.ConnectionError:
    print("no other")
"""


def test_requests(web, ca):
    """Files, bodies of a known length and in chunks, on one connection of each kind."""
    if subprocess.run(["/usr/bin/python3", "-c", "import requests"], capture_output=True, check=False).returncode:
        pytest.skip("needs python3-requests to be installed")
    data = os.urandom(2000000)
    (web.files / "a.txt").write_bytes(data)
    out = web()
    result = out.run("/usr/bin/python3", "-c", REQUESTS, ca / "ca.pem", options=(
        "--read", ca, "--allow", "web.example", "--allow", "web.example:80"))
    digest = hashlib.sha256(data).hexdigest()
    assert result.out.splitlines() == [f"https 200 {digest}", "True", "True", f"http 200 {digest}", "True", "True", "no other"], result
    found = out.events(result, "connection")
    assert sorted(c["rule"] for c in found) == ["web.example:443", "web.example:80"]
    assert all(c["bytes_up"] > 6000000 and c["bytes_down"] > 2000000 for c in found)
    assert [(d["code"], d["what"]) for d in result.document["denials"]] == [("network.name", "other.example")]


# ---- how bytes come and go ----

RESET = "s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); s.close()"
READ = """
got = b""
try:
    while data := s.recv(999): got += data
except ConnectionResetError: got += b"reset"
print(got.decode())"""

PEERS = {
    # what the payload does on its connection, who serves, what it says then, what the server has got, how the connection ends
    "a slow server": (
        "s.settimeout(5); print(b''.join(iter(lambda: s.recv(99), b'')) == bytes(range(30)))", "drip:30", "True\n", None, "closed"),
    "a slow reader": ("""
got = b""
while data := s.recv(65536):
    got += data
    time.sleep(0.02)
print(len(got), got == (bytes(range(256)) * 256 * 100)[:len(got)])""", "source:6000000", "6000000 True\n", None, "closed"),
    "the payload has said everything": (
        "s.sendall(b'x' * 5000000); s.shutdown(socket.SHUT_WR); print(json.loads(s.makefile().read())['bytes'])",
        "digest", "5000000\n", None, "closed"),
    "the server has said everything": (
        "print(s.makefile().read(), end=''); s.sendall(b'x' * 5000000)", "half", "no more from here\n", (5000000, "closed"), "closed"),
    "the server resets": ("s.sendall(b'x')" + READ, "reset", "reset\n", None, "reset"),
    "the payload resets": ("s.recv(9); " + RESET, "collect", "", (0, "reset"), "reset"),
    # Behind what was said, as without anything in between.
    "the server answers and resets": ("s.sendall(b'xx')" + READ, "enough", "no more than this\nreset\n", None, "reset"),
    "the server answers what is not read": (
        "try: s.sendall(b'x' * 9000000)\nexcept OSError: print('cut')" + READ, "enough", "cut\nno more than this\n\n", None, "reset"),
    "the payload says something and resets": ("s.recv(9); s.sendall(b'x' * 1000); " + RESET, "collect", "", (1000, "reset"), "reset"),
}


def ended(out):
    """How connections have ended, while the payload lives."""
    lines = [line for trail in (out.atoll.home / "trail").glob("*.jsonl") for line in trail.read_text().splitlines(keepends=True)]
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [e["data"] for e in events if e["event"] == "connection"]


@pytest.mark.parametrize("peer", PEERS)
def test_peers(make_outside, peer):
    """Slow ones lose nothing; a half that is closed leaves the other; a reset arrives as one, behind what was said before it."""
    code, kind, said, got, end = PEERS[peer]
    out = make_outside({f"{GOOD}:9": kind})
    program = ("import json, socket, struct, sys, time\ns = socket.create_connection(('web.example', 9), 10)\n" +
               code + "\ns.close(); sys.stdin.read()")
    process = out.start("/usr/bin/python3", "-c", program, options=("--allow", "web.example:9"))
    assert runner.eventually(lambda: process.poll() is not None or ended(out), 20)
    [c] = ended(out)
    assert (c["rule"], c["end"]) == ("web.example:9", end)
    if got:
        want = {"bytes": got[0], "sha256": hashlib.sha256(b"x" * got[0]).hexdigest(), "end": got[1]}
        assert runner.eventually(lambda: [line["got"] for line in out.log() if "got" in line]) == [want]
        assert c["bytes_up"] == got[0]
    shown, errors = process.communicate(b"", timeout=30)
    result = out.atoll.finish(runner.Result([], process.returncode, shown, errors, 0))
    assert (result.out, result.status, result.document["denials"]) == (said, 0, []), result


ALL_KINDS = {7: "echo", 9: "digest", 10: "enough", 11: "source:3000000", 12: "reset", 13: "half", 80: "http"}
ANYHOW = """
import random, socket, struct, sys, threading, time

def one(r):
    s = socket.create_connection(("web.example", r.choice(PORTS)), 20)
    s.settimeout(r.choice((0.01, 0.1, 1)))
    for _ in range(r.randrange(6)):
        try:
            r.choice((lambda: s.sendall(b"x" * r.choice((1, 1000, 300000, 3000000))), lambda: s.recv(r.choice((1, 100000))),
                      lambda: s.shutdown(socket.SHUT_WR), lambda: time.sleep(r.random() / 20),
                      lambda: s.sendall(b"GET / HTTP/1.1\\r\\nHost: web.example\\r\\n\\r\\n" * r.randrange(1, 5))))()
        except OSError:
            pass
    if r.random() < 0.5:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()

def some(seed):
    r = random.Random(seed)
    for _ in range(40):
        one(r)
threads = [threading.Thread(target=some, args=(i,)) for i in range(10)]
for t in threads: t.start()
for t in threads: t.join()
print("over", flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_peers_of_all_kinds_leave_nothing(make_outside):
    """However both ends behave, a connection that the payload has closed is over, while the payload lives on."""
    out = make_outside({f"{GOOD}:{port}": kind for port, kind in ALL_KINDS.items()})
    process = out.start("/usr/bin/python3", "-c", ANYHOW.replace("PORTS", str(list(ALL_KINDS))),
                        options=[word for port in ALL_KINDS for word in ("--allow", f"web.example:{port}")])
    assert process.stdout.readline() == b"over\n"
    assert runner.eventually(lambda: len(ended(out)) == 400, 20), len(ended(out))
    assert {c["end"] for c in ended(out)} == {"closed", "reset", "refused"}
    process.communicate(b"", timeout=30)
    assert process.returncode == 0 and len(ended(out)) == 400


GREAT = 2**32 + 12345

MOVE = """
import hashlib, json, socket
piece, size = bytes(range(256)) * 1024, SIZE
h, left = hashlib.sha256(), size
s = socket.create_connection(("web.example", 9), 10)
while left:
    s.sendall(piece[:left]); h.update(piece[:left]); left -= min(left, len(piece))
s.shutdown(socket.SHUT_WR)
print(json.loads(s.makefile().read()) == {"bytes": size, "sha256": h.hexdigest(), "end": "closed"})
s, back, n, buffer = socket.create_connection(("web.example", 10), 10), hashlib.sha256(), 0, memoryview(bytearray(262144))
while got := s.recv_into(buffer):
    back.update(buffer[:got]); n += got
print(n == size, back.digest() == h.digest())
"""


@pytest.mark.long
def test_more_than_four_gib(make_outside):
    """Each way, with a checksum; no count of it has 32 bits."""
    out = make_outside({f"{GOOD}:9": "digest", f"{GOOD}:10": f"source:{GREAT}"})
    result = out.run("/usr/bin/python3", "-c", MOVE.replace("SIZE", str(GREAT)), timeout=900 * runner.SLOW,
                     options=("--allow", "web.example:9", "--allow", "web.example:10", "--host-bytes", "9GiB"))
    assert result.out == "True\nTrue True\n", result
    found = ends(out, result, ("web.example", "web.example:9"), ("web.example", "web.example:10"))
    up, down = sorted(found, key=lambda c: -c["bytes_up"])
    assert (up["bytes_up"], down["bytes_down"], down["bytes_up"]) == (GREAT, GREAT, 0)
