"""Decrypted mail does not leave again in clear: answers, redirects, forwards; complaint 25, E13.

What comes in was encrypted by openssl, and what leaves is opened by it.
"""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from smime_proxy.message.parse import parse
from tests.e2e.client import Answer, Client, deliver
from tests.e2e.conftest import ALICE, OUTSIDE, PARTNER, TEAM, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.peers import require
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

SECRET = "The canary sings at nine."
ID = "<first.of.it@partner.example>"
ANSWER = f"In-Reply-To: {ID}\r\nReferences: <older@x.example>\r\n {ID}\r\n"


class Scene:
    """A running service and the sink behind it, which takes what goes out and what comes in."""

    def __init__(self, proxy: Proxy, sink: Sink, made: Made, folder: Path) -> None:
        self.proxy, self.sink, self.made, self.folder = proxy, sink, made, folder

    def arrives(self, identifier: str = ID) -> bytes:
        """Bring encrypted mail in for alice; gives what she gets."""
        content = encrypted(self.made.files / "alice.pem", self.folder, identifier)
        answer = deliver(self.proxy.ports["in"], OUTSIDE, (ALICE,), content)
        assert answer.code == 250, answer
        return self.sink.messages[-1].content

    def sends(self, content: bytes, *to: str, sender: str = ALICE) -> Answer:
        """Send octets on, as a client or a mail store does."""
        return deliver(self.proxy.ports["out"], sender, to or (OUTSIDE,), content)

    def refuses(self, content: bytes, *to: str, sender: str = ALICE) -> Answer:
        """Send octets that must not leave; gives the refusal."""
        before = len(self.sink.messages)
        answer = self.sends(content, *to, sender=sender)
        assert (answer.code, answer.status[:4]) == (550, "5.7."), answer
        assert len(self.sink.messages) == before
        return answer

    def opened(self) -> str:
        """Decrypt what left last with the partner's key, by openssl; "" when it cannot be."""
        (self.folder / "left.eml").write_bytes(self.sink.messages[-1].content)
        line = [
            "cms",
            "-decrypt",
            "-in",
            "left.eml",
            "-inkey",
            str(self.made.files / "partner.key"),
        ]
        done = subprocess.run(
            [require("openssl"), *line], cwd=self.folder, capture_output=True, check=False
        )
        return done.stdout.decode() if done.returncode == 0 else ""


@contextmanager
def scene(folder: Path, made: Made, policy: str = "", workers: int = 1) -> Iterator[Scene]:
    with running(Sink()) as sink:
        listeners = {
            "out": Listener("outbound", "sink"),
            "in": Listener("inbound", "sink", 'domains = ["example.test"]'),
        }
        design = Design({"sink": to_sink(sink.port)}, listeners, workers, policy)
        with serving(folder / "proxy", made.state, design) as proxy:
            yield Scene(proxy, sink, made, folder)
            assert proxy.stop() == 0
            assert "Traceback" not in proxy.log()
            assert SECRET not in proxy.log()


@pytest.fixture
def running_scene(tmp_path: Path, made: Made) -> Iterator[Scene]:
    with scene(tmp_path, made) as found:
        yield found


