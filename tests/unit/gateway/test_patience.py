"""One mail waits for what is not known of revocations: once, in total, and is judged again."""

import asyncio
from dataclasses import dataclass, field

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.pool import Issuers
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.envelope import Role
from smime_proxy.gateway.patience import Patience, patience_for
from smime_proxy.gateway.ports import Findings
from smime_proxy.policy.rules import Encrypt, Policy
from tests import pki
from tests.fake_statuses import FakeStatuses
from tests.fakes import AT, FakeDirectory, FakeDiscovery, World, mail
from tests.unit.certs.answers import DAY, Known, crl
from tests.unit.cms import parties
from tests.unit.gateway import cases
from tests.unit.gateway.cases import ALICE, PARTNER, partner
from tests.unit.smime.cases import clear, message

GOOD = crl(parties.root(), this_update=AT - DAY, next_update=AT + DAY)
BAD = crl(parties.root(), partner(), this_update=AT - DAY, next_update=AT + DAY, at=AT - DAY)
FROM_ALICE = mail(ALICE, PARTNER)
FROM_PARTNER = message(clear(identity=partner()), PARTNER)


@dataclass
class Completed(FakeDirectory):
    """A directory that knows authorities from elsewhere."""

    known: Issuers = field(default_factory=Issuers)

    def intermediates(self) -> Issuers:
        return self.known


def waiting(
    mode: Mode, *brings: list[Crl], budget: float = 5.0, policy: Policy | None = None
) -> World:
    surroundings, known = cases.world(policy), Known()
    surroundings.revocation = Revocation(mode, known)
    surroundings.statuses = FakeStatuses(known, list(brings), budget)
    return surroundings


async def test_in_hard_mode_the_first_mail_to_somebody_good_passes_at_once() -> None:
    surroundings = waiting(Mode.HARD, [GOOD])
    assert (await cases.send(surroundings, FROM_ALICE, ALICE, PARTNER)).code == 250
    assert b"enveloped-data" in surroundings.outside.sent[0].content
    assert surroundings.statuses is not None
    assert len(surroundings.statuses.asked) == 1


async def test_without_a_budget_nothing_waits() -> None:
    surroundings = waiting(Mode.HARD, [GOOD], budget=0.0)
    assert (await cases.send(surroundings, FROM_ALICE, ALICE, PARTNER)).code == 451
    assert surroundings.statuses is not None
    assert surroundings.statuses.asked == []


async def test_in_soft_mode_somebody_revoked_is_not_encrypted_to_the_first_time() -> None:
    surroundings = waiting(Mode.SOFT, [BAD], policy=Policy(encrypt=Encrypt.REQUIRED))
    assert (await cases.send(surroundings, FROM_ALICE, ALICE, PARTNER)).code == 550


async def test_what_does_not_come_is_waited_for_once_a_mail() -> None:
    surroundings = waiting(Mode.SOFT)
    for count in (1, 2):
        assert (await cases.send(surroundings, FROM_ALICE, ALICE, PARTNER)).code == 250
        assert surroundings.statuses is not None
        assert len(surroundings.statuses.asked) == count


async def test_a_signature_is_judged_again_with_what_came() -> None:
    surroundings = waiting(Mode.SOFT, [BAD])
    reply = await cases.send(surroundings, FROM_PARTNER, PARTNER, ALICE, role=Role.INBOUND)
    assert reply.code == 250
    (sent,) = surroundings.inside.sent
    assert b"chain=revoked" in sent.content


async def test_a_key_of_our_own_that_turns_out_to_be_revoked_signs_nothing() -> None:
    own = crl(
        parties.root(), parties.party("rsa", "alice"), this_update=AT - DAY, next_update=AT + DAY
    )
    surroundings = waiting(Mode.SOFT, [own])
    content = mail(ALICE, "x@elsewhere.org")
    assert (await cases.send(surroundings, content, ALICE, "x@elsewhere.org")).code == 250
    assert b"multipart/signed" not in surroundings.outside.sent[0].content


async def test_whoever_issued_a_key_of_our_own_is_found_where_it_came_without() -> None:
    """So a PKCS#12 without its chain is no way around a revocation."""
    issuing = pki.intermediate(parties.root(), kind="p256")
    own = pki.person(issuing, ALICE, kind="p256")
    told = crl(issuing, own, this_update=AT - DAY, next_update=AT + DAY, at=AT - DAY)
    for known, signs in ((Issuers(), True), (Issuers.of([issuing.certificate]), False)):
        surroundings = waiting(Mode.SOFT, budget=0.0)
        surroundings.revocation = Revocation(Mode.SOFT, Known([told]))
        surroundings.directory = Completed(roots=surroundings.directory.roots, known=known)
        surroundings.directory.add(ALICE, pki.Identity(own.certificate, own.key))
        content = mail(ALICE, "x@elsewhere.org")
        assert (await cases.send(surroundings, content, ALICE, "x@elsewhere.org")).code == 250
        assert (b"multipart/signed" in surroundings.outside.sent[0].content) is signs


async def test_who_turns_out_to_be_revoked_is_looked_for_elsewhere() -> None:
    surroundings = waiting(Mode.SOFT, [BAD], policy=Policy(encrypt=Encrypt.REQUIRED))
    surroundings.discovery = FakeDiscovery({parse_mailbox(PARTNER): Findings()})
    assert (await cases.send(surroundings, FROM_ALICE, ALICE, PARTNER)).code == 550
    assert len(surroundings.discovery.asked) == 1


async def test_the_budget_is_for_all_waits_of_a_mail() -> None:
    statuses = FakeStatuses(Known(), [[GOOD], [GOOD]], 5.0, takes=0.2)
    patience = Patience(statuses, 5.0)
    assert not await patience.rewarded()  # nothing was wanted
    root = pki.root(kind="p256")
    pairs = [(root.certificate, one.certificate) for one in (root, parties.root())]
    for pair in pairs:
        patience._note(*pair)
        assert await patience.rewarded()
    (_, first), (_, second) = statuses.asked
    assert first == 5.0
    assert second <= 4.8  # and less on a busy machine
    patience._note(*pairs[0])
    assert not await patience.rewarded()  # not for the same again
    assert len(statuses.asked) == 2


async def test_who_gives_up_leaves_nobody_waiting() -> None:
    patience = Patience(FakeStatuses(Known(), [], 5.0, takes=9.0), 5.0)
    patience._note(parties.root().certificate, parties.root().certificate)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await patience.rewarded()
    assert len(asyncio.all_tasks()) == 1


def test_there_is_none_without_a_fetcher() -> None:
    assert patience_for(cases.world().context()) is None
