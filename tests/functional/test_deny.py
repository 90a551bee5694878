# SPDX-License-Identifier: Apache-2.0
"""What a policy denies: hidden in every place of the view, held in a copy, never taken over."""
import json
import os
import subprocess
import unicodedata

import pytest

from functional.test_copy import Copy, picture, write
from harness import runner
from harness.live import Live

SECRET = "a secret of this test\n"
NFC, NFD = (unicodedata.normalize(form, "geh\u00e9im") for form in ("NFC", "NFD"))


@pytest.fixture
def copy(atoll):
    return Copy(atoll)


def deny(*rules):
    return [word for rule in rules for word in ("--deny", str(rule))]


def look(copy, *paths):
    """Says of each path whether it is there, and what can be read of it."""
    quoted = " ".join("'%s'" % str(p).replace("'", "'\\''") for p in paths)
    return f"""for p in {quoted}; do
        if [ -e "$p" ] || [ -L "$p" ]; then echo "$p: there"; else echo "$p: absent"; fi
        cat "$p" 2>/dev/null; ls -A "$p" 2>/dev/null; done; true"""


def tree(copy):
    copy.tree()
    for name in (".env", "sub/.env", "sub/deep/.env", "secrets/key", "sub/deep/site.pem", "cert.pem"):
        write(copy.root / name, SECRET)
    return picture(copy.root)


MODES = ["copy", "read-only"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rules, hidden, seen", [
    ([".env"], [".env"], ["sub/.env", "a"]),
    (["**/.env"], [".env", "sub/.env", "sub/deep/.env"], ["sub/b", "sub/deep/c", "cert.pem"]),
    (["**/*.pem"], ["cert.pem", "sub/deep/site.pem"], ["sub/deep/.env"]),
    (["*.pem"], ["cert.pem"], ["sub/deep/site.pem"]),
    (["secrets"], ["secrets", "secrets/key"], ["sub/.env"]),
    (["secrets/**"], ["secrets/key"], ["secrets"]),
    (["sub/deep/"], ["sub/deep", "sub/deep/c"], ["sub/b"]),
    (["sub/*/c", "none", "none/below"], ["sub/deep/c", "none"], ["sub/deep/.env"]),
    (["sub/**/site.pem", "cert.pem", ".env"], ["sub/deep/site.pem", "cert.pem", ".env"], ["secrets/key"]),
])
def test_what_is_denied_is_not_there(copy, world, mode, rules, hidden, seen):
    before = tree(copy)
    results = [copy.atoll.run("/bin/sh", "-c", look(copy, *hidden, *seen) + "; find . | sort", cwd=copy.root,
                              options=("--workspace", f"{copy.root}:{mode}", *deny(*order)))
               for order in (rules, rules[::-1])]
    for result in results:
        lines = result.out.splitlines()
        assert [p for p in hidden if f"{p}: absent" not in lines] == [], result
        assert [p for p in seen if f"{p}: there" not in lines] == [], result
        assert not any(f"./{p}" in lines for p in hidden), result
        assert result.document["copy_kept"] is False and result.status == 0, result
        found = result.receipt["denied"]
        assert found["how"] == "read" and found["value"]["hidden"] >= len(rules) - 1
        assert len(found["value"]["rules"]) == len(rules)
    assert results[0].out == results[1].out
    assert picture(copy.root) == before and copy.kept() == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rule", [NFC, NFD, NFC.upper(), NFD.upper() + "/", f"**/{NFC}", "geh[Ee\u0301x]?m",
                                  "geh?im", "GEH*", "[g]eh?[i]m"])
def test_every_spelling_is_one(copy, mode, rule):
    """C5: case, Unicode form, trailing slash, pattern: one verdict for one name, however it is written."""
    copy.tree()
    names = [NFC, NFD, NFC.upper(), "GehE\u0301Im"]
    for i, name in enumerate(names):
        write(copy.root / name, SECRET)
    result = copy.atoll.run("/bin/ls", cwd=copy.root,
                            options=("--workspace", f"{copy.root}:{mode}", *deny(rule)))
    assert result.out.splitlines() == sorted(["a", "gone", "kept", "moved", "pointer", "prog.sh", "sub"])


