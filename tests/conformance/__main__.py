"""Prints the tables of docs/conformance.md, or writes them there with `--write`.

Needs SMIME_CORPORA; ends with 1 when something is not explained.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

from tests.conformance.compare import problems
from tests.conformance.document import DOCUMENT, run, tables, written


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.name}")
    options = parser.parse_args()
    root = os.environ.get("SMIME_CORPORA", "")
    if not root:
        parser.error("SMIME_CORPORA names no folder of mail collections")
    warnings.simplefilter("ignore")  # the certificates of others; the library warns of each
    done = run(Path(root, "smime"))
    text = tables(done)
    if options.write:
        document = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(written(document, text), encoding="utf-8")
    else:
        print(text)
    found = list(problems(done.findings, done.explanations))
    print("\n".join(found), file=sys.stderr, end="\n" * bool(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
