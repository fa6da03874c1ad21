"""What becomes of a found key, for each setting and each standing."""

from datetime import timedelta

import pytest

from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.certs.succession import Succession
from smime_proxy.policy.harvest import (
    MAX_AN_ADDRESS,
    Accept,
    Caution,
    Pend,
    decide_key,
    harvested,
    is_full,
)
from smime_proxy.policy.rules import Harvest
from tests import pki

TRUSTED, UNTRUSTED = True, False
FIRST, SAME, OTHER = Succession.FIRST, Succession.SAME_TRUST, Succession.OTHER_TRUST


@pytest.mark.parametrize(
    ("harvest", "trusted", "stands", "decision"),
    [
        (Harvest.ASK, TRUSTED, FIRST, Pend(Caution.NONE)),
        (Harvest.TRUSTED, TRUSTED, FIRST, Accept("harvest = trusted")),
        (Harvest.ASK, TRUSTED, SAME, Accept("same trust as before")),
        (Harvest.TRUSTED, TRUSTED, SAME, Accept("same trust as before")),
        (Harvest.ASK, TRUSTED, OTHER, Pend(Caution.CHANGED)),
        (Harvest.TRUSTED, TRUSTED, OTHER, Pend(Caution.CHANGED)),
        (Harvest.ASK, UNTRUSTED, FIRST, Pend(Caution.UNTRUSTED)),
        (Harvest.TRUSTED, UNTRUSTED, FIRST, Pend(Caution.UNTRUSTED)),
        (Harvest.TRUSTED, UNTRUSTED, OTHER, Pend(Caution.CHANGED_UNTRUSTED)),
    ],
)
def test_a13_what_rests_on_other_trust_waits_whatever_the_setting(
    harvest: Harvest, trusted: bool, stands: Succession, decision: Accept | Pend
) -> None:
    """A13."""
    assert decide_key(harvest, trusted=trusted, stands=stands) == decision


@pytest.mark.parametrize("stands", Succession)
@pytest.mark.parametrize("trusted", [TRUSTED, UNTRUSTED])
def test_never_is_never(trusted: bool, stands: Succession) -> None:
    assert decide_key(Harvest.NEVER, trusted=trusted, stands=stands) is None


@pytest.mark.parametrize("harvest", Harvest)
@pytest.mark.parametrize("stands", Succession)
def test_what_no_chain_vouches_for_is_never_taken_at_once(
    harvest: Harvest, stands: Succession
) -> None:
    """E04, A13."""
    assert not isinstance(decide_key(harvest, trusted=UNTRUSTED, stands=stands), Accept)


def test_what_accepting_pins_is_said_by_its_warning() -> None:
    assert {one.value for one in Caution if one.is_untrusted} == {"untrusted", "changed-untrusted"}


def test_who_has_too_many_has_the_next_wait() -> None:
    assert decide_key(Harvest.TRUSTED, trusted=TRUSTED, stands=SAME, full=True) == Pend(
        Caution.NONE
    )
    assert decide_key(Harvest.TRUSTED, trusted=TRUSTED, stands=OTHER, full=True) == Pend(
        Caution.CHANGED
    )
    assert decide_key(Harvest.NEVER, trusted=TRUSTED, stands=SAME, full=True) is None


def test_only_what_nobody_decided_about_counts_as_too_many_and_only_while_it_is_valid() -> None:
    certificate = pki.person(None, "p@y.org", kind="p256").certificate
    taken = PartnerCertificate(certificate, source=Source.HARVESTED)
    others = [
        PartnerCertificate(certificate),
        PartnerCertificate(certificate, source=Source.HARVESTED, pinned=True),
    ]
    assert list(harvested([taken, *others])) == [taken]
    assert is_full([taken] * MAX_AN_ADDRESS, pki.NOW)
    assert not is_full([taken] * (MAX_AN_ADDRESS - 1) + others, pki.NOW)
    end = certificate.not_after
    assert is_full([taken] * MAX_AN_ADDRESS, end)
    assert not is_full([taken] * MAX_AN_ADDRESS, end + timedelta(seconds=1))
