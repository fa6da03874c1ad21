"""What becomes of a found key, for each setting and each standing."""

import pytest

from smime_proxy.certs.succession import Succession
from smime_proxy.policy.harvest import Accept, Caution, Pend, decide_key
from smime_proxy.policy.rules import Harvest

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
