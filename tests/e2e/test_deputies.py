"""Readers get the mail of whom they read for in clear; complaint 25, I6.

One service for all: what comes in was encrypted by openssl, and what leaves is opened by it.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smime_proxy.message.parse import parse
from tests.e2e.client import Answer, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, TEAM, Made, command
from tests.e2e.proxy import Design, Listener, Proxy, eventually, to_sink
from tests.peers import require
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

BOB, ALIAS = "bob@example.test", "b.alias@example.test"
DEPUTY, STRANGER = "deputy@example.test", "stranger@example.test"  # no accounts
SECRET = "What the deputy may know."
OPENED = b"X-SMIME-Encryption: decrypted"


@dataclass
class Office:
    """Alice, for whom bob and her deputy read; bob has a key of his own, the deputy no account."""

    proxy: Proxy
    sink: Sink
    made: Made
    folder: Path

    def arrives(
        self, names: tuple[str, ...], *recipients: str, identifier: str = "1@x.example"
    ) -> dict[str, bytes]:
        """Bring in mail encrypted to some; gives what each recipient got."""
        before = len(self.sink.messages)
        content = self.sealed(names, identifier)
        answer = deliver(self.proxy.ports["in"], OUTSIDE, recipients, content)
        assert answer.code == 250, answer
        return {
            recipient: message.content
            for message in self.sink.messages[before:]
            for recipient in message.recipients
        }

    def sealed(self, names: tuple[str, ...], identifier: str = "1@x.example") -> bytes:
        """Let openssl encrypt to the certificates of some."""
        certificates = [str(self.folder / f"{name}.pem") for name in names]
        line = ("cms", "-encrypt", "-aes256", "-from", OUTSIDE, "-to", ALICE, "-subject", "Nine")
        done = subprocess.run(
            [require("openssl"), *line, *certificates],
            input=f"Content-Type: text/plain\r\n\r\n{SECRET}\r\n".encode(),
            capture_output=True,
            check=True,
        )
        head = f"Message-ID: <{identifier}>\nSensitivity: Personal\n".encode()
        return (head + done.stdout.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")

    def sends(self, sender: str, to: str, more: str) -> Answer:
        """Send an answer out."""
        head = f"From: {sender}\r\nTo: {to}\r\nSubject: Re: Nine\r\nMessage-ID: <2@x.example>\r\n"
        content = f"{head}{more}\r\n> {SECRET}\r\n".encode()
        return deliver(self.proxy.ports["out"], sender, (to,), content)

    def changes(self, *words: str) -> None:
        """Run a command and wait until the service knows what it changed."""
        before = self.proxy.log().count("store_reloaded")
        command(self.proxy, *words)
        eventually(lambda: self.proxy.log().count("store_reloaded") > before, self.proxy.log)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    with running(Sink()) as sink:
        mx = 'domains = ["example.test"]\nreports = "sink"'
        listeners = {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", mx),
        }
        proxy = Proxy(folder / "proxy", Design({"sink": to_sink(sink.port)}, listeners))
        shutil.copytree(made.state, proxy.state)
        command(proxy, "account", "add", BOB, "--alias", ALIAS)
        (folder / "bob.pem").write_text(command(proxy, "ca", "issue", BOB))
        command(proxy, "account", "set", ALICE, "--reader", DEPUTY, "--reader", ALIAS)
        for name in ("alice", "team"):
            shutil.copy(made.files / f"{name}.pem", folder)
        try:
            proxy.start()
            yield Office(proxy, sink, made, folder)
            assert proxy.stop() == 0
            assert "Traceback" not in proxy.log()
            assert SECRET not in proxy.log()
        finally:
            proxy.end()


def is_open(content: bytes) -> bool:
    fields = parse(content).header
    opened = SECRET.encode() in content
    assert (OPENED in content) is opened
    assert [field.value for field in fields.find("sensitivity")] == [
        "Private" if opened else "Personal"
    ]
    return opened


def test_readers_get_it_as_whom_they_read_for_and_a_stranger_the_ciphertext(
    office: Office,
) -> None:
    got = office.arrives(("alice",), ALICE, DEPUTY, STRANGER, "bob+x@example.test")
    assert {name: is_open(content) for name, content in got.items()} == {
        ALICE: True,
        DEPUTY: True,
        "bob+x@example.test": True,
        STRANGER: False,
    }
    assert got[DEPUTY] == got[ALICE]
    lines = re.findall(r" delivery .*", office.proxy.log())
    assert any(DEPUTY in line and f"opened_with={ALICE}" in line for line in lines)
    for alone in (DEPUTY, ALIAS, BOB):
        assert is_open(office.arrives(("alice",), alone)[alone])


def test_a_reader_opens_nothing_else(office: Office) -> None:
    got = office.arrives(("bob",), ALICE, DEPUTY, BOB)
    assert {name: is_open(content) for name, content in got.items()} == {
        ALICE: False,
        DEPUTY: False,
        BOB: True,
    }
    before = len(office.sink.messages)
    team = deliver(office.proxy.ports["in"], OUTSIDE, (TEAM,), office.sealed(("alice", "team")))
    assert (team.code, team.status) == (550, "5.7.4")
    assert len(office.sink.messages) == before
    got = office.arrives(("alice", "team"), DEPUTY, TEAM)
    assert is_open(got[DEPUTY])
    assert TEAM not in got
    assert f"Final-Recipient: rfc822; {TEAM}".encode() in got[OUTSIDE]


def test_a_readers_answer_is_encrypted_or_refused(office: Office) -> None:
    office.arrives(("alice",), DEPUTY, identifier="3@x.example")
    answer = "In-Reply-To: <3@x.example>\r\n"
    for sender in (DEPUTY, BOB):
        before = len(office.sink.messages)
        refused = office.sends(sender, OUTSIDE, answer)
        assert (refused.code, refused.status) == (550, "5.7.5"), refused
        assert len(office.sink.messages) == before
        assert office.sends(sender, PARTNER, answer).code == 250
        left = office.sink.messages[-1].content
        assert SECRET.encode() not in left
        opened = subprocess.run(
            [require("openssl"), "cms", "-decrypt", "-inkey", office.made.files / "partner.key"],
            input=left,
            capture_output=True,
            check=True,
        )
        assert SECRET.encode() in opened.stdout


def test_explain_says_who_opens_it_with_whose_keys(office: Office) -> None:
    path = office.folder / "sealed.eml"
    path.write_bytes(office.sealed(("alice", "bob")))
    to = [word for name in (ALICE, BOB, DEPUTY, STRANGER) for word in ("--to", name)]
    line = ("explain", "--listener", "in", "--from", OUTSIDE, *to, str(path))
    assert f"opened for {DEPUTY} with keys of {ALICE}\n" in command(office.proxy, *line)
    told = command(office.proxy, *line, "--json")
    assert {one["recipient"]: one["opened_with"] for one in json.loads(told)["recipients"]} == {
        ALICE: [ALICE],
        BOB: [BOB, ALICE],
        DEPUTY: [ALICE],
        STRANGER: [],
    }


def test_former_keys_of_a_disabled_account_open_until_nobody_reads_any_more(
    office: Office,
) -> None:
    """Last of all: it takes the readers away."""
    (key,) = json.loads(command(office.proxy, "account", "keys", ALICE, "--json"))
    office.changes("account", "retire-key", ALICE, key["id"])
    office.changes("account", "disable", ALICE)
    assert is_open(office.arrives(("alice",), DEPUTY)[DEPUTY])
    office.changes("account", "set", ALICE, "--reader", BOB)
    got = office.arrives(("alice",), DEPUTY, BOB)
    assert (is_open(got[DEPUTY]), is_open(got[BOB])) == (False, True)
    office.changes("account", "set", ALICE, "--reader", "")
    assert not is_open(office.arrives(("alice",), BOB)[BOB])