@pytest.mark.parametrize("rule, why", [
    ("../x", "'..'"), ("a//b", "empty part"), ("~root/x", "only ~/"), ("**", "all there is"),
    ("a**", "stands alone"), ("[!a]", "what is not"), ("[a", "no ']'"), ("a\\*", "quotes nothing"),
    ("/usr", "hides all of it"), ("/", "all there is"), ("/proc/self", "of its own"), ("/tmp/\x01", "control"),
])
def test_other_spellings_are_errors(copy, rule, why):
    copy.tree()
    result = copy.run("true", *deny(rule))
    assert result.status == 125 and why in result.err and "--deny" in result.err, result
    write(copy.atoll.base / "p.yaml", f"version: 1\nfilesystem:\n  deny: [{json.dumps(rule)}]\n")
    result = copy.atoll.tool("policy", "check", str(copy.atoll.base / "p.yaml"))
    if rule != "/usr":
        assert result.status == 125 and "p.yaml:3:10: " in result.err and why in result.err, result


def test_rules_only_add_up(copy):
    """A lower layer adds, and takes nothing away; the plan and the explanation say what is denied."""
    tree(copy)
    write(copy.atoll.base / "template.yaml", "version: 1\nfilesystem: {deny: [.env]}\n")
    write(copy.atoll.base / "p.yaml", "version: 1\nfilesystem: {deny: []}\n")
    layers = ("--template", str(copy.atoll.base / "template.yaml"), "--policy", str(copy.atoll.base / "p.yaml"))
    result = copy.run(look(copy, ".env", "cert.pem"), *layers, *deny("*.pem"))
    assert result.out == ".env: absent\ncert.pem: absent\n", result
    options = (*layers, *deny("*.pem"), "--workspace", f"{copy.root}:copy")
    plan = json.loads(copy.atoll.tool("run", *options, "--plan-only", "--", "true").out)
    assert plan["deny"] == [f"{copy.root}/.env", f"{copy.root}/*.pem"]
    assert any("'*.pem'" in note and "one walk" in note for note in plan["notes"])
    assert not any("'.env'" in note for note in plan["notes"])
    write(copy.atoll.base / "p.yaml", "version: 1\nfilesystem: {deny: ['**/.env', key]}\n")
    said = copy.atoll.tool("policy", "explain", str(copy.atoll.base / "p.yaml")).out
    assert "**/.env, key" in said and "stays hidden where nothing is there yet" in said
    assert "made later under such a name" in said.replace("what the host makes later", "made later")


# ---- in a copy: what the payload makes there is its own, and stays there ----

@pytest.mark.asan
def test_what_is_made_at_a_denied_name_stays_in_the_copy(copy, world):
    """C3: a path that does not exist at the start, made later as a file, a directory, a link."""
    before = tree(copy)
    result = copy.run("""set -e
        echo mine >.env; mkdir -p absent/dir; echo mine >absent/dir/file; ln -s /etc/passwd link
        cat .env absent/dir/file; echo fine >fine; echo mine >secrets/key; echo x >sub/new""",
                      *deny("**/.env", "absent", "link", "secrets/key"))
    assert result.status == 0 and result.out == "mine\nmine\n", result
    assert picture(copy.root) == before
    found = copy.changes()
    denied = {".env", "absent", "absent/dir", "absent/dir/file", "link", "secrets/key"}
    assert {p for p, c in found.items() if any(h["code"] == "denied-path" for h in c["hazards"])} == denied
    assert set(found) == denied | {"fine", "sub/new"}
    assert all(found[p]["kind"] == "added" and found[p]["before"] is None for p in denied)
    assert SECRET.strip() not in copy.tool("diff", "--patch").out
    for words in ((), (".env",), ("--allow-hazard=.env", ".env"), ("absent",), ("secrets/key", "fine")):
        refused = copy.tool("apply", *words)
        assert refused.status != 0 and "the policy denies this path" in refused.err, refused
        assert picture(copy.root) == before
    assert "nothing stands in the way" not in copy.tool("apply", "--dry-run").err
    assert copy.tool("apply", "fine", "sub/new").status == 0
    after = picture(copy.root)
    assert (copy.root / "fine").read_text() == "fine\n" and (copy.root / "sub/new").exists()
    assert {p: w for p, w in after.items() if p in before} == before
    assert set(copy.changes()) == denied  # and waits there
    assert copy.tool("discard").status == 0


