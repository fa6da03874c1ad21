"""Takes the service away from the layouts for a while, with the retries their files have.

    python -m tests.deploy.postfix --seconds 60 [LAYOUT ...]

docs/outages.md has what came of it. It wants root.
"""

import argparse
import tempfile
from pathlib import Path

from tests.deploy.postfix.building import postfix_house, settle
from tests.deploy.postfix.layout import LAYOUTS
from tests.deploy.postfix.outage import HEADING, away
from tests.e2e.conftest import make
from tests.tls_files import make_tls_files


def main() -> None:
    """Print a line for each layout."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.postfix")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--messages", type=int, default=60)
    parser.add_argument("--flush", action="store_true", help="have Postfix try all at once then")
    parser.add_argument("layouts", nargs="*", metavar="LAYOUT", default=LAYOUTS)
    told = parser.parse_args()
    print(HEADING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "made").mkdir()
        made = settle(folder / "settled", make(folder / "made"))
        tls = make_tls_files(folder)
        for layout in told.layouts:
            with postfix_house(layout, folder / layout, made, tls, times={}) as house:
                result = away(house, told.seconds, told.messages, flush=told.flush)
                print(result, flush=True)


if __name__ == "__main__":
    main()
