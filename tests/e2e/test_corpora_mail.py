"""Every mail of the collections, signed and passed: OpenSSL verifies, no decoded leaf changes."""

import asyncio
import binascii
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import Role
from smime_proxy.gateway.transform import Material, Transform
from smime_proxy.gateway.work import Work, make
from smime_proxy.message.entity import Entity, decode_octets
from smime_proxy.message.parse import parse
from smime_proxy.policy.plan import Sign, SigningKey
from smime_proxy.policy.rules import Account
from smime_proxy.smime.classify import outline
from smime_proxy.smime.verify import Trust
from tests.corpus import (
    BOUNDARY,
    RECEIVED,
    RECIPIENT,
    SENDER,
    Everybody,
    Mail,
    is_passed,
    mails,
    send,
    sender_of,
)
from tests.fakes import AT, Octets, World, envelope
from tests.peers import require

pytestmark = pytest.mark.corpora

THREADS = 4  # OpenSSL processes at once
SAMPLE = 8  # one in so many is verified with LF line ends too; a process takes 10 ms and more

# Mails that leave unsigned though their From is clean: rule of the plan -> end of the name.
UNSIGNED = {
    "signed by the client": (
        "mime_emails/raw_email_with_nested_attachment.eml",
        "mime_emails/sig_only_email.eml",
    ),
    "encrypted by the client with PGP/MIME": ("messages/encryptedNestedMessages.eml",),
    "meeting REQUEST": ("messages/invite.eml",),
}
NOT_QUALIFIED = ("unsigned: From does not qualify", "From names no account")
# A line in the header that is no field ends the header for Python's reader, in the original too;
# OpenSSL and our parser read past it.
UNREADABLE = (
    "error_emails/multiple_references_with_one_invalid.eml",
    "plain_emails/raw_email_incorrect_header.eml",
    "emails/rfc2822/example13.eml",
)

