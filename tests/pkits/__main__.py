"""Prints the tables of docs/pkits.md, or writes them there with `--write`.

Needs SMIME_CORPORA; ends with 1 when something is not explained.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

from tests.pkits.document import DOCUMENT, problems, tables, written
from tests.pkits.suite import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pkits", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.name}")
    options = parser.parse_args()
    root = os.environ.get("SMIME_CORPORA", "")
    if not root:
        parser.error("SMIME_CORPORA names no folder of mail collections")
    warnings.simplefilter("ignore")  # old certificates; the library warns of each
    outcomes = run(Path(root, "certificates", "pkits", "PKITS"))
    text = tables(outcomes)
    if options.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), text), encoding="utf-8")
    else:
        print(text)
    found = problems(outcomes)
    print("\n".join(found), file=sys.stderr, end="\n" * bool(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
