"""`explain --from-sent` on a folder of mail, and how it is not to be called."""

from pathlib import Path

import pytest

from .conftest import BILLS, Cli

ALICE = "alice@example.test"
MAIL = f"From: {ALICE}\nTo: x@example.net\nSubject: hello\n\ntext\n"


@pytest.fixture
def sent(cli: Cli) -> Path:
    folder = cli.directory / "Sent"
    for name in ("cur", "new"):
        (folder / name).mkdir(parents=True)
    mails = [MAIL, MAIL, MAIL.replace("x@", "y@"), "Content-Type: text/calendar; method=REPLY\n"]
    mails[-1] += MAIL
    for number, text in enumerate(mails):
        (folder / "cur" / f"{number}:2,S").write_text(text)
    (folder / "new" / "broken").write_bytes(b"\xff\x00")
    return folder


def test_what_would_become_of_sent_mail_is_counted_for_programs(cli: Cli, sent: Path) -> None:
    cli.done("account", "set", ALICE, "--encrypt", "required")
    before = {path: path.stat().st_mtime_ns for path in sent.rglob("*")}
    found = cli.done("explain", "--from-sent", sent, "--json").json
    assert (found["messages"], found["unreadable"], found["exemptions"]) == (4, 1, {"meeting": 1})
    actions = {one["action"]: (one["messages"], one["recipients"]) for one in found["outcomes"]}
    assert actions == {"refuse": (3, 3), "relay": (1, 1)}
    assert [(one["recipient"], one["messages"]) for one in found["refusals"]] == [
        ("x@example.net", 2),
        ("y@example.net", 1),
    ]
    assert found["refusals"][0]["reply"].startswith("550 5.7.5 x@example.net")
    assert [one["messages"] for one in found["without_certificate"]] == [3, 1]
    assert found["unreadable_files"] == [{"file": "new/broken", "reason": "it names no recipient"}]
    assert {path: path.stat().st_mtime_ns for path in sent.rglob("*")} == before
    assert not (cli.state / "outside").exists()


def test_people_see_a_table_and_what_to_do_about(cli: Cli, sent: Path) -> None:
    shown = cli.done("explain", "--from-sent", sent).out
    assert "4 messages were looked at, 1 could not be" in shown
    assert "exemption meeting: 1 messages" in shown
    assert "have no usable certificate, most mail first:" in shown
    assert "not read: new/broken: it names no recipient" in shown
    assert "would be refused" not in shown
    cli.done("account", "set", ALICE, "--encrypt", "required")
    for number in range(30):
        text = MAIL.replace("x@", f"x{number}@")
        (sent / "new" / f"{number}").write_text(text)
    shown = cli.done("explain", "--from-sent", sent).out
    assert "would be refused:" in shown
    assert "and 12 more refusals; --json lists them" in shown


def test_both_ways_of_explaining_are_not_mixed(cli: Cli, sent: Path) -> None:
    file = cli.file("m.eml", MAIL)
    for line, says in (
        (("--from-sent", sent, file, "--from", ALICE), "leave out FILE, --from"),
        (("--from-sent", sent, "--to", "x@y.org"), "leave out --to"),
        (("--from-sent", sent, "--discover"), "leave out --discover"),
        (("--from", ALICE, file), "--from A --to B FILE are needed"),
        (("--from", ALICE, "--to", "x@y.org"), "--from-sent MAILDIR alone"),
        ((), "--from-sent MAILDIR alone"),
    ):
        result = cli("explain", *line)
        assert result.code == 2
        assert says in " ".join(result.err.replace("│", " ").split()), result.err
    assert "No such file" in cli.refused("explain", "--from-sent", sent / "nowhere")
    assert "no listener 'mx'" in cli.refused("explain", "--from-sent", sent, "--listener", "mx")


def test_nothing_is_counted_while_the_key_of_a_declared_account_is_broken(declared: Cli) -> None:
    """What would be said of his mail without his key is never true."""
    folder = declared.directory / "Sent"
    (folder / "cur").mkdir(parents=True)
    (folder / "new").mkdir()
    (folder / "cur" / "1:2,S").write_text(MAIL.replace(ALICE, BILLS))
    line = ("explain", "--from-sent", folder, "--json")
    assert [one["action"] for one in declared.done(*line).json["outcomes"]] == ["sign"]
    (declared.directory / "bills.pem").write_text("nothing")
    assert "bills.pem: the file is neither PEM nor PKCS #12" in declared.refused(*line)
