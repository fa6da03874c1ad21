"""Every file of the S/MIME collections as mail, both ways: no crash, no delay, nothing lost.

RFC 8551 3 (labels), RFC 5652; reproducers of crashes in other programs are among them (E90).
"""

import base64
import binascii
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from structlog.testing import capture_logs

from smime_proxy.address import Mailbox
from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey
from smime_proxy.envelope import Role
from smime_proxy.gateway.replies import REPLIES
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.reply import Reply
from smime_proxy.smtp.intake import normalise
from tests.corpus import BOUNDARY, RECIPIENT, Everybody, is_passed, send, sender_of
from tests.fakes import DATE, FakeDirectory, World
from tests.peers import corpora

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning"),
]

MAX_FILE = 2_000_000  # octets; larger files are archives
MAX_SECONDS = 2  # of CPU for one mail

ARMOUR = re.compile(rb"-----BEGIN [^-]+-----\s(.*?)-----END", re.DOTALL)
DECRYPTED = re.compile(rb"^X-SMIME-Encryption: decrypted", re.MULTILINE)
GREEN = re.compile(rb"^X-SMIME-Badge: green", re.MULTILINE)
SMIME_RESULT = re.compile(rb"^X-SMIME-Signature: (\w+)", re.MULTILINE)
ANY_REPLY = {(row.code, row.subject, row.detail) for row in REPLIES.values()}
HEAD = (
    f"From: mallory@example.net\r\nTo: {RECIPIENT}\r\nSubject: x\r\nDate: {DATE}\r\n"
    "Message-ID: <1@example.net>\r\nMIME-Version: 1.0\r\n"
).encode()


@dataclass
class Keyring(FakeDirectory):
    """Every address is a personal account that has all private keys of the collections."""

    ring: Sequence[DecryptionKey] = field(default_factory=list)
    kind: Kind = Kind.PERSONAL

    def account(self, mailbox: Mailbox) -> Account | None:
        return Account(mailbox, self.kind)

    def decryption_keys(self, account: Account) -> Sequence[DecryptionKey]:
        return self.ring


def all_keys() -> Iterator[DecryptionKey]:
    """Load the private keys with a certificate that are usable for decryption."""
    for path in sorted(corpora("smime").rglob("*.key.pem")):
        key = load_pem_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        if isinstance(key, PrivateKey):
            pem = path.with_name(path.name.replace(".key.", ".crt.")).read_bytes()
            der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
            yield DecryptionKey.build(key, der)


def contents() -> Iterator[tuple[str, bytes]]:
    """Give each file as a message, and each that may be CMS inside three kinds of message."""
    root = corpora("smime")
    seen: set[bytes] = set()
    for path in sorted(root.rglob("*")):
        if not path.is_file() or not 0 < path.stat().st_size < MAX_FILE:
            continue
        raw = path.read_bytes()
        if raw in seen:
            continue
        seen.add(raw)
        name = str(path.relative_to(root))
        yield name, normalise(re.sub(rb"\AFrom [^\r\n]*\r?\n", b"", raw))
        for der in objects(path, raw):
            text = base64.encodebytes(der).replace(b"\n", b"\r\n")
            yield f"{name} as pkcs7-mime", opaque(text)
            yield f"{name} as signature", clear(text)
            yield f"{name} by its name", attached(text)


