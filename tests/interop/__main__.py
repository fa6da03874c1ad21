"""`make interop`: try the whole matrix with every peer, print it, and write docs/interop.md."""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.interop import bouncycastle, document, gpgsm
from tests.interop.matrix import Cell, Way, cell, rows
from tests.interop.nss import Nss
from tests.interop.openssl import OpenSsl
from tests.interop.peer import Peer
from tests.peers import PEERS, missing

NEEDED = ("openssl", "gpgsm", "nss", "bouncycastle")


def main() -> int:
    """Run; a missing peer or a cell that fails makes it 1, and the document is left alone."""
    absent = [name for name in NEEDED if missing(PEERS[name])]
    if absent:
        print(f"the matrix needs all of its peers: {', '.join(absent)} missing", file=sys.stderr)
        return 1
    cells: dict[tuple[str, str, str, Way], Cell] = {}
    with ExitStack() as stack:
        peers = _opened(stack)
        versions = {peer.name: peer.version() for peer in peers}
        for row in rows():
            for peer in peers:
                for way in Way:
                    found = cell(row, peer, way)
                    cells[row.section, row.label, peer.name, way] = found
                    for failure in found.failures:
                        print(f"{row.label}, {peer.name}, {way.value}: {failure}", file=sys.stderr)
    page = document.written(cells, versions)
    print(page)
    if any(found.failures for found in cells.values()):
        return 1
    document.DOCUMENT.write_text(page, encoding="utf-8")
    return 0


def _opened(stack: ExitStack) -> list[Peer]:
    def folder() -> Path:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interop-")))

    return [
        OpenSsl.build(folder()),
        stack.enter_context(gpgsm.opened()),
        Nss.build(folder()),
        stack.enter_context(bouncycastle.opened(folder())),
    ]


if __name__ == "__main__":
    sys.exit(main())
