"""One signature layer judged: integrity, chain and identity are three facts."""

from dataclasses import replace
from datetime import timedelta

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.path import ChainStatus
from smime_proxy.cms import der, oids
from smime_proxy.cms.structures import parse_signed_data
from smime_proxy.cms.verify import Integrity
from smime_proxy.smime.gateway_signer import GatewaySigner
from smime_proxy.smime.verify import (
    MAX_AHEAD,
    MAX_TIME_APART,
    Claim,
    Identity,
    Signer,
    Trust,
    judge,
)
from tests import pki
from tests.unit.cms import made, parties
from tests.unit.smime.cases import (
    ALICE,
    AT,
    PART,
    alice,
    anchor,
    clear,
    cms,
    message,
    person,
    signature,
    trust,
    verdict,
)

CLAIM = Claim(parse_mailbox(ALICE), AT)


def judged(
    der: bytes | None = None,
    *,
    claim: Claim = CLAIM,
    trusting: Trust | None = None,
    part: bytes = PART,
) -> Signer:
    signed = parse_signed_data(signature() if der is None else der)
    (signer,) = judge(signed, (part,), trusting or trust(), claim, AT)
    return signer


def facts(signer: Signer) -> tuple[str, str, str]:
    return signer.report.integrity.value, signer.chain.value, signer.identity.value


def test_the_three_facts_are_independent() -> None:
    """E04."""
    stranger = trust(pki.root("Other", kind="p256"))
    other = Claim(parse_mailbox("eve@example.test"), AT)
    assert facts(judged()) == ("intact", "trusted", "match")
    assert facts(judged(part=b"x")) == ("broken", "trusted", "match")
    assert facts(judged(trusting=stranger)) == ("intact", "untrusted", "match")
    assert facts(judged(claim=other)) == ("intact", "trusted", "mismatch")
    assert facts(judged(part=b"x", trusting=stranger, claim=other)) == (
        "broken",
        "untrusted",
        "mismatch",
    )


def test_a_broken_signature_fails_whatever_the_rest() -> None:
    assert judged(part=b"x").result == "fail"
    assert judged().result == "pass"
    assert judged().reasons == ()


def test_without_a_clean_from_there_is_no_match_and_the_reason_says_why() -> None:
    """E03, V10."""
    signer = judged(claim=Claim(None, AT, "there are several From fields"))
    assert signer.identity is Identity.MISMATCH
    assert signer.reasons == ("there are several From fields",)
    assert signer.result == "policy"


def test_a_bare_object_has_nobody_to_match() -> None:
    signer = judged(claim=Claim(None, None))
    assert (signer.identity, signer.result) == (Identity.NONE, "policy")


def test_e73_the_subjects_address_is_no_identity_and_e75_no_tag_is_dropped() -> None:
    """E73, E75."""
    legacy = person(name="Legacy", dn_address=ALICE)
    assert judged(signature(identity=legacy)).identity is Identity.NONE
    tagged = Claim(parse_mailbox("alice+x@example.test"), AT)
    assert judged(claim=tagged).identity is Identity.MISMATCH


def test_e73_it_is_where_it_is_asked_for_and_there_is_no_other() -> None:
    """E73: within what anchors and name constraints allow."""
    believing = replace(trust(), subject_address=True)
    legacy = signature(identity=person(name="Legacy", dn_address=ALICE))
    signer = judged(legacy, trusting=believing)
    assert (signer.result, signer.mailbox) == ("pass", CLAIM.mailbox)
    eve = Claim(parse_mailbox("eve@example.test"), AT)
    assert judged(legacy, trusting=believing, claim=eve).identity is Identity.MISMATCH
    both = signature(identity=person("eve@example.test", dn_address=ALICE))
    assert judged(both, trusting=believing).identity is Identity.MISMATCH
    for domains, chain in ((("example.test",), "trusted"), (("example.org",), "untrusted")):
        scoped = Anchor(parties.root().certificate, domains)
        found = judged(legacy, trusting=replace(believing, anchors=[scoped]))
        assert found.chain.value == chain


def test_e74_case_does_not_matter() -> None:
    """E74."""
    assert judged(claim=Claim(parse_mailbox("ALICE@Example.TEST"), AT)).result == "pass"


@pytest.mark.parametrize(
    ("apart", "result"),
    [
        (timedelta(0), "pass"),
        (-MAX_TIME_APART, "pass"),
        (-MAX_TIME_APART * 1.01, "policy"),
        (MAX_AHEAD, "pass"),
        (MAX_AHEAD * 1.1, "policy"),
    ],
)
def test_e19_the_limits_of_the_signing_time(apart: timedelta, result: str) -> None:
    """E19, V13."""
    assert judged(signature(at=AT + apart)).result == result


def test_a_certificate_from_the_store_is_taken_only_when_the_signer_names_it() -> None:
    """E58, V5."""
    attributes = [made.CONTENT_TYPE, made.message_digest(PART)]
    bare = made.signed_data(made.signer_info(attributes), certificates=())
    asked: list[tuple[bytes, int]] = []

    def known(issuer: bytes, serial: int) -> list[bytes]:
        asked.append((issuer, serial))
        return [parties.party("rsa", "bob").der, alice().der, b"unreadable"]

    found = judged(bare, trusting=Trust([anchor(parties.root())], (), known))
    assert found.result == "pass"
    assert [serial for _, serial in asked] == [alice().certificate.serial]
    missing = judged(bare)
    assert (missing.certificate, missing.chain) == (None, ChainStatus.UNKNOWN)
    assert missing.result == "permerror"


