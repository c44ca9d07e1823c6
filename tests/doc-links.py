#!/usr/bin/python3
"""doc-links.py [REPOSITORY]: each link of a page to another page, and to a place in it, leads somewhere."""
import re
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)\s]+)\)")


def places(page):
    """The anchors of a page, as forges make them of its headings."""
    found = []
    for heading in re.findall(r"^#+ (.*)$", page.read_text(), re.M):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found


def main(repository=Path(__file__).resolve().parent.parent):
    pages = [p for p in Path(repository).glob("**/*.md") if not {"target", "node_modules", ".git"} & set(p.parts)]
    wrong = []
    for page in pages:
        for link in LINK.findall(page.read_text()):
            if link.startswith(("http:", "https:", "mailto:")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            if not target.exists():
                wrong.append(f"{page}: there is no {link}")
            elif anchor and target.suffix == ".md" and anchor not in places(target):
                wrong.append(f"{page}: nothing in {path} is called {anchor}")
    if not pages or wrong:
        sys.exit("\n".join(wrong) or "no pages")


main(*sys.argv[1:])
