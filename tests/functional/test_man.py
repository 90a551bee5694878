# SPDX-License-Identifier: Apache-2.0
"""The man pages: no formatter complains, and they leave out nothing that the program has."""
import json
import re
import subprocess

import pytest

from harness import runner

# Installed in PREFIX/bin, or just built in build/src.
INSTALLED = runner.BIN.parent.parent / "share/man"
BUILT = runner.BIN.parent.parent / "man"
# Other names of commands, whose pages are links.
SAME = {"atoll-gc.1": "atoll-reap.1"}


def page_file(name):
    """The page "atoll-run.1"."""
    section = name[-1]
    return INSTALLED / f"man{section}" / name if INSTALLED.exists() else BUILT / SAME.get(name, name)


def formatted(name, *options):
    done = subprocess.run(["groff", "-man", "-ww", "-rLL=1000n", "-rHY=0", *options, page_file(name)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          timeout=runner.TIMEOUT, env=runner.command_environment({"LC_ALL": "C.UTF-8"}))
    assert (done.returncode, done.stderr) == (0, ""), name
    return done.stdout


def text_of(name):
    return formatted(name, "-Tascii", "-P-c", "-P-b", "-P-u", "-P-o")


def section_of(text, heading):
    """What stands below a heading of the second level, to the next heading."""
    return re.split(r"^(?:   )?\S.*$", re.split(rf"^   {heading}$", text, flags=re.M)[1], flags=re.M)[0]


def commands(atoll, *group):
    said = atoll.tool(*group, "--help").out
    return re.findall(r"^  ([a-z]+) +\S", said.split("examples:")[0], re.M)


def options(atoll, *command):
    found = re.findall(r"^  (--[a-z-]+(?:, -[a-z])?)(?: (\S+))?  ", atoll.tool(*command, "--help").out, re.M)
    assert ("--help, -h", "") in found
    return [" ".join(part for part in row if part) for row in found]


def keys(schema, prefix=""):
    for name, below in schema.get("properties", {}).items():
        yield prefix + name
        yield from keys(below, f"{prefix}{name}.")


@pytest.fixture
def pages(atoll, need_program):
    need_program("groff")
    return ["atoll.1", "atoll-policy.5"] + [f"atoll-{c}.1" for c in commands(atoll)]


def test_no_warning(pages):
    assert len(pages) >= 9
    for name in pages:
        formatted(name, "-Tutf8", "-z")
        headings = re.findall(r"^([A-Z][A-Z ]+)$", text_of(name), re.M)
        assert headings[0] == "NAME" and headings[-1] == "SEE ALSO", name
        assert "DESCRIPTION" in headings and ("OPTIONS" in headings or name.endswith("5")), name


def test_every_option(atoll, pages):
    assert len(options(atoll, "run")) > 25
    for command in commands(atoll):
        text = text_of(f"atoll-{command}.1")
        below = commands(atoll, command) or [""]
        for sub in below:
            words = [command, sub] if sub else [command]
            section = section_of(text, f"atoll {' '.join(words)}") if sub else text
            missing = [o for o in options(atoll, *words)
                       if not re.search(rf"^ +{re.escape(o)}$", section, re.M)]
            assert missing == [], words
            examples = atoll.tool(*words, "--help").out.split("examples:\n")[1]
            for line in examples.splitlines():
                assert line.split(" # ")[0].strip() in section


def test_every_command(atoll, pages):
    text = text_of("atoll.1")
    for command in commands(atoll):
        assert re.search(rf"^ +{command}$", text, re.M), command
    assert re.search(r"^ +--version$", text, re.M)


def test_every_key_and_profile(atoll, pages):
    text = text_of("atoll-policy.5")
    schema = json.loads(atoll.tool("policy", "schema").out)
    names = list(keys(schema))
    assert len(names) > 30
    assert [n for n in names if not re.search(rf"^ +{re.escape(n)}$", text, re.M)] == []
    trust = schema["properties"]["trust"]["enum"]
    assert [w for w in trust if not re.search(rf"^ +\S+ +{w}: ", text, re.M)] == []
    for line in atoll.tool("policy", "show").out.splitlines():
        assert line.split()[0] in text


def test_the_example_is_a_policy(atoll, pages, base):
    text = page_file("atoll-policy.5").read_text()
    document = text.split(".nf\n")[1].split("\n.fi")[0].replace("\\&", "").replace("\\-", "-")
    (base / "policy.yaml").write_text(document.split(".RS 4\n")[-1] + "\n")
    result = atoll.tool("policy", "check", base / "policy.yaml")
    assert result.status == 0, result
