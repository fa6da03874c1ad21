"""PKITS: every case is as NIST expects or explained, and docs/pkits.md says so."""

from functools import cache

import pytest

from tests.peers import corpora
from tests.pkits.cases import cases, sections
from tests.pkits.document import BEGIN, DOCUMENT, END, problems, tables, written
from tests.pkits.suite import Outcome, run

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]

PATHS = 223  # end entities of the suite: 224 tests, one of which shares its path with another


@cache
def done() -> tuple[Outcome, ...]:
    """Run once for all tests."""
    return run(corpora("certificates", "pkits", "PKITS"))


def test_every_difference_is_explained() -> None:
    assert problems(done()) == []


def test_no_explanation_is_stale() -> None:
    explained = {one.case.name for one in done() if one.explanation}
    assert explained == {one.case.name for one in done() if not one.agrees}


def test_nothing_that_must_fail_passes() -> None:
    assert [one.case.title for one in done() if one.valid and not one.case.valid] == []


def test_every_section_has_its_cases() -> None:
    assert len({one.case.name for one in done()}) == PATHS
    assert {one.case.section for one in done()} == set(sections())


def test_the_document_says_what_comes_out() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert written(text, tables(done())) == text
    assert BEGIN in text
    assert END in text


def test_a_case_is_told_by_its_name() -> None:
    names = ["ValidPolicyMappingTest1EE", "GoodCACert", "InvalidRevokedEETest3EE"]
    found = [(case.section, case.asked, case.valid) for case in cases(names)]
    assert found == [
        ("4.4", "", False),
        ("4.10", "", True),
        ("4.10", "policies 1", True),
        ("4.10", "policies 2", False),
        ("4.10", "mapping inhibited", False),
    ]
