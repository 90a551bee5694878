# SPDX-License-Identifier: Apache-2.0
"""A14 and what Landlock does not know: files outside, of the payload's own user."""
import os
import shutil

from harness.arms import REFUSED, Check
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


def original(t):
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
        """, options=("--workspace", f"{t.workspace}:copy"))
    t.atoll.tool("discard", *t.atoll.tool("ps", "--kept", "--quiet").out.split())
    return changed(place, before)


CHECKS = [
    Check("C-original", original, {"copy": REFUSED, "copy+receipt_compare": "red"}),
    Check("A14-rights", rights, container=False, process={"landlock": REFUSED, "landlock+receipt_compare": "red"},
          guarded={}),
    Check("C-metadata", metadata, container=False, process={"broker_places": "red"}, guarded={}),
    Check("C-metadata-race", metadata_race, container=False,
          process={"broker_places": ("held by a user id that owns nothing", "red"),
                   "broker_places+broker_fsuid": "red"}, guarded={}),
]
