"""Whose gateway may speak for whom (RFC 3183 3.1)."""

import pytest

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.smime.domain_signature import DomainSignature, domain_signature
from smime_proxy.smime.gateway_signer import GatewaySigner
from tests import pki
from tests.unit.smime.cases import AT, person

GATEWAY = parse_mailbox("gateway@firm.example")
CLERK = parse_mailbox("clerk@firm.example")
REMARK = "signed by the gateway of firm.example, not by the person"
DOUBT = "signed by the gateway of firm.example, but clerk@firm.example has a key of its own"


def asked(
    certificate: Certificate,
    sender: Mailbox | None = CLERK,
    *own: Certificate,
    trusted: bool = False,
) -> DomainSignature | None:
    gateways = {"firm.example": GatewaySigner(GATEWAY, trusted)}
    return domain_signature(certificate, sender, gateways, lambda _mailbox: own, AT)


def test_it_speaks_for_its_domain_and_says_so() -> None:
    found = asked(person(str(GATEWAY)).certificate)
    assert found == DomainSignature(GatewaySigner(GATEWAY), remark=REMARK)
    trusted = asked(person(str(GATEWAY)).certificate, trusted=True)
    assert trusted == DomainSignature(GatewaySigner(GATEWAY, trusted=True))


@pytest.mark.parametrize(
    "sender",
    ["clerk@sub.firm.example", "clerk@example", "clerk@other.example", "gateway@firm.example", ""],
)
def test_it_speaks_for_nobody_elsewhere(sender: str) -> None:
    mailbox = parse_mailbox(sender) if sender else None
    assert asked(person(str(GATEWAY)).certificate, mailbox) is None


@pytest.mark.parametrize(
    "carried", ["other@firm.example", "gateway@firm.example.org", "clerk@firm.example"]
)
def test_nobody_else_speaks_for_the_domain(carried: str) -> None:
    assert asked(person(carried).certificate) is None
    assert asked(pki.certify(None, name="gateway@firm.example").certificate) is None


def test_it_does_not_speak_for_who_has_a_key_of_his_own() -> None:
    gateway = person(str(GATEWAY)).certificate
    found = asked(gateway, CLERK, person(str(CLERK)).certificate, trusted=True)
    assert found is not None
    assert (found.doubt, found.remark) == (DOUBT, "")


def test_a_key_that_ended_or_signs_nothing_or_is_anothers_keeps_nobody_from_it() -> None:
    ended = person(str(CLERK), not_after=pki.NOT_BEFORE.replace(year=2021))
    reading = person(str(CLERK), usage=("key_agreement",))
    bound = person("hub@other.example")
    others = (ended.certificate, reading.certificate, bound.certificate)
    found = asked(person(str(GATEWAY)).certificate, CLERK, *others)
    assert found is not None
    assert found.doubt == ""