FIELD = re.compile(rb"[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
CHANGED = re.compile(rb"(?:content-[^:]*|mime-version|bcc|resent-bcc)[ \t]*:", re.IGNORECASE)
TRAILING_BLANKS = re.compile(rb"[ \t]+(?=\r?\n|\Z)")


@dataclass(frozen=True)
class Signed:
    """A mail as it came and as it left."""

    mail: Mail
    content: bytes = field(repr=False)
    by_gateway: bool = True


@dataclass
class Run:
    """What became of every mail."""

    root: bytes
    signed: list[Signed] = field(default_factory=list)
    unsigned: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def run() -> Run:
    """Sign every mail: by the gateway, or where From is not clean by the same steps."""
    directory = Everybody()
    world = World(directory=directory)
    done = Run(directory.issuer.pem())
    with capture_logs() as logs:
        asyncio.run(_sign_all(world, done))
    assert not [line for line in logs if line["event"] == "internal error"]
    return done


async def _sign_all(world: World, done: Run) -> None:
    for mail in mails("mail"):
        sender = sender_of(mail.raw)
        reply = await send(world, mail.raw, Role.OUTBOUND, sender)
        assert reply.code == 250, (mail.name, reply)
        sent = world.outside.sent.pop()
        if BOUNDARY.search(sent.content):
            done.signed.append(Signed(mail, sent.content))
            continue
        assert is_passed(mail.raw, sent.content), mail.name
        rule = "" if sender else client_made(mail)
        rule = rule or rule_of(world, mail, str(sender or SENDER))
        if rule.startswith(NOT_QUALIFIED):
            done.signed.append(Signed(mail, signed_anyhow(world, mail), by_gateway=False))
        else:
            done.unsigned.setdefault(rule, []).append(mail.name)


def client_made(mail: Mail) -> str:
    """Give the S/MIME or PGP/MIME of a mail of which policy does not ask whose it is."""
    found = outline(parse(mail.raw))
    if found.encrypted or found.pgp_encrypted:
        return "encrypted by the client"
    return "signed by the client" if found.signed else ""


def rule_of(world: World, mail: Mail, sender: str) -> str:
    """Give why the plan does not sign."""
    work = make(world.context(), envelope(mail.raw, sender, RECIPIENT))
    assert isinstance(work, Work), mail.name
    (delivery,) = work.plan.deliveries
    return next((text for text in work.plan.exemptions if ":" in text), delivery.rule)


def signed_anyhow(world: World, mail: Mail) -> bytes:
    """Carry out the treatment `Sign`, which policy would not have chosen."""
    directory = world.directory
    account = Account(parse_mailbox(SENDER))
    material = Material(
        envelope(mail.raw, SENDER, RECIPIENT),
        parse(mail.raw),
        words={},
        authserv_id="proxy.example.test",
        trust=Trust((), (), lambda _issuer, _serial: ()),
        signer=lambda key: directory.signer(key.account, key.entry, AT),
        decryption_keys=lambda _account: (),
        random=Octets(),
    )
    return Transform(material).content(Sign(SigningKey(account, directory.keys(account)[0])))


def test_every_mail_that_can_be_signed_is_signed(run: Run) -> None:
    """E31, E33."""
    by_gateway = sum(one.by_gateway for one in run.signed)
    print(f"{len(run.signed)} signed, {by_gateway} of them by the whole gateway; unsigned:")
    for rule, names in run.unsigned.items():
        print(f"  {len(names)} {rule}: {names}")
    assert len(run.signed) > 1_200
    assert {rule: len(names) for rule, names in run.unsigned.items()} == {
        rule: len(names) for rule, names in UNSIGNED.items()
    }
    for rule, names in run.unsigned.items():
        assert all(name.endswith(UNSIGNED[rule]) for name in names)


def test_openssl_verifies_every_one_and_again_after_a_change_of_line_ends(
    run: Run, tmp_path: Path
) -> None:
    """E34: the trip CRLF to LF to CRLF gives the same octets; stored with LF they verify too."""
    root = tmp_path / "root.pem"
    root.write_bytes(run.root)
    verify = verifier(root)
    stored = {one.mail.name: one.content.replace(b"\r\n", b"\n") for one in run.signed}
    for one in run.signed:
        assert stored[one.mail.name].replace(b"\n", b"\r\n") == one.content, one.mail.name
    assert not failures({one.mail.name: one.content for one in run.signed}, verify)
    sample = dict(list(stored.items())[::SAMPLE])
    assert not failures(sample, verify)
    print(f"{len(stored)} verified by OpenSSL as sent and back, {len(sample)} of them with LF")


def verifier(root: Path) -> Callable[[bytes], str]:
    """Give what runs `openssl cms -verify` and says what it said when it fails."""
    command: list[str | Path] = [
        require("openssl"),
        "cms",
        "-verify",
        "-CAfile",
        root,
        "-out",
        "/dev/null",
    ]

    def verify(content: bytes) -> str:
        done = subprocess.run(command, input=content, capture_output=True, check=False)
        return done.stderr.decode() if done.returncode else ""

    return verify


def failures(contents: Mapping[str, bytes], verify: Callable[[bytes], str]) -> dict[str, str]:
    """Give the names of what does not verify, and why."""
    with ThreadPoolExecutor(THREADS) as pool:
        said = pool.map(verify, contents.values())
        return {name: text for name, text in zip(contents, said, strict=True) if text}


def test_every_decoded_leaf_is_the_originals(run: Run) -> None:
    """E31, E32: as our parser reads them."""
    differ = [
        one.mail.name
        for one in run.signed
        if own_leaves(parse(one.mail.raw)) != own_leaves(parse(one.content).children[0])
    ]
    print(f"{sum(len(own_leaves(parse(one.mail.raw))) for one in run.signed)} leaves are the same")
    assert not differ


def own_leaves(entity: Entity) -> list[tuple[str, bytes]]:
    """Give type and decoded body of each leaf."""
    return [
        (leaf.content_type.full, decode_octets(leaf.body, leaf.transfer_encoding))
        for leaf in entity.walk()
        if leaf.is_leaf
    ]


def test_pythons_mail_reader_finds_the_same_parts_and_fields(run: Run) -> None:
    """E31, E32, E35: beside the transfer encoding nothing in any part changes."""
    differ = []
    for one in run.signed:
        if one.mail.name.endswith(UNREADABLE):
            assert not message_from_bytes(one.content).is_multipart()
            continue
        (boundary,) = BOUNDARY.findall(one.content)
        before = first_part(wrapped(one.mail.raw, boundary))
        if library_parts(before) != library_parts(first_part(one.content)):
            differ.append(one.mail.name)
    print(f"{len(run.signed) - len(UNREADABLE)} read alike, {len(UNREADABLE)} not readable")
    assert not differ


def first_part(content: bytes) -> "Message[str, str]":
    """Give what was signed."""
    part = message_from_bytes(content).get_payload(0)
    assert isinstance(part, Message)
    return part


def wrapped(raw: bytes, boundary: bytes) -> bytes:
    """Put a mail as it is where a signed one has its part.

    A part that is never closed ends elsewhere inside a multipart than at the end of a file, so
    both are read in the same place.
    """
    fields = header_fields(raw)
    content = list(unique(fields, b"content-"))
    if not any(line.lower().startswith(b"content-type") for line in content):
        charset = b"; charset=us-ascii" if body_of(raw).isascii() else b""
        content.insert(0, b"Content-Type: text/plain" + charset + b"\r\n")
    top = b'Content-Type: multipart/signed; boundary="' + boundary + b'"\r\n\r\n'
    delimiter = b"--" + boundary
    lines = (top, delimiter, b"\r\n", *content, b"\r\n", body_of(raw), b"\r\n", delimiter, b"--")
    return b"".join(lines)


def unique(fields: Iterable[bytes], prefix: bytes) -> Iterable[bytes]:
    """Give the fields whose name begins so; of Content-Type and -Transfer-Encoding the first."""
    seen = set()
    for line in fields:
        name = line.partition(b":")[0].strip().lower()
        if name.startswith(prefix) and name not in seen:
            yield line
        if name in (b"content-type", b"content-transfer-encoding"):
            seen.add(name)


def library_parts(message: "Message[str, str]") -> list[object]:
    """Give of every part its type, its fields but for the encoding, and its decoded body."""
    return [
        (
            part.get_content_type(),
            [(name, str(value)) for name, value in part.raw_items() if is_kept(name)],
            None if part.is_multipart() else decoded(part),
        )
        for part in message.walk()
    ]


def is_kept(name: str) -> bool:
    return name.lower() not in ("content-transfer-encoding", "mime-version")


def decoded(part: "Message[str, str]") -> object:
    """Decode a body; blanks at the end of quoted-printable lines are no content (RFC 2045 6.7)."""
    if str(part.get("content-transfer-encoding", "")).strip().lower() != "quoted-printable":
        return part.get_payload(decode=True)
    del part["content-transfer-encoding"]  # else the library decodes, or guesses a charset
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return binascii.a2b_qp(TRAILING_BLANKS.sub(b"", raw))


def test_no_other_field_of_the_header_changes(run: Run) -> None:
    """E35: order and octets stay; Content-*, MIME-Version and Bcc are what signing is about."""
    for one in run.signed:
        content = RECEIVED.sub(b"", one.content, count=1) if one.by_gateway else one.content
        before = [line for line in header_fields(one.mail.raw) if not CHANGED.match(line)]
        after = [line for line in header_fields(content) if not CHANGED.match(line)]
        assert before == after, one.mail.name


def header_fields(raw: bytes) -> list[bytes]:
    """Split the header, which ends at the first empty line."""
    if raw.startswith(b"\r\n"):
        return []
    head, blank, _ = raw.partition(b"\r\n\r\n")
    return FIELD.findall(head + b"\r\n" if blank or not head.endswith(b"\r\n") else head)


def body_of(raw: bytes) -> bytes:
    """Give what stands behind the first empty line."""
    return raw[2:] if raw.startswith(b"\r\n") else raw.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("role", Role)
async def test_every_mail_of_no_account_passes_octet_for_octet(role: Role) -> None:
    """Only what has an S/MIME part gets result fields besides, and that inbound."""
    counts: Counter[str] = Counter()
    world = World()
    upstream = world.outside if role is Role.OUTBOUND else world.inside
    with capture_logs() as logs:
        for mail in mails("mail"):
            reply = await send(world, mail.raw, role, sender_of(mail.raw))
            assert reply.code == 250, (mail.name, reply)
            content = upstream.sent.pop().content
            assert content.endswith(mail.raw), mail.name
            if not is_passed(mail.raw, content):
                assert b"\r\nX-SMIME-Signature: " in content.removesuffix(mail.raw), mail.name
                assert b"pkcs7" in mail.raw, mail.name
                counts["with result fields"] += 1
            counts["passed"] += 1
    print(role, dict(counts))
    assert not [line for line in logs if line["event"] == "internal error"]
    assert counts["passed"] > 1_200
    assert (counts["with result fields"] > 0) == (role is Role.INBOUND)
