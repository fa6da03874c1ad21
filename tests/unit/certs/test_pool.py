"""What completes a chain (RFC 4158 2): found by name, what we know first; row E82."""

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pool import MAX_BROUGHT, Issuers, Pool
from tests import pki

ROOT = pki.root(kind="p256")
ISSUING = pki.intermediate(ROOT, kind="p256").certificate
TWIN = pki.intermediate(ROOT, label="twin", kind="p256").certificate
OTHER = pki.intermediate(ROOT, "Other", kind="p256").certificate


def crowd(number: int) -> list[Certificate]:
    return [pki.intermediate(ROOT, f"CA {n}", kind="p256").certificate for n in range(number)]


def test_issuers_are_found_by_name_and_kept_once() -> None:
    issuers = Issuers.of([ISSUING, OTHER, TWIN, ISSUING])
    assert issuers.named(ISSUING.subject_key) == [ISSUING, TWIN]
    assert issuers.named(ROOT.certificate.subject_key) == ()
    assert (list(issuers), len(issuers)) == ([ISSUING, TWIN, OTHER], 3)
    assert TWIN in issuers
    assert ROOT.certificate not in issuers
    name: object = OTHER.subject
    assert name not in issuers


def test_what_is_indexed_is_not_indexed_again() -> None:
    issuers, pool = Issuers.of([ISSUING]), Pool.of([ISSUING])
    assert Issuers.of(issuers) is issuers
    assert Pool.of([OTHER], issuers).known is issuers
    assert Pool.of(pool) is pool


def test_those_we_know_come_before_what_a_stranger_brought() -> None:
    pool = Pool.of([ISSUING, TWIN], [TWIN])
    assert pool.named(ISSUING.subject_key) == [TWIN, ISSUING]


def test_what_was_taken_back_is_not_there() -> None:
    pool = Pool.of([ISSUING], [TWIN]).without(frozenset({TWIN.fingerprint}))
    assert pool.named(ISSUING.subject_key) == [ISSUING]


def test_of_what_a_message_brings_only_so_many_are_considered() -> None:
    bag = crowd(MAX_BROUGHT + 1)
    pool = Pool.of(bag)
    assert pool.named(bag[-2].subject_key) == [bag[-2]]
    assert pool.named(bag[-1].subject_key) == []
    assert Pool.of((), bag).named(bag[-1].subject_key) == [bag[-1]]
