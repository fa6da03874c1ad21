"""The report on a directory: faults on standard error, numbers on standard output."""

import json

import pytest
import typer

from smime_proxy.admin.cli.import_report import Line, Outcome, show

GOOD = Line("a.pem", Outcome.IMPORTED, "", "ab" * 32, ("a@example.org",))
KNOWN = Line("b.pem", Outcome.KNOWN, "it is weak")
BAD = Line("c\x1b.pem", Outcome.REFUSED, "no certificate")


def test_numbers_and_reasons_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    show([GOOD, KNOWN], "certificates", as_json=False)
    said = capsys.readouterr()
    assert said.out == "certificates: 1 imported, 1 known, 0 refused\n"
    assert said.err == "b.pem: known: it is weak\n"


def test_a_refusal_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        show([GOOD, BAD], "keys", as_json=False)
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "c\\x1b.pem: refused: no certificate\n"


def test_json_has_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    show([GOOD], "keys", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "imported": 1,
        "known": 0,
        "refused": 0,
        "files": [
            {
                "file": "a.pem",
                "outcome": "imported",
                "reason": "",
                "fingerprint": "ab" * 32,
                "addresses": ["a@example.org"],
            }
        ],
    }
