import time
import warnings
from collections.abc import Hashable
from pathlib import Path

import pytest

from tests.fuzz import limits
from tests.fuzz.campaign import Campaign, failing, write
from tests.fuzz.seeds import Kind
from tests.fuzz.targets import TARGETS, Target

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_file())


def unlucky(raw: bytes) -> Hashable:
    if b"\x24\x80" in raw and len(raw) > 10:
        raise KeyError("planted")
    return len(raw)


def slow(raw: bytes) -> Hashable:
    end = time.process_time() + 60
    while time.process_time() < end:
        pass
    return None


def greedy(raw: bytes) -> Hashable:
    return len(bytes(limits.MEMORY_BASE + limits.MAX_MEMORY_FACTOR * len(raw) + 1_000))


def test_a_planted_fault_is_found_once_and_made_small(tmp_path: Path) -> None:
    campaign = Campaign(5, {"walk": Target(Kind.CMS, unlucky)}, with_collections=False)
    campaign.run_times(400)
    (finding,) = campaign.findings.values()
    assert b"\x24\x80" in finding.raw
    assert len(finding.raw) == 11
    assert finding.fault.startswith("KeyError")
    path = write(finding, tmp_path)
    assert path.read_bytes() == finding.raw
    assert "planted" in path.with_name(path.name + ".txt").read_text()


def test_a_run_that_does_not_end_is_broken_off() -> None:
    with pytest.raises(limits.TooSlow, match="broken off"):
        limits.run(Target(Kind.MAIL, slow), b"", stuck=0.1)


def test_each_reading_of_a_run_has_the_time_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(raw: bytes) -> Hashable:
        end = time.process_time() + 0.15
        while time.process_time() < end:
            pass
        return len(raw)

    monkeypatch.setattr(limits, "MAX_CPU_SECONDS", 0.1)
    assert limits.run(Target(Kind.CMS, busy, readings=2), b"x") == 1
    with pytest.raises(limits.TooSlow, match="of CPU"):
        limits.run(Target(Kind.CMS, busy), b"x")


def test_memory_far_beyond_the_input_is_told() -> None:
    assert failing(Target(Kind.MAIL, greedy), b"x" * 100).startswith("TooLarge")
    assert not failing(Target(Kind.MAIL, len), b"x" * 100)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_what_was_found_once_holds_now(path: Path) -> None:
    assert failing(TARGETS[path.name.partition("--")[0]], path.read_bytes()) == ""


def test_a_short_run_finds_nothing() -> None:
    campaign = Campaign(1, with_collections=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what strangers' certificates and key files hold
        campaign.run_times(2_000)
    assert [(item.fault, item.raw[:300]) for item in campaign.findings.values()] == []
    assert all(campaign.runs[name] for name in TARGETS)
