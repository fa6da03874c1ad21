"""What found certificates are worth: RFC 6698 2.1.1, RFC 7671 5."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.association import Association, Matching, Selector, Usage
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.discovered import MAX_JUDGED, Trust, judged
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.selection import choose_recipient
from smime_proxy.certs.source import MinimumSource, Source
from tests import pki

PAT = parse_mailbox("pat@example.org")
ROOT = pki.root("Discovery Root", kind="p256")
ISSUING = pki.intermediate(ROOT, "Discovery Issuing", kind="p256")
GOOD = pki.person(ISSUING, "pat@example.org", kind="p256")
SELF = pki.person(None, "pat@example.org", kind="p256", label="self")
NAMELESS = pki.person(None, kind="p256", label="nameless")
FOREIGN = pki.person(ISSUING, "eve@example.org", kind="p256")
NOBODY = Trust((), Issuers.of(()), pki.NOW)
OURS = Trust((Anchor(ROOT.certificate),), Issuers.of(()), pki.NOW)
FULL = (Selector.CERTIFICATE, Matching.FULL)


def worth(
    found: Sequence[Certificate],
    records: Sequence[Association],
    known: Sequence[Certificate],
    trust: Trust,
) -> dict[Certificate, Source]:
    return {one.certificate: one.source for one in judged(found, records, known, PAT, trust)}


def usable(
    found: Sequence[Certificate],
    records: Sequence[Association],
    known: Sequence[Certificate],
    trust: Trust,
    minimum: MinimumSource = MinimumSource.VERIFIED,
) -> Certificate | None:
    candidates = judged(found, records, known, PAT, trust)
    choice = choose_recipient(candidates, PAT, trust.at, trust.anchors, minimum)
    return choice.chosen.certificate if choice.chosen else None


def record(usage: Usage, certificate: Certificate, *kinds: int) -> Association:
    selector, matching = kinds or FULL
    return Association.of(certificate, usage, Selector(selector), Matching(matching))


def test_what_a_directory_gives_is_worth_what_its_chain_is() -> None:
    answer = (GOOD.certificate, ISSUING.certificate)
    assert worth(answer, (), (), OURS) == {GOOD.certificate: Source.DIRECTORY}
    assert worth(answer, (), (), NOBODY) == {GOOD.certificate: Source.DISCOVERED}
    assert usable(answer, (), (), OURS) == GOOD.certificate
    assert usable(answer, (), (), NOBODY) is None


def test_what_nothing_vouches_for_is_used_only_where_the_policy_lets_it_in() -> None:
    found = (SELF.certificate,)
    assert usable(found, (), (), OURS, MinimumSource.HARVESTED) is None
    assert usable(found, (), (), OURS, MinimumSource.DISCOVERED) == SELF.certificate


def test_certificates_of_others_are_nobodys() -> None:
    found = (FOREIGN.certificate, NAMELESS.certificate, ISSUING.certificate)
    assert worth(found, (), (), OURS) == {}


def test_no_record_makes_the_certificate_of_another_his() -> None:
    chain = (FOREIGN.certificate, ISSUING.certificate)
    for record_of in (
        record(Usage.DANE_TA, ROOT.certificate),
        record(Usage.PKIX_EE, FOREIGN.certificate),
        record(Usage.PKIX_TA, ROOT.certificate),
    ):
        assert worth(chain, (record_of,), (), OURS) == {}


def test_what_the_store_knows_is_not_said_to_be_found() -> None:
    assert worth((FOREIGN.certificate,), (), (GOOD.certificate,), OURS) == {}


def test_a_directory_may_leave_out_the_chain_we_have() -> None:
    trust = Trust(OURS.anchors, Issuers.of((ISSUING.certificate,)), pki.NOW)
    assert worth((GOOD.certificate,), (), (), trust) == {GOOD.certificate: Source.DIRECTORY}


def test_e84_dane_ee_trusts_the_very_certificate_whatever_it_says() -> None:
    """E84, RFC 7671 5.1."""
    for identity in (SELF, NAMELESS, GOOD):
        records = (record(Usage.DANE_EE, identity.certificate),)
        assert worth((), records, (), NOBODY) == {identity.certificate: Source.SMIMEA}
        assert usable((), records, (), NOBODY) == identity.certificate


@pytest.mark.parametrize("kinds", [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
def test_a_digest_vouches_for_what_is_known_from_elsewhere(kinds: tuple[int, int]) -> None:
    records = (record(Usage.DANE_EE, SELF.certificate, *kinds),)
    assert usable((), records, (), NOBODY) is None
    assert usable((SELF.certificate,), records, (), NOBODY) == SELF.certificate
    assert usable((), records, (SELF.certificate,), NOBODY) == SELF.certificate
    assert usable((GOOD.certificate,), records, (), NOBODY) is None


def test_dane_ta_is_an_anchor_for_this_mailbox_alone() -> None:
    records = (record(Usage.DANE_TA, ROOT.certificate),)
    chain = (GOOD.certificate, ISSUING.certificate)
    assert usable(chain, records, (), NOBODY) == GOOD.certificate
    assert worth(chain, records, (), NOBODY) == {GOOD.certificate: Source.SMIMEA}
    assert usable((FOREIGN.certificate, ISSUING.certificate), records, (), NOBODY) is None
    assert usable((SELF.certificate,), records, (), NOBODY) is None


def test_dane_ta_by_digest_needs_the_issuer_in_the_chain() -> None:
    records = (record(Usage.DANE_TA, ISSUING.certificate, 1, 1),)
    assert usable((GOOD.certificate, ISSUING.certificate), records, (), NOBODY) == GOOD.certificate
    assert usable((GOOD.certificate,), records, (), NOBODY) is None


def test_a_person_cannot_be_the_anchor_of_another() -> None:
    below = pki.certify(SELF, name="below", mailboxes=["pat@example.org"], kind="p256")
    records = (record(Usage.DANE_TA, SELF.certificate),)
    assert usable((below.certificate,), records, (), NOBODY) is None


def test_pkix_usages_need_our_anchors_besides() -> None:
    chain = (GOOD.certificate, ISSUING.certificate)
    for named, usage in ((GOOD, Usage.PKIX_EE), (ISSUING, Usage.PKIX_TA), (ROOT, Usage.PKIX_TA)):
        records = (record(usage, named.certificate),)
        assert worth(chain, records, (), OURS) == {GOOD.certificate: Source.SMIMEA}, usage
        assert usable(chain, records, (), NOBODY) is None, usage
    other = pki.intermediate(ROOT, "Another Issuing", kind="p256")
    records = (record(Usage.PKIX_TA, other.certificate),)
    assert worth(chain, records, (), OURS) == {GOOD.certificate: Source.DIRECTORY}


def test_pkix_ee_carries_the_certificate_itself() -> None:
    trust = Trust(OURS.anchors, Issuers.of((ISSUING.certificate,)), pki.NOW)
    assert usable((), (record(Usage.PKIX_EE, GOOD.certificate),), (), trust) == GOOD.certificate


def test_no_record_makes_an_expired_certificate_usable() -> None:
    past = datetime(2021, 1, 1, tzinfo=UTC)
    expired = pki.person(None, "pat@example.org", kind="p256", label="past", not_after=past)
    assert usable((), (record(Usage.DANE_EE, expired.certificate),), (), NOBODY) is None


def test_only_so_many_are_judged() -> None:
    many = [
        pki.person(None, "pat@example.org", kind="p256", label="many").certificate
        for _ in range(MAX_JUDGED + 5)
    ]
    assert len(worth(many, (), (), NOBODY)) == MAX_JUDGED