def encrypted(certificate: Path, folder: Path, identifier: str) -> bytes:
    (folder / "plain.txt").write_text(f"Content-Type: text/plain\r\n\r\n{SECRET}\r\n")
    line = ["cms", "-encrypt", "-aes256", "-in", "plain.txt", "-from", OUTSIDE, "-to", ALICE]
    done = subprocess.run(
        [require("openssl"), *line, "-subject", "Nine", str(certificate)],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    head = f"Message-ID: {identifier}\r\n".encode()
    return head + done.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def written(
    more: str = "", to: str = OUTSIDE, subject: str = "Re: Nine", who: str = ALICE
) -> bytes:
    head = f"From: {who}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <answer@example.test>\r\n"
    return f"{head}{more}\r\n> {SECRET}\r\n".encode()


def attached(message: bytes, *, coded: bool) -> bytes:
    body = base64.encodebytes(message).replace(b"\n", b"\r\n") if coded else message
    coding = "base64" if coded else "8bit"
    head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
    parts = (
        f"--b\r\n\r\nSee below.\r\n--b\r\nContent-Type: message/rfc822\r\n"
        f"Content-Transfer-Encoding: {coding}\r\n\r\n"
    ).encode()
    mail = written(head, subject="Fwd: Nine").partition(b"\r\n\r\n")[0]
    return mail + b"\r\n\r\n" + parts + body + b"\r\n--b--\r\n"


def test_an_answer_is_encrypted_to_whom_it_can_be_and_refused_otherwise(
    running_scene: Scene,
) -> None:
    scene = running_scene
    delivered = scene.arrives()
    assert SECRET.encode() in delivered
    (mark,) = parse(delivered).header.find("x-smime-decrypted")
    assert mark.value.startswith("v=1; h=")
    assert scene.sends(written(ANSWER, PARTNER), PARTNER).code == 250
    left = scene.sink.messages[-1].content
    assert SECRET.encode() not in left
    assert b"x-smime" not in left.lower()
    assert SECRET in scene.opened()
    for subject in ("Re: Nine", "[plain] Re: Nine"):
        refused = scene.refuses(written(ANSWER, subject=subject))
        assert refused.status == "5.7.5"
        assert f"{OUTSIDE}: no certificate" in refused.text
        assert "answers mail that came encrypted" in refused.text
        assert "after_decryption" in refused.text
    assert scene.refuses(written(ANSWER), PARTNER, OUTSIDE).status == "5.7.5"
    team = scene.refuses(written(ANSWER, PARTNER, who=TEAM), PARTNER, sender=TEAM)
    assert (team.status, "team account" in team.text) == ("5.7.4", True)
    # Another mail is as it was: nobody is asked for more than before.
    other = written("References: <other@x.example>\r\n").replace(b"<answer@", b"<another@")
    assert scene.sends(other).code == 250
    assert SECRET.encode() in scene.sink.messages[-1].content
    eventually(lambda: scene.proxy.counter("after_decryption") == 1)
    assert "after_decryption: policy.after_decryption, certificate missing" in scene.proxy.log()


def test_who_answers_the_answer_names_no_older_mail_and_is_held_to_it_too(
    running_scene: Scene,
) -> None:
    scene = running_scene
    scene.arrives()
    assert scene.sends(written(ANSWER, TEAM), TEAM).code == 250
    assert (
        SECRET.encode() in scene.sink.messages[-1].content
    )  # inside the house, as `internal` says
    inner = "In-Reply-To: <answer@example.test>\r\n"
    assert scene.refuses(written(inner, who=TEAM), sender=TEAM).status == "5.7.4"


@pytest.mark.parametrize("sender", ["", OUTSIDE, ALICE])
def test_what_was_decrypted_is_not_sent_on_in_clear(running_scene: Scene, sender: str) -> None:
    """By a redirect of the mail store, a vacation notice or report, and a forward as attachment."""
    scene = running_scene
    delivered = scene.arrives()
    body = delivered[delivered.index(b"X-SMIME-Decrypted") :]
    lost = body.partition(b"\r\n")[2]
    assert b"X-SMIME-Decrypted" not in lost
    for sent_on in (delivered, lost, attached(delivered, coded=False), written(ANSWER)):
        assert scene.refuses(sent_on, sender=sender).status == "5.7.5"
    assert scene.refuses(attached(delivered, coded=True), sender=sender).status == "5.7.5"
    for sent_on in (delivered, attached(delivered, coded=True)):
        assert scene.sends(sent_on, PARTNER, sender=sender).code == 250
        assert SECRET.encode() not in scene.sink.messages[-1].content
        assert scene.opened() != ""


def test_a_forged_mark_holds_nobody_up(running_scene: Scene) -> None:
    """Or anybody could keep us from sending on what he wrote."""
    scene = running_scene
    mark = parse(scene.arrives()).header.find("x-smime-decrypted")[0].raw
    other = b"From: eve@x.example\r\nMessage-ID: <other@x.example>\r\n\r\nHello\r\n"
    for forged in (mark, b"X-SMIME-Decrypted: v=1; h=AAAAAAAAAAAAAAAAAAAAAA\r\n"):
        assert scene.sends(attached(forged + other, coded=False)).code == 250
        assert scene.sends(forged + written("References: <other@x.example>\r\n")).code == 250
        assert b"X-SMIME-Decrypted" not in scene.sink.messages[-1].content
    plain = deliver(scene.proxy.ports["in"], OUTSIDE, (ALICE,), mark + other)
    assert plain.code == 250
    assert b"X-SMIME" not in scene.sink.messages[-1].content


def test_explain_says_which_setting_holds(running_scene: Scene) -> None:
    scene = running_scene
    scene.arrives()
    path = scene.folder / "answer.eml"
    path.write_bytes(written(ANSWER))

    def told(*to: str) -> dict[str, str]:
        words = [word for one in to for word in ("--to", one)]
        done = scene.proxy.command("explain", "--from", ALICE, *words, path, "--json")
        return {one["rule"]: one["action"] for one in json.loads(done.stdout)["recipients"]}

    wanted = {"after_decryption: policy.after_decryption": "sign+encrypt"}
    eventually(lambda: told(PARTNER) == wanted)  # it is written within a second
    assert set(told(OUTSIDE).values()) == {"refuse"}


def test_where_policy_says_so_an_answer_is_as_any_other_mail(tmp_path: Path, made: Made) -> None:
    with scene(tmp_path, made, '[policy]\nafter_decryption = "policy"') as found:
        delivered = found.arrives()
        assert found.sends(written(ANSWER)).code == 250
        assert SECRET.encode() in found.sink.messages[-1].content
        assert found.sends(delivered, sender="").code == 250
        assert b"X-SMIME" not in found.sink.messages[-1].content


def served_by(proxy: Proxy, client: Client) -> int:
    """Give the process at the other end of a connection, as the kernel knows it."""
    port = client._socket.getsockname()[1]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in rows if row[2].endswith(f":{port:04X}")}
    for pid in proxy.children():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since it was listed
                if str(link.readlink()).strip("socket:[]") in inodes:
                    return pid
    raise AssertionError("nobody serves it")