def test_nothing_is_a_change_by_being_denied(copy, world):
    """Layers and directories that are made for what is hidden are no changes, nor is looking at them."""
    before = tree(copy)
    rules = deny("**/.env", "sub/deep/site.pem", "secrets", "none/at/all", "*.pem")
    assert copy.run("ls -R >/dev/null; cat sub/deep/c >/dev/null; rm -f .env sub/.env", *rules).status == 0
    assert copy.id is None and copy.state() == []
    copy.run("touch sub/deep; chmod 755 sub/deep; echo x >.env; rm .env; mkdir secrets; rmdir secrets; "
             "cat sub/deep/c >t; cat t >sub/deep/c; rm t", *rules)
    if copy.id:
        assert copy.changes() == {}
    assert picture(copy.root) == before


@pytest.mark.parametrize("script", [
    "rm -rf sub; mkdir -p sub/deep",
    "rm -rf sub; mkdir -p sub/deep; mv sub aside; mv aside sub",
    "mv sub aside; cp -a aside sub",
    "mv sub aside; mv aside sub",
    "mv sub/deep aside; mv aside sub/deep",
    "rm -rf sub/deep; mkdir sub/deep; mv sub/deep x; mkdir sub/deep; rmdir sub/deep; mv x sub/deep",
    "echo x >sub/.env; rm sub/.env; mkdir sub/.env; rmdir sub/.env; ln -s b sub/.env; rm sub/.env",
    "echo x >sub/.env; mv sub/.env y; mv y sub/.env; rm sub/.env",
    "chmod 777 sub sub/deep; touch sub sub/deep; ln -s . sub/self",
    "echo x >sub/deep/.env; ln sub/deep/.env z; rm sub/deep/.env z",
    "/usr/bin/python3 -c 'import os; os.mkdir(\"n\"); os.mkdir(\"n/deep\")\n"
    "try: os.rename(\"sub\", \"away\")\nexcept OSError: pass\n"
    "try: os.rename(\"n\", \"sub\")\nexcept OSError: pass'",
])
def test_no_way_of_moving_what_is_above_brings_it_back(copy, world, script):
    """C4: replace, empty, rename what is above a denied path, and back; then look everywhere."""
    before = tree(copy)
    result = copy.run(f"({script}) 2>/dev/null; grep -r '{SECRET.strip()}' . ; find . -name .env -type f",
                      *deny("**/.env", "*.pem", "**/site.pem", "secrets"))
    assert result.out == "", result
    assert picture(copy.root) == before
    if not copy.id:
        return
    # Whatever of it is taken over, the original keeps what the sandbox could not see.
    copy.tool("apply", *(f"--allow-hazard={p}" for p in copy.changes()))
    for path in copy.changes() if copy.id in copy.kept() else ():
        copy.tool("apply", f"--allow-hazard={path}", path)
    assert {p: w for p, w in picture(copy.root).items() if w[2] == SECRET.encode()} == \
        {p: w for p, w in before.items() if w[2] == SECRET.encode()}