def test_an_intermediate_of_the_message_or_the_store_completes_the_chain() -> None:
    """E39, E82."""
    issuing = pki.intermediate(parties.root(), kind="p256")
    leaf = pki.person(issuing, ALICE, kind="p256")
    assert judged(signature(identity=leaf)).result == "pass"
    alone = pki.Identity(leaf.certificate, leaf.key)
    assert judged(signature(identity=alone)).chain is ChainStatus.UNTRUSTED
    stored = Trust([anchor(parties.root())], (issuing.certificate,), lambda _i, _s: ())
    assert judged(signature(identity=alone), trusting=stored).result == "pass"


def test_an_anchor_for_a_domain_vouches_for_no_other() -> None:
    elsewhere = Trust(
        [type(anchor(parties.root()))(parties.root().certificate, ("other.test",))],
        (),
        lambda _i, _s: (),
    )
    assert judged(trusting=elsewhere).result == "policy"


def test_every_signer_is_judged() -> None:
    attributes = [made.CONTENT_TYPE, made.message_digest(PART)]
    bad = [made.CONTENT_TYPE, made.message_digest(b"x")]
    signed = parse_signed_data(
        made.signed_data(made.signer_info(attributes), made.signer_info(bad))
    )
    results = [signer.result for signer in judge(signed, (PART,), trust(), CLAIM, AT)]
    assert results == ["pass", "fail"]
    assert judge(parse_signed_data(made.signed_data()), (PART,), trust(), CLAIM, AT) == ()


def test_unknown_algorithms_are_neutral_and_say_which() -> None:
    """E56, E94."""
    info = made.signer_info(
        [made.CONTENT_TYPE, made.message_digest(PART)],
        signature_algorithm=made.algorithm("2.16.840.1.101.3.4.3.20"),
    )
    signer = judged(made.signed_data(info))
    assert (signer.report.integrity, signer.result) == (Integrity.UNKNOWN, "neutral")
    assert "2.16.840.1.101.3.4.3.20" in signer.reasons[0]


@pytest.mark.parametrize("detached", [True, False])
def test_what_was_signed_for_another_protocol_is_no_mail(detached: bool) -> None:
    """RFC 8551 2.4.2: a time stamp, say, by the same key."""
    stamp = "1.2.840.113549.1.9.16.1.4"
    for content_type, expected in (
        (oids.DATA, "pass"),
        (stamp, "policy: the signed content is no mail"),
    ):
        kind = made.attribute(oids.CONTENT_TYPE, der.object_identifier(content_type))
        signer = made.signer_info([kind, made.message_digest(PART)])
        content = None if detached else PART
        signed = made.signed_data(signer, content=content, content_type=content_type)
        entity = clear(der=signed) if detached else cms(signed, "signed-data")
        assert verdict(message(entity)) == expected


GATEWAY = parse_mailbox("gateway@firm.example")
CLERK = Claim(parse_mailbox("clerk@firm.example"), AT)


def by_gateway(
    *,
    trusted: bool = False,
    claim: Claim = CLERK,
    part: bytes = PART,
    roots: tuple[pki.Identity, ...] = (),
    own: pki.Identity | None = None,
) -> Signer:
    believing = replace(
        trust(*roots),
        gateways={"firm.example": GatewaySigner(GATEWAY, trusted)},
        own_of=lambda _mailbox: [own.certificate] if own else [],
    )
    der = signature(identity=person(str(GATEWAY)))
    return judged(der, claim=claim, trusting=believing, part=part)


def test_a_gateways_signature_is_a_match_and_says_whose_it_is() -> None:
    signer = by_gateway()
    assert (facts(signer), signer.result) == (("intact", "trusted", "match"), "policy")
    assert signer.reasons == ("signed by the gateway of firm.example, not by the person",)
    assert (signer.via_gateway, signer.gateway, signer.mailbox) == (True, GATEWAY, None)
    trusted = by_gateway(trusted=True)
    assert (facts(trusted), trusted.result) == (("intact", "trusted", "match"), "pass")
    assert (trusted.reasons, trusted.via_gateway, trusted.mailbox) == ((), True, None)


def test_a_gateways_signature_that_is_not_good_counts_for_nobody() -> None:
    broken = by_gateway(trusted=True, part=b"x")
    assert (facts(broken), broken.result) == (("broken", "trusted", "mismatch"), "fail")
    foreign = by_gateway(trusted=True, roots=(pki.root("Other", kind="p256"),))
    assert (facts(foreign), foreign.result) == (("intact", "untrusted", "mismatch"), "policy")
    below = by_gateway(trusted=True, claim=Claim(parse_mailbox("x@sub.firm.example"), AT))
    unclean = by_gateway(trusted=True, claim=Claim(None, AT, "From is unclean"))
    has_own = by_gateway(trusted=True, own=person("clerk@firm.example"))
    for signer in (broken, foreign, below, unclean, has_own):
        assert (signer.identity, signer.via_gateway) == (Identity.MISMATCH, False)
        assert signer.result != "pass"
    assert unclean.reasons == ("From is unclean",)
    assert "has a key of its own" in has_own.reasons[0]


def test_the_gateway_signs_for_itself_as_anybody_does() -> None:
    signer = by_gateway(claim=Claim(GATEWAY, AT))
    assert (signer.result, signer.via_gateway, signer.mailbox) == ("pass", False, GATEWAY)


def test_an_anchor_of_the_domain_vouches_for_its_gateway() -> None:
    limited = [Anchor(parties.root().certificate, ("firm.example",))]
    gateways = {"firm.example": GatewaySigner(GATEWAY)}
    believing = replace(trust(), anchors=limited, gateways=gateways)
    der = signature(identity=person(str(GATEWAY)))
    assert judged(der, claim=CLERK, trusting=believing).via_gateway
