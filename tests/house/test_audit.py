"""`make audit` fails for a known vulnerability and for nothing that the network does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT

CLEAN = {"name": "idna", "version": "3.15", "vulns": []}
BAD = {
    "name": "aiohttp",
    "version": "3.14.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["3.14.1"], "aliases": []}],
}
UNKNOWN = {"name": "yarl", "skip_reason": "Dependency not found on PyPI"}
OFFLINE = "ERROR:pip_audit._cli:requests.exceptions.ConnectionError: Max retries exceeded"


def audit(
    folder: Path, said: object = None, error: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the audit with a program in place of pip-audit that says what it is told."""
    program = folder / "pip-audit"
    text = "" if said is None else json.dumps({"dependencies": said})
    program.write_text(
        f"#!{sys.executable}\nimport sys\nprint({text!r})\n"
        f"print({error!r}, file=sys.stderr)\nsys.exit({code})\n"
    )
    program.chmod(0o755)
    script = ROOT / "deploy" / "development" / "audit.py"
    line = [sys.executable, str(script), str(program), "x.lock"]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_nothing_known_is_good(tmp_path: Path) -> None:
    done = audit(tmp_path, [CLEAN])
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 of 1 packages audited, 0 with a known fault" in done.stdout


def test_a_known_vulnerability_fails_and_is_named(tmp_path: Path) -> None:
    done = audit(tmp_path, [CLEAN, BAD], code=1)
    assert done.returncode == 1
    assert "aiohttp 3.14.0: PYSEC-2026-1, mended in 3.14.1" in done.stdout


def test_an_unreachable_service_fails_nothing_and_is_said_aloud(tmp_path: Path) -> None:
    done = audit(tmp_path, error=OFFLINE, code=1)
    assert done.returncode == 0
    assert "AUDIT NOT DONE" in done.stderr


def test_a_service_that_knows_nothing_does_not_pass_for_a_clean_result(tmp_path: Path) -> None:
    done = audit(tmp_path, [UNKNOWN])
    assert done.returncode == 0
    assert "AUDIT NOT DONE" in done.stderr
    done = audit(tmp_path, [CLEAN, UNKNOWN])
    assert "NOT AUDITED, unknown to the service: yarl" in done.stderr


@pytest.mark.parametrize("error", ["", "ERROR: x.lock: invalid requirement"])
def test_a_fault_of_ours_fails(tmp_path: Path, error: str) -> None:
    assert audit(tmp_path, error=error, code=1).returncode == 1


def test_ci_audits() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    test = makefile.partition("\ntest: ")[2].partition("\n\n")[0]
    assert '[ "$${CI:-}" != true ] || $(MAKE) --no-print-directory audit' in test