def objects(path: Path, raw: bytes) -> Iterator[bytes]:
    """Give what may be a CMS object in a file: armoured blocks, or the octets themselves."""
    armoured = ARMOUR.findall(raw)
    if armoured and b"PRIVATE KEY" not in raw and b"BEGIN CERTIFICATE--" not in raw:
        for block in armoured:
            text = b"".join(block.split())
            with suppress(binascii.Error):
                yield base64.b64decode(text[: len(text) // 4 * 4])
    elif raw.startswith(b"0") and path.suffix not in {".eml", ".txt"}:
        yield raw


def opaque(text: bytes) -> bytes:
    fields = b"Content-Type: application/pkcs7-mime; name=smime.p7m\r\n"
    return HEAD + fields + b"Content-Transfer-Encoding: base64\r\n\r\n" + text


def clear(text: bytes) -> bytes:
    top = b"Content-Type: multipart/signed; protocol=application/pkcs7-signature; boundary=b\r\n"
    part = b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nbadger\r\n--b\r\n"
    signature = (
        b"Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n"
    )
    return HEAD + top + part + signature + b"\r\n" + text + b"\r\n--b--\r\n"


def attached(text: bytes) -> bytes:
    fields = b"Content-Type: application/octet-stream; name=smime.p7m\r\n"
    return HEAD + fields + b"Content-Transfer-Encoding: base64\r\n\r\n" + text


async def attempt(world: World, name: str, raw: bytes, role: Role) -> Reply:
    """Send a mail; it must be answered by the table, in time, and not as an internal error."""
    sender = sender_of(raw) if role is Role.OUTBOUND else None
    started = time.process_time()
    reply = await send(world, raw, role, sender)
    assert time.process_time() - started < MAX_SECONDS, name
    status = reply.status
    if reply.code != 250:
        assert status is not None, name
        assert (reply.code, status.subject, status.detail) in ANY_REPLY, (name, reply)
        assert (reply.code, status.subject, status.detail) != (451, 3, 0), (name, reply)
    return reply


async def test_no_file_hurts_inbound_and_what_is_not_decrypted_keeps_its_octets() -> None:
    """E90; nobody is trusted here, so nothing is green."""
    counts: Counter[str] = Counter()
    world = World(directory=Keyring(ring=tuple(all_keys())))
    with capture_logs() as logs:
        for name, raw in contents():
            reply = await attempt(world, name, raw, Role.INBOUND)
            if reply.code != 250:
                counts[f"refused {reply.code} {reply.status}"] += 1
                assert not world.inside.sent, name
                continue
            content = world.inside.sent.pop().content
            assert not GREEN.search(content), name
            if DECRYPTED.search(content.partition(b"\r\n\r\n")[0]):
                counts["decrypted"] += 1
            else:
                assert content.endswith(raw), name
                found = SMIME_RESULT.search(content.removesuffix(raw))
                counts[f"as it came, {found[1].decode() if found else 'passed'}"] += 1
    print(sum(counts.values()), "inbound", dict(sorted(counts.items())))
    assert not [line for line in logs if line["event"] == "internal error"]
    assert counts["decrypted"] > 10


async def test_no_file_hurts_inbound_for_a_team() -> None:
    """What is encrypted goes back; everything else arrives as it came."""
    counts: Counter[int] = Counter()
    world = World(directory=Keyring(kind=Kind.TEAM))
    with capture_logs() as logs:
        for name, raw in contents():
            reply = await attempt(world, name, raw, Role.INBOUND)
            counts[reply.code] += 1
            if reply.code == 250:
                assert world.inside.sent.pop().content.endswith(raw), name
    print(sum(counts.values()), "inbound for a team", dict(sorted(counts.items())))
    assert not [line for line in logs if line["event"] == "internal error"]
    assert set(counts) <= {250, 550, 554}


async def test_no_file_hurts_outbound_and_each_is_signed_or_passed() -> None:
    """E33, E48, E90."""
    counts: Counter[str] = Counter()
    world = World(directory=Everybody())
    with capture_logs() as logs:
        for name, raw in contents():
            reply = await attempt(world, name, raw, Role.OUTBOUND)
            if reply.code != 250:
                counts[f"refused {reply.code} {reply.status}"] += 1
                continue
            content = world.outside.sent.pop().content
            is_signed = BOUNDARY.search(content) is not None
            assert is_signed or is_passed(raw, content), name
            counts["signed" if is_signed else "passed"] += 1
    print(sum(counts.values()), "outbound", dict(sorted(counts.items())))
    assert not [line for line in logs if line["event"] == "internal error"]
    assert counts["passed"] > 100
