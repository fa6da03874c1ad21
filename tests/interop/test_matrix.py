"""The product of algorithms with every peer, both ways, cell by cell as docs/interop.md has it."""

import pytest

from tests.interop import document
from tests.interop.algorithms import Row
from tests.interop.bouncycastle import BouncyCastle
from tests.interop.document import COLUMNS, PEERS
from tests.interop.gpgsm import Gpgsm
from tests.interop.matrix import Variant, Way, cell, declines_others, rows
from tests.interop.nss import Nss
from tests.interop.openssl import OpenSsl
from tests.interop.peer import Peer
from tests.interop.unsupported import as_measured, reasons_for

pytestmark = pytest.mark.interop

FIXTURES = {
    "OpenSSL": "openssl",
    "gpgsm": "gpgsm",
    "NSS": "nss",
    "Bouncy Castle": "bouncycastle",
}


@pytest.fixture
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.getfixturevalue(FIXTURES[request.param])
    return found


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.label)
@pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
@pytest.mark.parametrize("peer", PEERS, indirect=True)
def test_a_cell_is_as_documented(peer: Peer, way: Way, row: Row[Variant]) -> None:
    """`make interop` writes the document anew."""
    found = cell(row, peer, way)
    assert found.failures == ()
    if as_measured(peer):
        column = COLUMNS.index((peer.name, way))
        assert document.text(found) == document.committed(row)[column]


def test_what_is_declined_of_ours_is_declined_of_others(
    openssl: OpenSsl, gpgsm: Gpgsm, nss: Nss, bouncycastle: BouncyCastle
) -> None:
    """So that no defect of ours hides behind what a peer is said not to have."""
    found: dict[bool | None, set[tuple[str, str]]] = {}
    for peer in (openssl, gpgsm, nss):
        writers = [writer for writer in (openssl, bouncycastle) if writer is not peer]
        for variant in (variant for row in rows() for variant in row.variants):
            if as_measured(peer) and reasons_for(peer.name, Way.OURS.value, variant):
                same = declines_others(variant, peer, writers)
                found.setdefault(same, set()).add((peer.name, str(variant)))
    assert not found.get(False), found[False]
    assert len(found[True]) > 40


def test_the_document_has_every_row_once_and_no_other() -> None:
    labels = [row.label for row in rows()]
    assert len(set(labels)) == len(labels)
    for row in rows():
        assert len(document.committed(row)) == len(COLUMNS), row.label
    lines = document.DOCUMENT.read_text(encoding="utf-8").splitlines()
    wide = [line for line in lines if line.count("|") == len(COLUMNS) + 2]
    sections = {row.section for row in rows()}
    assert len(wide) == len(labels) + 2 * len(sections)


def test_no_cell_of_the_document_is_empty_or_fails() -> None:
    cells = [text for row in rows() for text in document.committed(row)]
    assert all(cells)
    assert not [text for text in cells if "FAIL" in text]
