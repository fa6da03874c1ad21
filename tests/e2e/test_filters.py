"""The order with DKIM that docs/filters.md tells, its Postfix lines run as they stand there.

RFC 6376, RFC 8601; edge cases E38 and E93.
"""

import contextlib
import email.utils
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, Made
from tests.e2e.proxy import ROOT, Design, Listener, Proxy, eventually, serving, to_sink
from tests.opendkim import make_dkim_key, opendkim
from tests.ports import HOST, free_ports
from tests.postfix import Entry, Postfix, postfix_with
from tests.sink import Sink, running

pytestmark = pytest.mark.e2e

DOMAIN, SELECTOR, VERIFIER = "example.test", "mail", "verifier.example.test"
NAMES = ("587", "10025", "10026", "8891", "25", "10027", "10028", "8892")  # of the document


def entries(ports: Mapping[str, int]) -> list[Entry]:
    """Read the services of docs/filters.md, with other ports in place of those there."""
    text = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    found: list[Entry] = []
    for block in re.findall(r"^```\n# master\.cf\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for service in re.findall(r"^(\d+) inet .* smtpd\n((?:  -o .*\n)*)", block, re.MULTILINE):
            options = re.findall(r"^  -o (.*)$", service[1], re.MULTILINE)
            moved = (re.sub(r"\d+$", lambda port: str(ports[port[0]]), one) for one in options)
            found.append(Entry(ports[service[0]], tuple(moved)))
    return found


@dataclass(frozen=True, slots=True)
class Line:
    """Postfix with the ports of the document, OpenDKIM beside it, and where mail ends."""

    port: int
    postfix: Postfix
    proxy: Proxy
    sink: Sink


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("filters")
    key, text = make_dkim_key(folder)
    record = f"{SELECTOR}._domainkey.{DOMAIN} v=DKIM1; k=rsa; p={text}\n"
    (folder / "keys").write_text(record)
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    signing = (f"Domain {DOMAIN}", f"Selector {SELECTOR}", f"KeyFile {key}", "Mode s")
    verifying = (
        "Mode v",
        f"AuthservID {VERIFIER}",
        f"TestPublicKeys {folder}/keys",
        "InternalHosts 192.0.2.1",
    )
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(running(Sink()))
        stack.enter_context(opendkim(folder, ports["8891"], *signing))
        stack.enter_context(opendkim(folder, ports["8892"], *verifying))
        upstreams = {"back": to_sink(ports["10026"]), "in": to_sink(ports["10028"])}
        mx = f'domains = ["{DOMAIN}"]\nreports = "back"'
        listeners = {"out": Listener("outbound", "back"), "mx": Listener("inbound", "in", mx)}
        design = Design(upstreams, listeners, more='[policy]\ninternal = "encrypt"')
        proxy = stack.enter_context(serving(folder / "proxy", made.state, design))
        ports |= {"10025": proxy.ports["out"], "10027": proxy.ports["mx"]}
        # What goes out comes in from the world; what came in goes to the mailboxes.
        world = f"default_transport = smtp:[{HOST}]:{ports['25']}\n"
        mailboxes = f"content_filter=smtp:[{HOST}]:{sink.port}"
        *others, last = entries(ports)
        assert last.port == ports["10028"]
        all_entries = (*others, Entry(last.port, (*last.options, mailboxes)))
        postfix = stack.enter_context(postfix_with(all_entries, world))
        yield Line(ports["587"], postfix, proxy, sink)
        assert "Traceback" not in proxy.log()


def arrived(line: Line, identifier: str) -> bytes:
    """Wait for a mail to come round."""
    name = f"Message-ID: <{identifier}>\r\n".encode()

    def found() -> list[bytes]:
        return [one.content for one in line.sink.messages if name in one.content]

    eventually(lambda: bool(found()), lambda: f"{line.postfix.log()}{line.proxy.log()}")
    (content,) = found()
    return content


def send(line: Line, identifier: str, extra: str = "") -> bytes:
    head = f"From: {ALICE}\r\nTo: {ALICE}\r\nSubject: Order\r\nMessage-ID: <{identifier}>\r\n"
    date = f"Date: {email.utils.formatdate()}\r\n"
    content = f"{head}{date}{extra}\r\nIn this order.\r\n".encode()
    assert deliver(line.port, ALICE, (ALICE,), content).code == 250
    return arrived(line, identifier)


def test_encrypted_mail_is_signed_after_and_verified_before_it_is_opened(line: Line) -> None:
    content = send(line, "order@client.example")
    header, _, body = content.partition(b"\r\n\r\n")
    assert b"In this order." in body
    assert header.count(b"DKIM-Signature: ") == 1
    verified = re.search(rb"^Authentication-Results: verifier\S+\s+dkim=pass", header, re.MULTILINE)
    assert verified is not None
    assert b"X-SMIME-Encryption: decrypted" in header
    assert b"X-SMIME-Badge: green" in header
    # The verifier saw the ciphertext, and did so before it was opened.
    assert header.index(b"X-SMIME-Badge") < verified.start()


def test_a_signature_of_our_own_that_came_too_early_is_gone_and_the_new_one_is_good(
    line: Line,
) -> None:
    early = (
        f"DKIM-Signature: v=1; a=rsa-sha256; d={DOMAIN}; s={SELECTOR};\r\n"
        " h=from; bh=AAAA; b=early\r\n"
    )
    content = send(line, "early@client.example", early)
    assert b"b=early" not in content
    assert content.count(b"DKIM-Signature: ") == 1
    assert b"dkim=pass" in content
    assert b"dkim=fail" not in content


def test_an_invitation_keeps_the_signature_it_came_with(line: Line) -> None:
    early = (
        f"MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST\r\n"
        f"DKIM-Signature: v=1; a=rsa-sha256; d={DOMAIN}; s={SELECTOR};\r\n"
        " h=from; bh=AAAA; b=early\r\n"
    )
    content = send(line, "invitation@client.example", early)
    assert b"b=early" in content
    assert content.count(b"DKIM-Signature: ") == 2
    assert b"dkim=pass" in content
