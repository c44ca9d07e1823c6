#!/usr/bin/python3
"""readme-blocks.py README.md DIRECTORY: takes the shell blocks out of a page, to be run as they stand.

A block is marked in the line before it, which no reader of the page sees:

    <!-- sh: NAME, on the host -->         run by hotplug/readme.sh
    <!-- sh: NAME, in the guest -->        run by kernel/readme.sh, as root of a machine of its own
    <!-- sh: NAME, not run: REASON -->     hotplug/readme.sh has the list of these

NAME.sh gets the block; the files `host`, `guest` and `not-run` get the names, in the order of the page. A block without a mark,
or a mark without a block, is an error: nothing is left out in silence.
"""
import re
import sys
from pathlib import Path

MARK = re.compile(r"<!-- sh: ([a-z-]+), (on the host|in the guest|not run: .+) -->$")
LISTS = {"on the host": "host", "in the guest": "guest"}


def main(page, directory):
    lines = Path(page).read_text().splitlines()
    named = {"host": [], "guest": [], "not-run": []}
    mark = None
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if line == "```sh":
            end = lines.index("```", at)
            if mark is None:
                sys.exit(f"{page}:{at}: nothing says where this block is run: {lines[at]}")
            name, where = mark
            if any(name in names for names in named.values()):
                sys.exit(f"{page}:{at}: two blocks are named {name}")
            named[LISTS.get(where, "not-run")].append(name)
            Path(directory, f"{name}.sh").write_text("\n".join(lines[at:end]) + "\n")
            at, mark = end + 1, None
        elif mark is not None:
            sys.exit(f"{page}:{at}: no block follows the mark of {mark[0]}")
        elif "<!-- sh:" in line:
            found = MARK.match(line)
            if not found:
                sys.exit(f"{page}:{at}: this mark is not understood: {line}")
            mark = found.groups()
        elif line.startswith("```") and re.match(r"```(bash|shell|console)", line):
            sys.exit(f"{page}:{at}: write ```sh, so that it is run")
    for kind, names in named.items():
        Path(directory, kind).write_text("".join(f"{name}\n" for name in names))


main(*sys.argv[1:])
