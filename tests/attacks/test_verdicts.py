"""docs/verdicts.md row by row: the page is what is expected, the messages here are what arrives.

RFC 8601 2.7.1, RFC 7281, the contract's table; verdicts V1 to V30.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.cms.ciphers import TRIPLE_DES
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.smime.encrypt import encrypt_entity
from smime_proxy.smime.gateway_signer import GatewaySigner
from smime_proxy.smime.status import result_fields
from smime_proxy.smime.verify import Trust
from tests import pki
from tests.fakes import Octets
from tests.house.source import ROOT
from tests.unit.certs.answers import DAY, Known, crl
from tests.unit.cms import made, parties
from tests.unit.smime.cases import (
    ALICE,
    AT,
    ID,
    PART,
    alice,
    clear,
    cms,
    delivered,
    enveloped,
    key,
    message,
    opaque,
    person,
    received,
    signature,
    trust,
    weakly_signed,
)

DOCUMENT = ROOT / "docs" / "verdicts.md"
CASES = ROOT / "tests" / "cases"
EVE = "eve@example.test"
PLAIN = b"Content-Type: text/plain\r\n\r\nHello\r\n"


@dataclass(frozen=True)
class Mail:
    """What arrives, the keys that are there, and what chains are judged by."""

    content: bytes
    keys: tuple[DecryptionKey, ...] = ()
    trust: Trust | None = None
    at: datetime = AT


def bare(content: bytes, *keys: DecryptionKey, trusting: Trust | None = None) -> Mail:
    return Mail(message(content), keys, trusting)


def multipart(*parts: bytes) -> bytes:
    body = b"".join(b"--m\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/mixed; boundary=m\r\n\r\n" + body + b"--m--\r\n"


def signed_by(**declared: object) -> bytes:
    return clear(identity=person(ALICE, **{"label": "verdicts", **declared}))


def below_a_weak_key() -> Mail:
    root = pki.root("Weak root", kind="rsa1024")
    leaf = pki.person(root, ALICE, kind="p256", label="verdicts")
    return bare(clear(identity=leaf), trusting=trust(root))


def signers(*parts: bytes) -> bytes:
    infos = [made.signer_info([made.CONTENT_TYPE, made.message_digest(part)]) for part in parts]
    return clear(der=made.signed_data(*infos))


def without_certificate() -> bytes:
    info = made.signer_info([made.CONTENT_TYPE, made.message_digest(PART)])
    return clear(der=made.signed_data(info, certificates=()))


def revocation(mode: Mode, known: Known) -> Trust:
    return replace(trust(), revocation=Revocation(mode, known))


def gateway(*, trusted: bool) -> Mail:
    signer = person("gateway@firm.example", label="gateway")
    signers_of = {
        "firm.example": GatewaySigner(parse_mailbox("gateway@firm.example"), trusted=trusted)
    }
    content = message(clear(identity=signer), sender="clerk@firm.example")
    return Mail(content, (), replace(trust(), gateways=signers_of))


def damaged() -> bytes:
    """Encrypt under another key than the one that is sent."""
    encrypted = made.encrypted_content(PART, b"k" * 32)
    return cms(made.enveloped_data(made.ktri(bytes(32)), encrypted=encrypted))


def bad_tag() -> bytes:
    sealed = bytearray(
        encrypt_entity(
            PART, [parties.recipient("alice")], content_encryption="aes256_gcm", random=Octets()
        )
    )
    sealed[-8] = ord("A") if sealed[-8] != ord("A") else ord("B")  # in the tag, which comes last
    return bytes(sealed)


def elsewhere() -> Trust:
    return trust(pki.root("Elsewhere", kind="p256"))


MAILS: dict[str, Callable[[], Mail]] = {
    "V1": lambda: bare(PLAIN),
    "V2": lambda: bare(clear()),
    "V2 opaque": lambda: bare(opaque()),
    "V3": lambda: bare(clear().replace(b"Hello Bob", b"Hello Eve")),
    "V4 nobody": lambda: bare(clear(der=made.signed_data())),
    "V4 unreadable": lambda: bare(clear(der=b"nonsense")),
    "V5": lambda: bare(without_certificate()),
    "V6": lambda: bare(clear(), trusting=elsewhere()),
    "V7 expired": lambda: bare(signed_by(not_after=AT - DAY)),
    "V7 not yet": lambda: bare(signed_by(not_before=AT + DAY)),
    "V8": lambda: bare(
        clear(), trusting=revocation(Mode.SOFT, Known([crl(parties.root(), alice())]))
    ),
    "V9 hard": lambda: bare(clear(), trusting=revocation(Mode.HARD, Known())),
    "V9 soft": lambda: bare(clear(), trusting=revocation(Mode.SOFT, Known())),
    "V10": lambda: Mail(message(clear(), sender=EVE)),
    "V10 several": lambda: Mail(message(clear(), sender=f"{ALICE}, {EVE}")),
    "V10 gateway": lambda: gateway(trusted=False),
    "V10 trusted gateway": lambda: gateway(trusted=True),
    "V11": lambda: bare(clear(identity=person(label="verdicts", name="Nobody"))),
    "V12 use": lambda: bare(signed_by(eku=(pki.TLS_CLIENT,))),
    "V12 key": below_a_weak_key,
    "V12 sha1": lambda: bare(clear(der=weakly_signed("sha1"))),
    "V12 md5": lambda: bare(clear(der=weakly_signed("md5"))),
    "V13 future": lambda: bare(clear(at=AT + timedelta(hours=3))),
    "V13 far": lambda: bare(clear(at=AT - timedelta(days=3))),
    "V14 one bad": lambda: bare(signers(PART, b"other")),
    "V14": lambda: bare(signers(PART, PART)),
    "V15": lambda: bare(multipart(clear(), PLAIN)),
    "V16": lambda: bare(enveloped(), key()),
    "V17": lambda: bare(enveloped(clear()), key()),
    "V17 bad": lambda: bare(enveloped(clear().replace(b"Hello Bob", b"Hello Eve")), key()),
    "V18": lambda: bare(clear(enveloped()), key()),
    "V19": lambda: bare(clear(enveloped(clear())), key()),
    "V19 outer bad": lambda: bare(clear(enveloped(clear()), der=signature(PART)), key()),
    "V20": lambda: bare(enveloped()),
    "V21": lambda: bare(damaged(), key()),
    "V22": lambda: bare(bad_tag(), key()),
    "V23": lambda: bare(multipart(enveloped(), PLAIN), key()),
    "V24": lambda: bare(
        cms(
            made.enveloped_data(
                made.ktri(bytes(24)),
                encrypted=made.encrypted_content(PART, bytes(24), TRIPLE_DES),
            )
        ),
        key(),
    ),
    "V29": lambda: bare(b"Content-Type: message/rfc822\r\n\r\n" + message(clear())),
    "V30": lambda: bare(cms(made.signed_data(certificates=(alice().der,)), "certs-only")),
}


def rows() -> dict[str, list[str]]:
    """Read the page: every table row whose first cell is the number of a verdict."""
    found = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"V\d+.*", cells[0]):
            assert cells[0] not in found
            found[cells[0]] = cells
    return found


ROWS = rows()


def test_every_verdict_is_on_the_page_and_has_its_mail() -> None:
    numbers = {re.match(r"V\d+", name)[0] for name in ROWS}  # type: ignore[index]  # all begin so
    assert numbers == {f"V{number}" for number in range(1, 31)}
    here = {name for name, cells in ROWS.items() if len(cells) == 7}
    assert here == set(MAILS)


@pytest.mark.parametrize("name", MAILS)
def test_what_arrives_gets_the_verdict_of_the_page(name: str) -> None:
    _, _, result, badge, lock, body, reason = ROWS[name]
    mail = MAILS[name]()
    found = received(mail.content, *mail.keys, trusting=mail.trust, at=mail.at)
    report = found.report
    assert (report.signature, report.badge, report.lock) == (result, badge, lock)
    assert _reads(report.reason, reason), report.reason
    told = dict(result_fields(report, ID))
    assert f"smime={result}" in told["Authentication-Results"]
    assert told["X-SMIME-Signature"].startswith(result)
    opened = found.opened.payload is not None
    assert ("what is inside" if opened else "as it came") == body
    if mail.trust is None:
        out = delivered(mail.content, *mail.keys)
        assert out.endswith(mail.content.partition(b"\r\n\r\n")[2]) is (body == "as it came")


def _reads(reason: str, wanted: str) -> bool:
    pattern = ".*".join(map(re.escape, wanted.split("…")))
    return re.fullmatch(pattern, reason) is not None


@pytest.mark.parametrize("name", [name for name, cells in ROWS.items() if len(cells) != 7])
def test_what_the_gateway_decides_has_its_story(name: str) -> None:
    story = re.search(r"`tests/([^`]+)`", ROWS[name][-1])
    assert story is not None, ROWS[name]
    assert (ROOT / "tests" / story[1]).exists()
