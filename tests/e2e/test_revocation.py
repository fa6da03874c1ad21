"""Revocation end to end: a responder and a list server are asked behind the mail; E81, A14."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from tests import pki
from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.peers import require
from tests.ports import HOST, free_ports
from tests.sink import Message, Sink, running
from tests.tied import tied
from tests.unit.certs.answers import crl_der
from tests.unit.certs.test_status_sources import access, points
from tests.web import Lists

pytestmark = pytest.mark.e2e

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ROOT = pki.root("Revoking root", kind="p256")
SENDER = "sender@example.org"


@pytest.fixture
def lists() -> Iterator[Lists]:
    made = Lists()
    yield made
    made.close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with running(Sink()) as made:
        yield made


class Responder:
    """`openssl ocsp` with an index in which certificates are good or revoked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._openssl = str(require("openssl"))
        self.port = free_ports(1)[0]
        self.url = f"http://{HOST}:{self.port}/"
        (folder / "root.pem").write_bytes(ROOT.pem())
        (folder / "root.key").write_bytes(ROOT.key_pem())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, good: list[pki.Identity], revoked: list[pki.Identity]) -> None:
        """Answer for these; whoever else is asked for is unknown."""
        rows = [("V", "", one) for one in good]
        rows += [("R", f"{NOW - DAY:%y%m%d%H%M%S}Z,keyCompromise", one) for one in revoked]
        index = "".join(
            f"{state}\t400101000000Z\t{when}\t{one.certificate.serial:04X}\tunknown\t/CN=x\n"
            for state, when, one in rows
        )
        (self._folder / "index.txt").write_text(index)
        line = [self._openssl, "ocsp", "-index", "index.txt", "-port", str(self.port)]
        line += ["-CA", "root.pem", "-rsigner", "root.pem", "-rkey", "root.key", "-ndays", "1"]
        self._process = subprocess.Popen(
            line,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=tied(),
        )

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


@pytest.fixture
def responder(tmp_path: Path) -> Iterator[Responder]:
    folder = tmp_path / "ocsp"
    folder.mkdir()
    made = Responder(folder)
    yield made
    made.stop()


def person(*extra: tuple[x509.ExtensionType, bool], label: str = SENDER) -> pki.Identity:
    return pki.person(ROOT, SENDER, kind="p256", label=label, extra=extra)


def designed(sink: Sink, more: str) -> Design:
    inbound = 'domains = ["example.test"]\nreports = "sink"'
    listeners = {
        "in": Listener("inbound", "sink", inbound),
        "out": Listener("outbound", "sink"),
    }
    return Design({"sink": to_sink(sink.port)}, listeners, more=f"[revocation]\n{more}\n")


ALLOWED = f'allowed_networks = ["{HOST}/32"]'


@contextmanager
def started(tmp_path: Path, made: Made, sink: Sink, more: str) -> Iterator[Proxy]:
    with serving(tmp_path / "proxy", made.state, designed(sink, more)) as proxy:
        root = tmp_path / "revoking.pem"
        root.write_bytes(ROOT.pem())
        proxy.changed("trust", "add", root)
        yield proxy


