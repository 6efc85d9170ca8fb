#!/usr/bin/env python3
"""Puts the tables of the comparisons with peers, results/*/*.md with a .json beside, between the markers of README.md.

    python readme_tables.py [--check]     --check: exit 1 when README.md is not up to date
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
README = HERE.parent / "README.md"
BEGIN = "<!-- results: made by profiling/readme_tables.py -->\n"
END = "<!-- /results -->"


def main():
    text = README.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    compared = [path for path in sorted(HERE.glob("results/*/*.md")) if path.with_suffix(".json").exists()]
    tables = [path.read_text().replace("# ", "### ", 1) for path in compared]
    made = before + BEGIN + "\n" + "\n".join(tables) + "\n" + END + after
    if "--check" in sys.argv and made != text:
        sys.exit("README.md is older than profiling/results: run profiling/readme_tables.py")
    README.write_text(made)


if __name__ == "__main__":
    main()
