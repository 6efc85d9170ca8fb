#!/usr/bin/env python3
"""Puts what users ask about, the tables of results/*/ named below, between the markers of README.md.

    python readme_tables.py [--check]     --check: exit 1 when README.md is not up to date
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN = "<!-- results: made by profiling/readme_tables.py -->\n"
END = "<!-- /results -->"
TABLES = ("clip-*.md", "preprocess.md", "serve-*.md")


def main():
    text = README.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    files = sorted(path for name in TABLES for path in HERE.glob("results/*/" + name))
    tables = [path.read_text().replace("# ", "### ", 1) for path in files]
    made = before + BEGIN + "\n" + "\n".join(tables) + "\n" + END + after
    if "--check" not in sys.argv:
        README.write_text(made)
    elif made != text:
        sys.exit("README.md is older than profiling/results: run profiling/readme_tables.py")


if __name__ == "__main__":
    main()