@pytest.mark.parametrize("script, named", [
    ("rm -rf sub", ["sub", "sub/deep"]),
    ("mv sub elsewhere", ["sub", "sub/deep"]),
    ("rm -rf sub/deep; echo now-a-file >sub/deep", ["sub/deep"]),
    ("rm -rf sub/deep; ln -s /etc sub/deep", ["sub/deep"]),
])
def test_a_directory_that_holds_it_does_not_go(copy, world, script, named):
    """The payload could not know of it: the end of the directory is a conflict, and says why."""
    before = tree(copy)
    done = copy.run(f"set -e; {script}; echo fine >fine", *deny("**/.env"))
    assert done.status == 0, done
    assert ".env" not in str([p for p, c in copy.changes().items() if c["kind"] == "deleted"])
    refused = copy.tool("apply", *(f"--allow-hazard={p}" for p in copy.changes()))
    assert refused.status != 0 and picture(copy.root) == before, refused
    for path in named:
        assert f"{path}: conflict: it holds something that the policy hides" in refused.err, refused
    assert copy.tool("apply", "fine").status == 0 and (copy.root / "fine").exists()
    # What else was in it may go, by name.
    if "sub/deep/c" in copy.changes() and "sub/deep" not in named[:1]:
        assert copy.tool("apply", "--allow-hazard=sub/deep/c", "sub/deep/c").status == 0
        assert not (copy.root / "sub/deep/c").exists() and (copy.root / "sub/deep/.env").read_text() == SECRET


def test_nobody_is_asked_about_it(copy, world):
    tree(copy)
    copy.run("echo mine >.env; echo fine >fine", *deny(".env"))
    taken = copy.tool("apply", "--interactive", stdin=b"y\ny\ny\n")
    assert ".env" not in taken.out and taken.out.count("take it over?") == 1 and taken.status == 0, taken
    assert (copy.root / ".env").read_text() == SECRET and (copy.root / "fine").exists()


def test_an_emptied_directory_keeps_it(copy, world):
    tree(copy)
    copy.run("rm -rf sub; mkdir sub; echo new >sub/new", *deny("sub/.env", "sub/deep"))
    assert {p: c["kind"] for p, c in copy.changes().items()} == {"sub/b": "deleted", "sub/new": "added"}
    assert copy.tool("apply").status == 0
    assert sorted(os.listdir(copy.root / "sub")) == [".env", "deep", "new"]
    assert (copy.root / "sub/.env").read_text() == SECRET and (copy.root / "sub/deep/.env").exists()


# ---- other names, and links ----

@pytest.mark.parametrize("mode", MODES)
def test_other_names_and_links(copy, mode):
    tree(copy)
    os.link(copy.root / "secrets/key", copy.root / "sub/other-name")
    os.link(copy.root / ".env", copy.root / "second")
    (copy.root / "way").symlink_to("sub/deep")
    (copy.root / "to-secrets").symlink_to("secrets")
    write(copy.root / "real", SECRET)
    (copy.root / "cred").symlink_to("real")
    hidden = ["secrets", "sub/other-name", ".env", "second", "sub/deep/site.pem", "way/site.pem", "cred", "real",
              "to-secrets/key"]
    result = copy.atoll.run("/bin/sh", "-c", look(copy, *hidden) + f"; grep -r '{SECRET.strip()}' . | sort",
                            cwd=copy.root, options=("--workspace", f"{copy.root}:{mode}", *deny(
                                "secrets/", ".env", "way/site.pem", "cred")))
    lines = result.out.splitlines()
    assert lines[:len(hidden)] == [f"{p}: absent" for p in hidden], result
    assert [line.split(":")[0] for line in lines[len(hidden):]] == \
        ["./cert.pem", "./sub/.env", "./sub/deep/.env"], result


def test_a_diff_knows_what_followed_from_links(copy, world):
    """Days later no walk is done again: what was hidden by what it is, is in the note of the copy."""
    tree(copy)
    os.link(copy.root / ".env", copy.root / "second")
    odd = os.fsencode(copy.root) + b"/odd\xff[*]"
    os.link(copy.root / ".env", odd)
    before = picture(copy.root)
    copy.run("echo mine >second; echo mine >\"$(printf 'odd\\377[*]')\"; echo fine >fine", *deny(".env"))
    assert set(copy.changes()) == {"second", "odd\ufffd[*]", "fine"}
    assert all(c["before"] is None for c in copy.changes().values())
    os.unlink(copy.root / ".env")  # and with that its other names are no others any more
    refused = copy.tool("apply")
    assert refused.err.count("the policy denies this path") == 2, refused
    assert copy.tool("apply", "fine").status == 0
    assert {p: w for p, w in picture(copy.root).items() if p in before} == \
        {p: w for p, w in before.items() if p != ".env"}


