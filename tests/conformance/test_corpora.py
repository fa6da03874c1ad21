"""The collections: what has a key is opened, and every verdict is OpenSSL's or explained."""

from functools import cache
from pathlib import Path

import pytest

from smime_proxy.cms.decrypt import matches
from smime_proxy.cms.errors import CmsError
from smime_proxy.cms.structures import content_kind, parse_enveloped_data
from smime_proxy.message.errors import MessageError
from smime_proxy.message.parse import parse
from smime_proxy.smime.bare_cms import find_cms
from smime_proxy.smime.classify import cms_octets
from tests.conformance.compare import problems
from tests.conformance.document import BEGIN, DOCUMENT, END, Run, run, tables, written
from tests.conformance.facts import read_facts
from tests.conformance.key_files import listed, present
from tests.peers import corpora

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]

MAX_FILE = 2_000_000  # octets; larger files are archives
NO_MAIL = {"data"}  # a CMS type in which nothing is protected


@cache
def done() -> Run:
    """Run once for all tests."""
    return run(corpora("smime"))


def octets(path: Path) -> bytes:
    """Give the CMS object of a file, be it a message or the object itself, DER or PEM."""
    raw = path.read_bytes()
    return find_cms(raw) or cms_octets(parse(raw))


def is_protected(path: Path) -> bool:
    """Tell whether a file is a CMS object with a layer of S/MIME."""
    try:
        return content_kind(octets(path)) not in NO_MAIL
    except (CmsError, MessageError):
        return False


def test_nothing_differs_without_an_explanation_and_nothing_is_explained_in_vain() -> None:
    assert list(problems(done().findings, done().explanations)) == []


def test_what_stays_closed_names_none_of_the_keys_offered() -> None:
    closed = [one for one in done().explanations if one.closed]
    assert closed
    for explanation in closed:
        enveloped = parse_enveloped_data(octets(corpora("smime") / explanation.file))
        assert matches(enveloped, done().ring.keys) == (), explanation.file


def test_no_cms_file_of_the_collections_is_left_out() -> None:
    root = corpora("smime")
    files = {fact.file for fact in read_facts(root)}
    left_out = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.stat().st_size < MAX_FILE and is_protected(path)
    ]
    assert set(left_out) - files == set()
    assert len(left_out) > 50


def test_every_key_file_is_listed_and_imported_or_refused_for_its_reason() -> None:
    assert {one.file for one in listed()} == present(corpora("smime"))
    refused = {one.file: one.refused for one in listed()}
    assert {one.file: found for one, found in done().key_files} == refused
    assert [one.file for one in listed() if bool(one.why) != bool(one.refused)] == []


def test_the_document_says_what_the_run_gives() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document.count(BEGIN) == document.count(END) == 1
    assert document == written(document, tables(done())), "python -m tests.conformance --write"
