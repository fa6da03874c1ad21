"""The comparison itself: it notices what it is there to notice."""

import pytest

from tests.conformance.compare import Explanation, Finding, problems
from tests.conformance.facts import Fact

FACT = Fact("corpus/file.eml", "1", "signed-data")
SAME = Finding(FACT, "integrity", "intact", "intact")
DIFFERENT = Finding(FACT, "integrity", "broken", "unknown")
CLOSED = Finding(FACT, "content", "not opened", "not opened")


def explained(finding: Finding, ours: str = "") -> Explanation:
    return Explanation(*finding.key, ours or finding.ours, "because")


def test_what_agrees_needs_no_word() -> None:
    assert list(problems([SAME], [])) == []


@pytest.mark.parametrize("finding", [DIFFERENT, CLOSED])
def test_a_difference_and_a_closed_ciphertext_need_an_explanation(finding: Finding) -> None:
    assert "not explained" in "".join(problems([finding], []))
    assert list(problems([finding], [explained(finding)])) == []


def test_an_explanation_holds_for_one_answer_only() -> None:
    assert "explained for broken" in "".join(
        problems([DIFFERENT], [explained(DIFFERENT, "broken")])
    )


def test_an_explanation_nobody_needs_is_a_problem() -> None:
    assert "not needed" in "".join(problems([SAME], [explained(SAME)]))


def test_two_explanations_of_one_thing_are_a_problem() -> None:
    assert "twice" in "".join(problems([DIFFERENT], [explained(DIFFERENT)] * 2))


@pytest.mark.parametrize(
    ("theirs", "ours", "agrees"),
    [
        ("trusted", "trusted", True),
        ("untrusted", "expired", True),
        ("untrusted", "trusted", False),
        ("trusted", "expired", False),
    ],
)
def test_of_chains_it_counts_whether_they_are_trusted(theirs: str, ours: str, agrees: bool) -> None:
    assert Finding(FACT, "chain now", theirs, ours).agrees is agrees