def test_a_link_to_the_whole_is_refused(copy):
    tree(copy)
    (copy.root / "all").symlink_to(".")
    result = copy.run("true", *deny("al*"))
    assert result.status == 125 and "hide all of" in result.err and "name what the link leads to" in result.err
    result = copy.run("true", *deny("all"))
    assert result.status == 125 and "this rule hides all of it" in result.err


# ---- in a sandbox that lives: the host goes on working ----

@pytest.mark.parametrize("mode", MODES)
def test_the_host_makes_and_replaces_it_later(copy, mode):
    """What is denied by its path stays hidden whatever becomes of it outside, and after it was made inside."""
    tree(copy)
    box = Live(copy.atoll, "--workspace", f"{copy.root}:{mode}", *deny(".env", "absent", "late/key", "sub/.env", "directory"))
    try:
        script = look(copy, ".env", "absent", "late/key", "sub/.env")
        absent = ".env: absent\nabsent: absent\nlate/key: absent\nsub/.env: absent\n"
        assert box.shell(script, "--cwd", copy.root).out == absent
        if mode == "copy":
            made = box.shell("echo x >.env && rm .env && mkdir absent && rmdir absent && mkdir late && "
                             "echo x >late/key && rm -r late && mkdir sub/.env && rmdir sub/.env && "
                             "mkdir directory", "--cwd", copy.root)
            assert made.status == 0, made
            write(copy.root / "directory/file", SECRET)
            assert box.shell("ls directory", "--cwd", copy.root).out == ""
        for name in (".env", "absent", "late/key", "sub/.env"):
            write(copy.root / f"{name}.tmp", SECRET)
            os.rename(copy.root / f"{name}.tmp", copy.root / name)
        os.rename(copy.root / "sub", copy.root / "sub2")
        os.rename(copy.root / "sub2", copy.root / "sub")
        assert box.shell(script, "--cwd", copy.root).out == absent
        assert box.inspect()["receipt"]["denied"]["value"]["hidden"] == 5
    finally:
        copy.atoll.tool("stop", box.id)


# ---- the rest of the view ----