def test_what_one_process_decrypted_the_other_knows_before_it_is_delivered(
    tmp_path: Path, made: Made
) -> None:
    with scene(tmp_path, made, workers=2) as found:
        for number in range(2):
            identifier = f"<{number}@partner.example>"
            found.arrives(identifier)
            answer = written(f"In-Reply-To: {identifier}\r\n")
            refused: set[int] = set()
            let_out: set[int] = set()

            def both_refuse(content: bytes = answer) -> bool:
                with Client(found.proxy.ports["out"]) as client:
                    pid = served_by(found.proxy, client)
                    client.say("EHLO client.example.test")
                    code = client.transaction(ALICE, (OUTSIDE,), content).code
                    (refused if code == 550 else let_out).add(pid)  # noqa: B023 - used at once
                    return len(refused) == 2  # noqa: B023 - the same

            eventually(both_refuse)
            assert not let_out


def test_what_was_decrypted_just_before_a_crash_is_known_after_it(
    tmp_path: Path, made: Made
) -> None:
    with scene(tmp_path, made) as found:
        found.arrives()
        found.proxy.kill()
        found.proxy.start()
        assert found.refuses(written(ANSWER)).status == "5.7.5"


def test_it_is_known_after_a_restart_and_with_another_master_key(
    tmp_path: Path, made: Made
) -> None:
    with scene(tmp_path, made) as found:
        delivered = found.arrives()
        assert found.proxy.stop() == 0
        found.proxy.done("store", "rotate-master-key")
        found.proxy.start()
        assert found.refuses(written(ANSWER)).status == "5.7.5"
        assert found.refuses(attached(delivered, coded=True)).status == "5.7.5"
        raw = b"".join(path.read_bytes() for path in found.proxy.state.glob("store.sqlite*"))
        assert b"first.of.it" not in raw
