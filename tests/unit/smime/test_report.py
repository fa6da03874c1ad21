"""The sum of all layers: worst first, inside before outside, one lock."""

from dataclasses import replace
from itertools import permutations

import pytest

from smime_proxy.certs.path import ChainStatus
from smime_proxy.cms.verify import Integrity
from smime_proxy.smime.classify import Protection
from smime_proxy.smime.layers import Layer
from smime_proxy.smime.report import AROUND_CIPHERTEXT, summarise
from smime_proxy.smime.verify import Signer
from tests.unit.cms import made
from tests.unit.smime.cases import clear, cms, enveloped, key, message, opaque, received

GOOD = received(message(clear())).report.layers[0].signers[0]
WORDS = {
    "pass": GOOD,
    "policy": replace(GOOD, reasons=("odd",)),
    "permerror": replace(
        GOOD, certificate=None, report=replace(GOOD.report, integrity=Integrity.UNKNOWN)
    ),
    "neutral": replace(GOOD, report=replace(GOOD.report, integrity=Integrity.UNKNOWN)),
    "fail": replace(GOOD, report=replace(GOOD.report, integrity=Integrity.BROKEN)),
}
SEALED = received(message(enveloped()), key()).report.layers[0]


def signed(*words: str) -> Layer:
    return Layer(Protection.CLEAR_SIGNED, tuple(WORDS[word] for word in words))


def test_each_signer_has_its_word() -> None:
    assert {word: signer.result for word, signer in WORDS.items()} == {word: word for word in WORDS}
    revoked = replace(GOOD, chain=ChainStatus.REVOKED)
    assert revoked.result == "fail"


@pytest.mark.parametrize("words", list(permutations(WORDS, 2)))
def test_e17_the_worst_of_several_counts_in_one_layer_or_two(words: tuple[str, str]) -> None:
    """E17, V14."""
    order = list(reversed(WORDS))
    order.remove("neutral")
    order.insert(1, "neutral")
    expected = min(words, key=order.index)
    assert summarise((signed(*words),)).signature == expected
    assert summarise((signed(words[0]), signed(words[1]))).signature == expected


def test_badges_follow_the_result() -> None:
    badges = {word: summarise((signed(word),)).badge for word in WORDS}
    assert badges == {
        "pass": "green",
        "policy": "yellow",
        "permerror": "yellow",
        "neutral": "yellow",
        "fail": "red",
    }
    assert summarise(()).badge == "none"


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("pass", None, "policy"),
        ("policy", None, "policy"),
        ("fail", None, "fail"),
        ("pass", "pass", "pass"),
        ("policy", "pass", "pass"),
        ("fail", "pass", "fail"),
        ("pass", "policy", "policy"),
        ("pass", "fail", "fail"),
        ("fail", "policy", "fail"),
    ],
)
def test_v18_v19_the_inner_signature_counts(outer: str, inner: str | None, expected: str) -> None:
    """V18, V19."""
    layers = (signed(outer), SEALED, *((signed(inner),) if inner else ()))
    assert summarise(layers).signature == expected


def test_v18_says_why() -> None:
    report = summarise((signed("pass"), SEALED))
    assert (report.reason, report.badge) == (AROUND_CIPHERTEXT, "yellow")
    assert report.signer is GOOD


def test_a_layer_nobody_signed_or_nobody_can_read_is_neutral() -> None:
    """V4."""
    nobody = summarise((Layer(Protection.CLEAR_SIGNED),))
    assert (nobody.signature, nobody.reason, nobody.signer) == ("neutral", "nobody signed", None)
    broken = summarise((Layer(Protection.MALFORMED, problem="unreadable"),))
    assert (broken.signature, broken.reason) == ("neutral", "unreadable")


def test_the_lock_is_red_unless_every_ciphertext_was_opened() -> None:
    """V20: one of two is not enough."""
    closed = replace(SEALED, decrypted=False)
    assert summarise((SEALED,)).lock == "green"
    assert summarise((closed,)).lock == "red"
    report = summarise((SEALED, closed))
    assert (report.encryption, report.lock) == ("undecryptable", "red")


def test_a_weak_layer_around_a_strong_one_stays_green() -> None:
    assert SEALED.enveloped is not None
    weak = replace(SEALED, enveloped=replace(SEALED.enveloped, content_encryption="rc2"))
    assert summarise((weak,)).lock == "yellow"
    assert summarise((weak, SEALED)).lock == "green"
    unknown = replace(SEALED, enveloped=replace(SEALED.enveloped, content_encryption="1.2.3"))
    assert summarise((unknown,)).lock == "yellow"


def test_partial_ciphertext_counts_for_nothing() -> None:
    """V23, E10."""
    report = summarise((Layer(Protection.ENVELOPED_DATA, partial=True),))
    assert (report.signature, report.encryption, report.lock) == ("none", "none", "none")
    assert len(report.layers) == 1


def test_authenticated_is_said_only_of_what_was_opened_with_its_tag() -> None:
    """E11."""
    assert SEALED.enveloped is not None
    assert not summarise((SEALED,)).authenticated
    tagged = replace(SEALED, enveloped=replace(SEALED.enveloped, authenticated=True))
    assert summarise((tagged,)).authenticated
    assert not summarise((replace(tagged, decrypted=False),)).authenticated


def test_the_signer_named_is_the_one_the_result_rests_on() -> None:
    report = summarise((signed("pass", "policy"),))
    assert isinstance(report.signer, Signer)
    assert report.signer is WORDS["policy"]
    assert report.reason == "odd"


def test_certificates_alone_and_opaque_signatures_are_told_apart() -> None:
    assert received(message(cms(made.signed_data(), "certs-only"))).report.badge == "none"
    assert received(message(opaque())).report.badge == "green"
