# SPDX-License-Identifier: Apache-2.0
"""Just enough of C to count lines and branches and to find variables; shared by the checkers."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M)


def _blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_only(text):
    """The text with comments, literals and directives blanked; every line keeps its number."""
    return DIRECTIVE.sub(_blank, TOKEN.sub(_blank, text))


def blocks(code):
    """Yields (start, end) of the top-level {...} blocks of blanked code."""
    depth = start = 0
    for match in re.finditer(r"[{}]", code):
        if match.group() == "{":
            if depth == 0:
                start = match.start()
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                yield start, match.end()


def functions(code):
    """Yields (name, line, lines, body) of each function definition in blanked code."""
    for start, end in blocks(code):
        before = code[:start].rstrip()
        if not before.endswith(")"):
            continue
        depth, i = 0, len(before) - 1
        while i >= 0:
            depth += {")": 1, "(": -1}.get(before[i], 0)
            if depth == 0:
                break
            i -= 1
        name = re.search(r"(\w+)\s*$", before[:i])
        if name:
            yield (name.group(1), code.count("\n", 0, name.start(1)) + 1,
                   code.count("\n", name.start(1), end) + 1, code[start:end])


def tracked(*patterns):
    """The files under version control that match, as paths relative to the root."""
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
                         cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [p for p in map(pathlib.Path, out.splitlines()) if (ROOT / p).is_file()]


def report(name, problems, seen):
    """Prints the problems; returns the exit status. Having looked at nothing is a failure too."""
    for problem in problems:
        print(problem)
    if not seen:
        print(f"{name}: looked at no file")
    return 1 if problems or not seen else 0