def signed(folder: Path, identity: pki.Identity) -> bytes:
    """Sign a mail with OpenSSL."""
    certificate, key, text = (folder / name for name in ("s.pem", "s.key", "s.txt"))
    certificate.write_bytes(identity.pem())
    key.write_bytes(identity.key_pem())
    text.write_bytes(b"Content-Type: text/plain\r\n\r\nHello\r\n")
    line = ["cms", "-sign", "-in", text, "-signer", certificate, "-inkey", key]
    line += ["-from", SENDER, "-to", ALICE, "-subject", "x"]
    made = subprocess.run(
        [str(require("openssl")), *map(str, line)], capture_output=True, check=True, timeout=60
    ).stdout
    date = f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000\n".encode()
    return (date + made.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def received(proxy: Proxy, sink: Sink, content: bytes) -> Message:
    assert deliver(proxy.ports["in"], SENDER, (ALICE,), content).code == 250
    return sink.messages[-1]


def badge(message: Message) -> str:
    lines = message.content.split(b"\r\n\r\n")[0].decode().split("\r\n")
    return next(line.partition(": ")[2] for line in lines if line.startswith("X-SMIME-Badge"))


def becomes(proxy: Proxy, sink: Sink, content: bytes, wanted: str) -> Message:
    """Deliver again and again until the badge is another one: known next time."""
    eventually(lambda: badge(received(proxy, sink, content)) == wanted, proxy.log)
    return sink.messages[-1]


def test_ocsp_unknown_first_and_known_the_next_time(
    tmp_path: Path, made: Made, sink: Sink, responder: Responder
) -> None:
    good, bad = (person(access(responder.url), label=f"{SENDER} {n}") for n in range(2))
    responder.start([good], [bad])
    with started(tmp_path, made, sink, ALLOWED) as proxy:
        content = signed(tmp_path, bad)
        first = time.monotonic()
        assert badge(received(proxy, sink, content)) == "green"  # soft: not known counts as good
        assert time.monotonic() - first < 5
        message = becomes(proxy, sink, content, "red")
        assert b"smime=fail" in message.content
        assert b"chain=revoked" in message.content
        assert b"revoked on" in message.content
        assert badge(received(proxy, sink, signed(tmp_path, good))) == "green"
        assert proxy.counter("revocation_fetches") >= 1
        assert "Traceback" not in proxy.log()


def test_in_hard_mode_nobody_passes_before_he_is_known(
    tmp_path: Path, made: Made, sink: Sink, responder: Responder
) -> None:
    """V9; and mail that would be encrypted to him waits."""
    good, strange = (person(access(responder.url), label=f"{SENDER} {n}") for n in range(2))
    responder.start([good], [])
    with started(tmp_path, made, sink, f'mode = "hard"\n{ALLOWED}') as proxy:
        partner = tmp_path / "partner.pem"
        partner.write_bytes(good.pem())
        proxy.changed("cert", "import", partner)
        mail = f"From: {ALICE}\r\nTo: {SENDER}\r\n\r\nText\r\n".encode()
        answer = deliver(proxy.ports["out"], ALICE, (SENDER,), mail)
        assert (answer.code, answer.status) == (451, "4.7.5"), answer.text
        assert not sink.messages

        def sent() -> bool:
            return deliver(proxy.ports["out"], ALICE, (SENDER,), mail).code == 250

        eventually(sent, proxy.log)
        assert b"pkcs7-mime" in sink.messages[-1].content
        assert badge(received(proxy, sink, signed(tmp_path, good))) == "green"
        message = received(proxy, sink, signed(tmp_path, strange))
        assert badge(message) == "yellow"
        assert b"smime=temperror" in message.content
        responder.stop()
        again = received(proxy, sink, signed(tmp_path, good))
        assert badge(again) == "green"  # the answer is kept


def test_a_list_revokes_and_a_revoked_partner_is_not_encrypted_to(
    tmp_path: Path, made: Made, sink: Sink, lists: Lists
) -> None:
    identity = person(points(lists.url("/root.crl")))
    current = {"this_update": NOW - DAY, "next_update": NOW + DAY}
    lists.pages["/root.crl"] = crl_der(ROOT, identity, at=NOW - DAY, **current)  # type: ignore[arg-type]  # times
    with started(tmp_path, made, sink, ALLOWED) as proxy:
        partner = tmp_path / "partner.pem"
        partner.write_bytes(identity.pem())
        proxy.changed("cert", "import", partner)
        becomes(proxy, sink, signed(tmp_path, identity), "red")
        seen = len(sink.messages)
        mail = f"From: {ALICE}\r\nTo: {SENDER}\r\n\r\nText\r\n".encode()
        eventually(
            lambda: deliver(proxy.ports["out"], ALICE, (SENDER,), mail).code == 550, proxy.log
        )
        answer = deliver(proxy.ports["out"], ALICE, (SENDER,), mail)
        assert "revoked on" in answer.text
        assert all(b"pkcs7-mime" in one.content for one in sink.messages[seen:])


@pytest.mark.parametrize("page", [None, b"nonsense"])
def test_a_list_that_cannot_be_had_is_no_harm_in_soft_mode(
    tmp_path: Path, made: Made, sink: Sink, lists: Lists, page: bytes | None
) -> None:
    identity = person(points(lists.url("/root.crl")))
    if page is not None:
        lists.pages["/root.crl"] = page
    with started(tmp_path, made, sink, ALLOWED) as proxy:
        content = signed(tmp_path, identity)
        assert badge(received(proxy, sink, content)) == "green"
        eventually(lambda: bool(lists.visits), proxy.log)
        assert badge(received(proxy, sink, content)) == "green"
        time.sleep(3)
        assert len(lists.visits) == 1  # a failure is not tried again at once


@pytest.mark.parametrize(
    ("until", "wanted"), [(NOW + DAY, "green"), (NOW - timedelta(hours=1), "yellow")]
)
def test_in_hard_mode_a_stale_list_says_nothing(
    tmp_path: Path, made: Made, sink: Sink, lists: Lists, until: datetime, wanted: str
) -> None:
    identity, another = person(points(lists.url("/root.crl"))), person(label="another")
    days = {"this_update": NOW - 2 * DAY, "next_update": until}
    lists.pages["/root.crl"] = crl_der(ROOT, another, at=NOW - 2 * DAY, **days)  # type: ignore[arg-type]  # times
    with started(tmp_path, made, sink, f'mode = "hard"\n{ALLOWED}') as proxy:
        content = signed(tmp_path, identity)
        assert badge(received(proxy, sink, content)) == "yellow"
        eventually(lambda: bool(lists.visits), proxy.log)
        time.sleep(2)  # for what was fetched to be kept and read
        message = becomes(proxy, sink, content, wanted)
        assert (b"smime=temperror" in message.content) is (wanted == "yellow")


def test_a14_nobody_is_asked_on_the_word_of_strangers(
    tmp_path: Path, made: Made, sink: Sink, lists: Lists
) -> None:
    """A14: no trusted issuer, or an address inside: not one connection, and the mail passes."""
    stranger = pki.root("Nobody trusts it", kind="p256")
    urls = [points(lists.url("/1", host)) for host in (HOST, "localhost", "[::ffff:127.0.0.1]")]
    inside = [person(one, label=f"{SENDER} {number}") for number, one in enumerate(urls)]
    outside = pki.person(stranger, SENDER, kind="p256", extra=[urls[0]])
    with started(tmp_path, made, sink, "") as proxy:
        for identity in inside:
            assert badge(received(proxy, sink, signed(tmp_path, identity))) == "green"
        assert badge(received(proxy, sink, signed(tmp_path, outside))) == "yellow"
        eventually(lambda: proxy.log().count("revocation source") >= len(urls), proxy.log)
        time.sleep(1)
        assert lists.visits == []


def sent_to_partner(proxy: Proxy, folder: Path, identity: pki.Identity) -> bytes:
    """Make somebody a partner; gives a mail to him."""
    partner = folder / "partner.pem"
    partner.write_bytes(identity.pem())
    proxy.changed("cert", "import", partner)
    return f"From: {ALICE}\r\nTo: {SENDER}\r\n\r\nText\r\n".encode()


def test_with_a_budget_the_first_mail_is_judged_with_what_comes(
    tmp_path: Path, made: Made, sink: Sink, responder: Responder
) -> None:
    good, bad = (person(access(responder.url), label=f"{SENDER} {n}") for n in range(2))
    responder.start([good], [bad])
    more = f'mode = "hard"\nbudget = 15.0\n{ALLOWED}'
    with started(tmp_path, made, sink, more) as proxy:
        assert badge(received(proxy, sink, signed(tmp_path, bad))) == "red"
        mail = sent_to_partner(proxy, tmp_path, good)
        start = time.monotonic()
        answer = deliver(proxy.ports["out"], ALICE, (SENDER,), mail)
        assert answer.code == 250, answer.text
        assert b"enveloped-data" in sink.messages[-1].content
        assert time.monotonic() - start < 10
        assert badge(received(proxy, sink, signed(tmp_path, good))) == "green"
        assert "Traceback" not in proxy.log()


def test_a_slow_source_costs_the_budget_once(
    tmp_path: Path, made: Made, sink: Sink, lists: Lists
) -> None:
    identity = person(points(lists.url("/root.crl")))
    lists.seconds = 6.0
    with started(tmp_path, made, sink, f"budget = 2.0\n{ALLOWED}") as proxy:
        content, took = signed(tmp_path, identity), []
        for _ in range(3):
            start = time.monotonic()
            assert badge(received(proxy, sink, content)) == "green"
            took.append(time.monotonic() - start)
        assert 1.9 < took[0] < 4
        assert max(took[1:]) < 1.5
        assert len(lists.visits) == 1


@pytest.mark.parametrize("page", [None, b"nonsense"])
def test_nobody_waits_for_what_failed(
    tmp_path: Path, made: Made, sink: Sink, lists: Lists, page: bytes | None
) -> None:
    identity = person(points(lists.url("/root.crl")))
    if page is not None:
        lists.pages["/root.crl"] = page
    with started(tmp_path, made, sink, f"budget = 20.0\n{ALLOWED}") as proxy:
        content = signed(tmp_path, identity)
        for _ in range(2):
            start = time.monotonic()
            assert badge(received(proxy, sink, content)) == "green"
            assert time.monotonic() - start < 5
        assert len(lists.visits) == 1
