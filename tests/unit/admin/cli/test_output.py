import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from smime_proxy.admin.cli.output import emit_fields, emit_json, emit_table, plain, say, tell

from .conftest import Cli

Capture = pytest.CaptureFixture[str]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Inner:
    name: str


@dataclass(frozen=True)
class View:
    address: str
    enabled: bool
    empty: str
    names: tuple[str, ...]
    made_at: datetime
    inner: Inner


VIEW = View("ä@example.test", True, "", ("a", "b"), NOON, Inner("x"))


def test_a_mapping_is_one_cell(capsys: Capture) -> None:
    emit_table(("reads",), [({"a@y.org": ("x", "y"), "b@y.org": ("z",)},), ({},)])
    assert capsys.readouterr().out.splitlines()[1:] == ["a@y.org: x, y; b@y.org: z", ""]


def test_views_become_json_with_iso_times(capsys: Capture) -> None:
    emit_json([VIEW])
    assert json.loads(capsys.readouterr().out) == [plain(VIEW)]
    assert plain(VIEW) == {
        "address": "ä@example.test",
        "enabled": True,
        "empty": "",
        "names": ["a", "b"],
        "made_at": "2026-01-31T12:00:00+00:00",
        "inner": {"name": "x"},
    }


def test_tables_line_up(capsys: Capture) -> None:
    emit_table(("a", "long name"), [("1234", True), (None, ("x", "y"))])
    assert capsys.readouterr().out == "A     LONG NAME\n1234  yes\n      x, y\n"


def test_an_empty_table_says_nothing(capsys: Capture) -> None:
    emit_table(("a",), [])
    assert capsys.readouterr().out == ""


def test_fields_are_shown_by_name_and_empty_ones_left_out(capsys: Capture) -> None:
    emit_fields(VIEW)
    assert capsys.readouterr().out.splitlines() == [
        "address: ä@example.test",
        "enabled: yes",
        "names: a, b",
        "made at: 2026-01-31 12:00Z",
        "name: x",
    ]


def test_what_strangers_wrote_does_not_steer_the_terminal(capsys: Capture) -> None:
    tell("\x1b[2Jred")
    say("a\nb")
    emit_table(("a",), [("\x9b1m",)])
    captured = capsys.readouterr()
    assert captured.out == "\\x1b[2Jred\nA\n\\x9b1m\n"
    assert captured.err == "a\\x0ab\n"


@pytest.mark.parametrize(
    "line",
    [
        ("cert", "show", "nobody@example.org"),
        ("account", "show", "nobody@example.test"),
        ("explain", "--from", "a@b.test", "--to", "b@b.test", "/nowhere"),
        ("inspect", "/nowhere"),
    ],
)
def test_a_fault_is_the_same_line_with_json_and_no_document(
    cli: Cli, line: tuple[str, ...]
) -> None:
    result = cli(*line, "--json")
    assert (result.code, result.out) == (1, "")
    assert result.err.removeprefix("smime-proxy: ").rstrip("\n") == cli.refused(*line)
