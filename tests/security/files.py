# SPDX-License-Identifier: Apache-2.0
"""A14 and what Landlock does not know: files outside, of the payload's own user."""
import os
import re
import shutil
import subprocess
import time

from harness import runner
from harness.arms import REFUSED, Check, NoOutcome
from security.kernel import FILTERED

SHUT = FILTERED | {"EACCES", "EXDEV", "ENOTDIR", "EOPNOTSUPP", "EAFNOSUPPORT", "ESRCH", "EROFS",
                   "ENOENT", "ENOTTY"}


def outside(t):
    """A directory that belongs to whoever the payload is outside, and everybody may write to."""
    place = t.base / "of-the-user"
    (place / "empty").mkdir(parents=True)
    (place / "full").mkdir()
    (place / "full/file").write_text("kept")
    (place / "victim").write_text("kept as it is")
    shutil.copy("/bin/true", place / "program")
    for path in [place, *place.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    (place / "program").chmod(0o755)
    return place


def content(path):
    if path.is_file():
        return path.read_bytes(), os.listxattr(path)
    return sorted(os.listdir(path)) if path.is_dir() else None


def picture(place):
    """Everything that can be seen of a tree, but the time of the last look."""
    seen = {}
    for path in [place, *sorted(place.rglob("*"))]:
        st = path.lstat()
        seen[path.name] = (st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns,
                           st.st_nlink, content(path))
    return seen


def changed(place, before):
    after = picture(place)
    return [f"{name} changed" for name in {**before, **after} if before.get(name) != after.get(name)]


def writable(t):
    """Where the payload may write: its workspace, if it may have one to itself at this tier."""
    if not t.sandboxed or t.tier == "container" or os.geteuid() != 0:
        return str(t.workspace), ("--workspace", f"{t.workspace}:direct")
    return "$TMPDIR", ()


def rights(t):
    """A14: one attempt for each right of any ABI."""
    place = outside(t)
    own, options = writable(t)
    before = picture(place)
    name = t.canaries.token("an abstract name")
    result = t.run("/bin/sh", "-c", f"{t.probe('rights')} '{place}' \"{own}\" {name} "
                   f"{t.canaries.process.pid}", options=options)
    through = [f"{probe}: {word}" for probe, word in result.probes().items()
               if word not in SHUT | {"ECONNREFUSED"} and probe != "mine"]
    if not t.refused() and "mine" not in result.probes():
        through.append("the probe did not come to its end")
    return through + changed(place, before)


def metadata(t):
    """Mode, owner, times, length, attributes and watches, by every kind of name and descriptor."""
    place = outside(t)
    own, options = writable(t)
    before = picture(place)
    probe = t.probe("metadata")
    shown = ("--read", str(place / "full"))
    result = t.run("/bin/sh", "-c", f"{probe} each '{place}/victim' \"{own}/link\";"
                   f"{probe} each '{place}/full/file' \"{own}/link\"", options=(*options, *shown))
    # What is shown may be watched.
    through = [f"{name}: {word}" for name, word in result.probes().items()
               if word not in SHUT and not name.endswith((":watch", "link:lchown"))]
    return through + changed(place, before)


def metadata_race(t):
    """The same while another thread changes the name that is judged: in memory, and as a link."""
    place = outside(t)
    own, options = writable(t)
    before = picture(place)
    result = t.run("/bin/sh", "-c", f"touch \"{own}/good\"; {t.probe('metadata')} race "
                   f"\"{own}/good\" '{place}/victim' \"{own}/link\" 5000", options=options)
    done = [int(name.split(":")[1]) for name in result.probes() if name.startswith("done:")]
    if not t.refused() and (not done or done[0] == 0):
        return ["nothing was ever done: the race proves nothing"]
    return changed(place, before)


def original_files(t):
    """The same where the copy is one of every file."""
    return original(t, "--copy-by", "files")


def original(t, *options):
    """Section C: everything that can be done to a file and a name, in a copy; the original stays."""
    place = t.workspace / "tree"
    (place / "full").mkdir(parents=True)
    (place / "full/file").write_text("kept")
    (place / "gone").mkdir()
    (place / "victim").write_text("kept as it is")
    os.link(place / "victim", place / "second-name")
    (place / "link").symlink_to("victim")
    before = picture(place)
    t.run("/bin/sh", "-c", """
        cd tree
        try() { "$@" 2>/dev/null && e=OK || e=EROFS; echo "{\\"probe\\": \\"$1 $2\\", \\"errno\\": \\"$e\\"}"; }
        try dd if=/dev/zero of=victim bs=9 count=1 conv=notrunc
        try truncate -s 1 second-name
        try chmod 700 full/file
        try touch -d 2001-01-01 victim
        try rmdir gone
        try ln victim third
        try mv full/file moved
        try rm -rf full
        try ln -sfn /etc link
        try mkdir full
        try cp /bin/true full/file
        """, options=("--workspace", f"{t.workspace}:copy", *options))
    t.atoll.tool("discard", *t.atoll.tool("ps", "--kept", "--quiet").out.split())
    return changed(place, before)


def original_more(t):
    """The same where the directory is a further one."""
    empty = t.workspace.parent / "empty"
    empty.mkdir()
    return original(t, "--workspace", f"{empty}:read-only", "--copy-of", t.workspace)


TRY = """
try() { "$@" >/dev/null 2>&1 && e=OK || e=EACCES; echo "{\\"probe\\": \\"$*\\", \\"errno\\": \\"$e\\"}"; }
"""


def deny(*rules):
    return [word for rule in rules for word in ("--deny", rule)]


def apply_everything(t):
    """What somebody does who takes over all there is, hazards or not, at once and path by path."""
    if not t.sandboxed:
        return
    for sandbox in t.atoll.tool("ps", "--kept", "--quiet").out.split():
        paths = t.atoll.tool("diff", "--name-only", sandbox).out.splitlines()
        allowed = [f"--allow-hazard={path}" for path in paths]
        t.atoll.tool("apply", "--keep", *allowed, sandbox)
        for path in reversed(paths):
            t.atoll.tool("apply", "--keep", *allowed, sandbox, path)
        t.atoll.tool("discard", sandbox)


def denied_later(t):
    """C3: a denied path that does not exist at the start is made later: file, directory, link."""
    (t.workspace / "dir").mkdir()
    names = ["file", "dir/settings.json", "hooks", "hooks/pre-commit", "link"]
    t.run("/bin/sh", "-c", TRY + """
        try sh -c 'echo planted >file'
        try sh -c 'echo planted >dir/settings.json'
        try mkdir hooks
        try cp /bin/true hooks/pre-commit
        try ln -s /etc/passwd link
        """, options=("--workspace", f"{t.workspace}:copy",
                      *deny("file", "dir/settings.json", "hooks/", "**/link", "link")))
    apply_everything(t)
    return [f"{name} was made" for name in names if os.path.lexists(t.workspace / name)]


def denied_above(t):
    """C4: what is above a denied path is renamed, replaced, emptied, put back, and the path written."""
    token = os.urandom(16).hex()
    place = t.workspace / "tree"
    (place / "dir/deep").mkdir(parents=True)
    for name in ("dir/secret", "dir/deep/secret"):
        (place / name).write_text(token)
    (place / "dir/open").write_text("open")
    time.sleep(0.05)  # or an apply takes them for what was changed meanwhile
    result = t.run("/bin/sh", "-c", TRY + """
        cd tree; grep -rh . . 2>/dev/null
        try mv dir away; grep -rh . . 2>/dev/null
        try mkdir dir
        try sh -c 'echo planted >dir/secret'
        try mv away back
        try rm -rf dir
        try mv back dir; grep -rh . . 2>/dev/null
        try sh -c 'echo planted >dir/deep/secret; echo planted >dir/secret'
        try rm -f dir/secret dir/deep/secret; grep -rh . . 2>/dev/null
        try rm -rf dir
        """, options=("--workspace", f"{t.workspace}:copy", *deny("**/secret")))
    apply_everything(t)
    through = ["it was read"] if token in result.out else []
    return through + [f"{name} is not as it was" for name in ("dir/secret", "dir/deep/secret")
                      if not (place / name).is_file() or (place / name).read_text() != token]


def denied_spelled(t):
    """C5: one name, denied by every spelling of it, under every spelling that a host might have."""
    names = ["geh\u00e9im", "gehe\u0301im", "GEH\u00c9IM", "Gehe\u0301Im", "geh\u00e9im."]
    rules = ["geh\u00e9im", "gehe\u0301im/", "GEH\u00c9IM", "**/geh\u00e9im", "[g]eh?[i]m", "g*\u00c9im"]
    token = os.urandom(16).hex()
    through = []
    for i, name in enumerate(names):
        (t.workspace / name).write_text(token + str(i))
    for mode in ("copy", "read-only"):
        for rule in rules:
            result = t.run("/bin/sh", "-c", TRY + "cat geh* GEH* Geh* 2>/dev/null; try test -e end",
                           options=("--workspace", f"{t.workspace}:{mode}",
                                    *sum((deny(r) for r in ("zz", rule, "aa")), [])))
            through += [f"{names[i]!r} by {rule!r}" for i in range(len(names)) if token + str(i) in result.out]
    return through


DIRECTORIES, ROUNDS = 100, 20  # of them; the races of 100,000 rounds are unit tests
CARELESS = """
for d in d*; do [ -L $d ] || cat $d/f; done
for d in d*; do [ -L $d ] || echo more >>$d/f; done
"""


class Swapped:
    """Directories of a tree that turn into links out of it, and back, as fast as a program can do it."""

    def __init__(self, t):
        self.tree, self.links, self.outside = t.base / "tree", t.base / "links", t.base / "beside"
        self.token = t.canaries.token("a file behind a link")
        for path in (self.tree, self.links, self.outside):
            path.mkdir()
        (self.outside / "f").write_text(self.token + "\n")
        for i in range(DIRECTORIES):
            (self.tree / f"d{i}").mkdir()
            (self.tree / f"d{i}/f").write_text("text\n")
            (self.links / f"d{i}").symlink_to(self.outside)
        self.before = picture(self.outside)

    def __enter__(self):
        self.process = subprocess.Popen([runner.PROBES / "probe-swapper", self.tree, self.links, str(DIRECTORIES)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.swaps = int(self.process.communicate()[0])

    def through(self, shown):
        return (["what lies behind a link was shown"] if self.token in shown else []) + \
            changed(self.outside, self.before)


def swapped(t):
    """C2: links in the place of directories while a copy is looked at and taken over."""
    place, met = Swapped(t), {"directory": 0, "link": 0, "done": 0, "refused": 0}
    if not t.sandboxed:
        with place:
            shown = "".join(runner.capture(["/bin/sh", "-c", CARELESS], cwd=place.tree).out for _ in range(ROUNDS))
        return place.through(shown)
    t.run("/bin/sh", "-c", "for d in d*; do echo more >>$d/f; done", quiet=True, cwd=place.tree,
          options=("--workspace", f"{place.tree}:copy"))
    [sandbox] = t.atoll.tool("ps", "--kept", "--quiet").out.split()
    shown = ""
    with place:
        for _ in range(ROUNDS):
            result = t.atoll.tool("diff", "--patch", sandbox)
            shown += result.out
            found = len(re.findall(r"^--- a/d\d+/f$", result.out, re.M))
            met["directory"] += found
            met["link"] += DIRECTORIES - found
        for i in range(DIRECTORIES):
            done = t.atoll.tool("apply", "--keep", sandbox, f"d{i}/f")
            met["done" if done.status == 0 else "refused"] += 1
            while "was interrupted" in t.atoll.tool("diff", "--name-only", sandbox).err:
                t.atoll.tool("apply", "--undo", sandbox)
    t.atoll.tool("discard", sandbox)
    if place.swaps < 1000 or 0 in met.values():
        raise NoOutcome(f"{place.swaps} exchanges, {met}: the race proves nothing")
    return place.through(shown)


CHECKS = [
    Check("C2-swapped", swapped, {"follow_links": "red"}),
    Check("C3-denied-later", denied_later, {"deny_changes": "red"}),
    Check("C4-denied-above", denied_above, {"deny": REFUSED, "deny+receipt_compare": "red", "deny_changes": "red"}),
    Check("C5-denied-spelled", denied_spelled, {"deny": REFUSED, "deny+receipt_compare": "red",
                                                "deny_fold": "red"}),
    Check("C-original", original, {"copy": REFUSED, "copy+receipt_compare": "red"}),
    Check("C-original-more", original_more, {"copy": REFUSED, "copy+receipt_compare": "red"}, control=False),
    Check("C-original-files", original_files, {"copy": REFUSED, "copy+receipt_compare": "red"}, control=False),
    Check("A14-rights", rights, container=False, process={"landlock": REFUSED, "landlock+receipt_compare": "red"},
          guarded={}),
    Check("C-metadata", metadata, container=False, process={"broker_places": "red"}, guarded={}),
    Check("C-metadata-race", metadata_race, container=False,
          process={"broker_places": ("held by a user id that owns nothing", "red"),
                   "broker_places+broker_fsuid": "red"}, guarded={}),
]