def test_what_else_is_shown(copy, base):
    """Further paths, the host's programs, /etc."""
    tree(copy)
    write(base / "more/open", "open\n")
    write(base / "more/deep/.env", SECRET)
    for path in (base / "more", *(base / "more").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    hidden = [base / "more/deep/.env", "/usr/bin/env", "/bin/env", "/etc/services", "/usr/share/not-there"]
    result = copy.run(look(copy, *hidden) + f"; cat {base}/more/open; ls -d /usr/bin/sort /etc/ld.so.cache",
                      "--read", str(base / "more"),
                      *deny(f"{base}/more/**/.env", "/bin/env", "/etc/services", "/usr/share/not-there"))
    assert result.out.splitlines() == [f"{p}: absent" for p in hidden] + \
        ["open", "/etc/ld.so.cache", "/usr/bin/sort"], result
    refused = copy.run("true", "--allow-program", "/bin/sh", *deny("/usr/bin/sort"), "--allow-program", "/usr/bin/sort")
    assert refused.status == 125 and "leave one of the two out" in refused.err, refused
    refused = copy.run("true", "--read", str(base / "more"), *deny(base / "more"))
    assert refused.status == 125 and "leave one of the two out" in refused.err, refused


def test_links_and_names_into_what_else_is_shown(copy, base):
    """A place that no rule meets by itself; and one in which nothing is hidden stays as it is."""
    tree(copy)
    write(base / "more/real", SECRET)
    write(base / "more/fine", "fine\n")
    os.link(copy.root / "secrets/key", base / "more/name")
    for path in (base / "more", *(base / "more").iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (copy.root / "cred").symlink_to(base / "more/real")
    result = copy.run(look(copy, base / "more/real", base / "more/name", "cred") + f"; ls {base}/more",
                      "--read", str(base / "more"), *deny("cred", "secrets"))
    assert result.out.splitlines() == [f"{base}/more/real: absent", f"{base}/more/name: absent", "cred: absent",
                                       "fine"], result
    result = copy.run(f"grep ' {base}/more ' /proc/self/mountinfo", "--read", str(base / "more"), *deny(".env"))
    assert " - overlay " not in result.out and result.status == 0, result


def test_under_home(copy, base):
    """~/ is HOME, and what a link on the way leads to is meant, too."""
    tree(copy)
    (base / "home").mkdir()
    (base / "home/project").symlink_to(copy.root)
    result = copy.run(look(copy, ".env", "sub/.env"), *deny("~/project/.env", "~/nowhere/**/x"),
                      env={"HOME": str(base / "home")})
    assert result.out.startswith(".env: absent\nsub/.env: there\n"), result


def test_what_a_rule_leads_to(copy, base):
    """The last name of a rule may be a link, too, from anywhere into what is shown; or a way that leads nowhere yet."""
    tree(copy)
    home = base / "home"
    home.mkdir()
    write(copy.root / "netrc", SECRET)
    (home / ".netrc").symlink_to(copy.root / "netrc")
    (home / "keys").symlink_to(copy.root / "secrets")
    (copy.root / "build").symlink_to("out")
    (base / "other-home").symlink_to(home)
    result = copy.run(look(copy, "netrc", "secrets", "build/secret", "a"), *deny(
        "~/.netrc", "~/keys/", "build/secret", "~/nothing/here/yet"), env={"HOME": str(base / "other-home")})
    assert result.status == 0 and SECRET.strip() not in result.out, result
    assert result.out.startswith("netrc: absent\nsecrets: absent\nbuild/secret: absent\na: there\n"), result
    direct = copy.atoll.run("/bin/cat", "netrc", cwd=copy.root, env={"HOME": str(home)},
                            options=("--workspace", f"{copy.root}:direct", *deny("~/.netrc")))
    assert direct.status == 125 and "use mode copy or read-only" in direct.err, direct


def test_a_link_behind_a_shut_door(copy, need_user):
    """What the keeper cannot look behind the payload could open in its copy: it is hidden, not forgotten."""
    tree(copy)
    (copy.root / "locked").mkdir()
    write(copy.root / "locked/real", SECRET)
    (copy.root / "cred").symlink_to("locked/real")
    (copy.root / "locked").chmod(0)
    try:
        result = copy.run("chmod 755 locked; cat locked/real cred; true", *deny("cred"))
    finally:
        (copy.root / "locked").chmod(0o755)
    assert result.status == 0 and SECRET.strip() not in result.out, result


# ---- where it cannot be held, it is refused ----

def test_direct_is_refused(copy):
    """In the original itself a payload could make what is denied, for the host to use."""
    before = tree(copy)
    for rule in ("**/.env", ".env", "not/there", f"{copy.root}/.env"):
        result = copy.atoll.run("/bin/cat", ".env", cwd=copy.root,
                                options=("--workspace", f"{copy.root}:direct", *deny(rule)))
        assert result.status == 125 and "use mode copy or read-only" in result.err and result.out == "", result
    result = copy.atoll.run("/bin/cat", ".env", cwd=copy.root, options=(
        "--workspace", f"{copy.root}:direct", *deny(copy.atoll.base / "elsewhere", "/usr/bin/env")))
    assert result.out == SECRET, result
    assert picture(copy.root) == before


def test_the_process_tier_is_refused(copy, base):
    tree(copy)
    product = runner.Atoll(base / "process", tier="process")
    for rule in (".env", "**/x", "/usr/bin/env", "/etc/ssl/certs/**", "/etc/services", "/**/passwd"):
        result = product.run("/bin/cat", ".env", cwd=copy.root,
                             options=("--workspace", f"{copy.root}:read-only", *deny(rule)))
        assert result.status == 125 and "use tier container" in result.err and result.out == "", result


def test_bounds(copy):
    tree(copy)
    result = copy.run("true", *deny(*(f"x{i}" for i in range(65))))
    assert result.status == 125 and "more than 64 rules" in result.err, result
    assert copy.run("true", *deny(*(f"x{i}" for i in range(64)))).status == 0
    for i in range(17000):
        (copy.root / f"{i}.x").touch()
    result = copy.run("true", *deny("*.x"))
    assert result.status == 125 and "hides too much" in result.err and "deny directories" in result.err, result


@pytest.mark.parametrize("shut", [0o000, 0o311, 0o444])
def test_what_may_not_be_looked_at(copy, shut):
    """In its copy a payload can open a directory of its own user; what was not searched is hidden."""
    tree(copy)
    write(copy.root / "shut/.env", SECRET)
    write(copy.root / "shut/key", SECRET)
    for rules in (["**/.env"], ["shut/.env"], ["**/s*/.e?v", "shut/nothing/there"]):
        (copy.root / "shut").chmod(shut)
        result = copy.run("chmod 755 shut 2>/dev/null; cat shut/.env; ls -A shut; true", *deny(*rules))
        (copy.root / "shut").chmod(0o755)
        assert result.status == 0 and SECRET.strip() not in result.out and ".env" not in result.out, result
        if copy.id:
            assert [p for p, c in copy.changes().items() if c["kind"] == "deleted"] == []
            copy.tool("discard")


MOUNTED = """
mount -t tmpfs tmpfs sub/mounted && echo on-it >sub/mounted/on-it && chmod 755 sub/mounted
shift; exec "$@"
"""


def test_a_mount_below(copy, need_root):
    """An overlay has no mounts below it: what they cover outside is not uncovered, but hidden."""
    tree(copy)
    write(copy.root / "sub/mounted/.env", SECRET)
    write(copy.root / "sub/mounted/under", SECRET)
    before = picture(copy.root)
    home = copy.atoll.base / "of-another"
    home.mkdir()
    os.chown(home, 65534, 65534)
    for mode in MODES:
        for user in ([], ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]):
            script = look(copy, "sub/mounted", "sub/.env") + f"; grep -r '{SECRET.strip()}' sub/mounted"
            result = runner.capture(
                ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", MOUNTED, "sh", "x", *user,
                 copy.atoll.binary, "run", "--quiet", "--workspace", f"{copy.root}:{mode}", *deny("**/.env"),
                 "--", "/bin/sh", "-c", script], cwd=copy.root,
                env=copy.atoll.environment({"ATOLL_HOME": str(home)} if user else None))
            if user or mode == "copy":
                assert result.status == 125 and "mounted below" in result.err and result.out == "", result
            elif "tmpfs from Linux 6.3" in result.err:
                assert picture(copy.root) == before and SECRET.strip() not in result.out
                pytest.skip("this kernel translates no owners on tmpfs")
            else:
                assert result.out == "sub/mounted: absent\nsub/.env: absent\n", result
    assert picture(copy.root) == before


def test_a_tree_that_another_owns(copy, need_root):
    """Where the payload is not the owner of what is above, it gets no more rights than it had."""
    tree(copy)
    write(copy.root / "theirs/open", "x\n")
    write(copy.root / "theirs/.env", SECRET)
    subprocess.run(["chown", "-R", "4321:4321", copy.root / "theirs"], check=True)
    (copy.root / "theirs").chmod(0o711)
    result = copy.run("ls theirs; cat theirs/open; echo x >theirs/new; cat theirs/.env", *deny("theirs/.env"))
    assert "Permission denied" in result.err and result.out == "x\n", result
    assert SECRET.strip() not in result.out and result.err.count("Permission denied") == 2, result
