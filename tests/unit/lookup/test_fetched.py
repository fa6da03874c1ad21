"""What was fetched is taken where it is of use; what is at hand is not taken away by less."""

import pytest

from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.lookup.errors import LookupFailed
from smime_proxy.lookup.fetched import read_answer, read_list
from tests import pki
from tests.unit.certs.answers import DAY, NOW, crl_der, ocsp_der

ROOT = pki.root(kind="p256")
OTHER = pki.root("Other", kind="p256")
ALICE = pki.person(ROOT, "a@x.y", kind="p256")
PAIR = (ALICE.certificate, ROOT.certificate)


def test_an_answer_of_the_issuer_is_taken() -> None:
    kept = OcspAnswer.from_der(ocsp_der(ALICE, ROOT, this_update=NOW - 2 * DAY))
    assert read_answer(ocsp_der(ALICE, ROOT), *PAIR, kept, NOW).known


@pytest.mark.parametrize(
    ("der", "why"),
    [
        (ocsp_der(pki.person(ROOT, "b@x.y", kind="p256"), ROOT), "about another certificate"),
        (ocsp_der(ALICE, ROOT, responder=OTHER), "does not count: its responder"),
        (ocsp_der(ALICE, ROOT, this_update=NOW - 2 * DAY), "an older answer"),
        (ocsp_der(ALICE, ROOT, this_update=NOW + DAY, next_update=NOW + 2 * DAY), "day to come"),
        (b"no", "not a readable"),
    ],
)
def test_another_is_not(der: bytes, why: str) -> None:
    kept = OcspAnswer.from_der(ocsp_der(ALICE, ROOT))
    with pytest.raises((LookupFailed, CertificateError), match=why):
        read_answer(der, *PAIR, kept, NOW)


IMPOSTOR = pki.root(label="impostor", kind="p256")
KEPT = Crl.from_der(crl_der(ROOT))
ENDED = Crl.from_der(crl_der(ROOT, next_update=NOW - DAY / 2))


@pytest.mark.parametrize(
    ("der", "why"),
    [
        (crl_der(OTHER), "another issuer"),
        (crl_der(ROOT, signer=IMPOSTOR), "in place of one that is"),
        (crl_der(ROOT, this_update=NOW - 2 * DAY), "an older answer"),
        (crl_der(ROOT, this_update=NOW + DAY, next_update=NOW + 2 * DAY), "day to come"),
    ],
)
def test_a_list_that_holds_is_not_taken_away(der: bytes, why: str) -> None:
    with pytest.raises(LookupFailed, match=why):
        read_list(der, *PAIR, KEPT, NOW)


def test_one_that_ended_gives_way_to_another_key() -> None:
    assert len(read_list(crl_der(ROOT, ALICE, signer=IMPOSTOR), *PAIR, ENDED, NOW)) == 1
    assert len(read_list(crl_der(ROOT, ALICE), *PAIR, None, NOW)) == 1
