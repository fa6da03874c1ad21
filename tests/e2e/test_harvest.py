"""Keys come with signed mail, wait, are accepted and used; what is slipped in never is.

E06, A13, E64, V2, V10, V15, V18.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from smime_proxy.cms import oids
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.recipient import CmsRecipient
from smime_proxy.cms.sign import CmsSigner, sign
from smime_proxy.message.build import multipart_signed_entity
from smime_proxy.smime.encrypt import encrypt_entity
from tests import pki
from tests.e2e.client import deliver
from tests.e2e.conftest import ALICE, PARTNER, Made
from tests.e2e.proxy import Design, Listener, Proxy, eventually, serving, to_sink
from tests.fakes import Octets
from tests.peers import require
from tests.sink import Sink, running
from tests.unit.cms import made as cms_made
from tests.unit.cms import parties

pytestmark = pytest.mark.e2e

NEW, MALLORY = "newcomer@example.org", "mallory@example.org"
PART = b"Content-Type: text/plain\r\n\r\nMy key comes along.\r\n"
EARLY, LATE = datetime(2021, 1, 1, tzinfo=UTC), datetime(2023, 1, 1, tzinfo=UTC)


class Scene:
    """A running service, the sink behind it, and a trusted authority for example.org."""

    def __init__(self, proxy: Proxy, sink: Sink, folder: Path) -> None:
        self.proxy, self.sink, self.folder = proxy, sink, folder
        self.root = root()

    def arrives(self, content: bytes, sender: str) -> bytes:
        """Bring a mail in from outside; gives what alice gets."""
        answer = deliver(self.proxy.ports["in"], sender, (ALICE,), content)
        assert answer.code == 250, answer
        return self.sink.messages[-1].content

    def leaves(self, recipient: str) -> bytes:
        """Send a mail of alice's; gives what leaves."""
        content = f"From: {ALICE}\r\nTo: {recipient}\r\nSubject: x\r\n\r\nFor you only.\r\n"
        assert deliver(self.proxy.ports["out"], ALICE, (recipient,), content.encode()).code == 250
        return self.sink.messages[-1].content

    def told(self, *words: str) -> Any:
        return json.loads(self.proxy.done("cert", *words, "--json"))

    def pending(self) -> dict[str, tuple[str, str]]:
        return {one["id"]: (one["address"], one["warning"]) for one in self.told("pending")}

    def reads(self, content: bytes, identity: pki.Identity) -> bool:
        """Tell whether OpenSSL opens a mail with this key."""
        (self.folder / "in.eml").write_bytes(content)
        (self.folder / "key.pem").write_bytes(identity.key_pem())
        (self.folder / "cert.pem").write_bytes(identity.pem())
        line = ["cms", "-decrypt", "-in", "in.eml", "-inkey", "key.pem", "-recip", "cert.pem"]
        done = subprocess.run(
            [require("openssl"), *line], cwd=self.folder, capture_output=True, check=False
        )
        return b"For you only." in done.stdout


def root() -> pki.Identity:
    return pki.root("Org CA", label="harvest org", kind="p256")


@contextmanager
def scene(folder: Path, made: Made, *, workers: int = 1, policy: str = "") -> Iterator[Scene]:
    with running(Sink()) as sink:
        design = Design(
            {"sink": to_sink(sink.port)},
            {
                "out": Listener("outbound", "sink"),
                "in": Listener("inbound", "sink", 'domains = ["example.test"]'),
            },
            workers,
            policy,
        )
        with serving(folder / "proxy", made.state, design) as proxy:
            found = Scene(proxy, sink, folder)
            (folder / "org.pem").write_bytes(found.root.pem())
            proxy.changed("trust", "add", folder / "org.pem", "--for", "example.org")
            yield found
            assert proxy.stop() == 0
            assert "Traceback" not in proxy.log()


def someone(
    address: str, label: str, issuer: pki.Identity | None = None, **more: Any
) -> pki.Identity:
    return pki.person(issuer or root(), address, label=f"harvest {label}", **more)


def header(sender: str) -> bytes:
    at = format_datetime(datetime.now(UTC))
    return (
        f"From: {sender}\r\nTo: {ALICE}\r\nSubject: x\r\nDate: {at}\r\n"
        f"Message-ID: <first@{sender.rpartition('@')[2]}>\r\nMIME-Version: 1.0\r\n"
    ).encode()


def signed(identity: pki.Identity, *more: bytes) -> bytes:
    """Give an entity signed now; `more` are certificates that lie beside the signer's."""
    signer = CmsSigner.build(
        parties.signing_key(identity),
        identity.der,
        (*(issuer.der for issuer in identity.chain), *more),
        capabilities=True,
    )
    raw = sign(PART, signer, signing_time=datetime.now(UTC), detached=True)
    return multipart_signed_entity(PART, raw, "sha-256", "=_h")


def signed_by_openssl(folder: Path, identity: pki.Identity, sender: str) -> bytes:
    """Have OpenSSL sign a mail, which has no Date."""
    (folder / "part").write_bytes(PART)
    (folder / "s.pem").write_bytes(identity.pem())
    (folder / "s.key").write_bytes(identity.key_pem())
    line = ["cms", "-sign", "-in", "part", "-signer", "s.pem", "-inkey", "s.key", "-crlfeol"]
    line += ["-from", sender, "-to", ALICE, "-subject", "x"]
    done = subprocess.run([require("openssl"), *line], cwd=folder, capture_output=True, check=True)
    return done.stdout.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_a_key_comes_waits_is_accepted_and_used_and_so_is_the_next(
    tmp_path: Path, made: Made
) -> None:
    with scene(tmp_path, made) as found:
        first = someone(NEW, "first", not_before=EARLY)
        arrived = found.arrives(signed_by_openssl(tmp_path, first, NEW), NEW)
        key = first.certificate.fingerprint[:16]
        assert b"smime=pass" in arrived
        assert f"X-SMIME-Pending-Key: {NEW}; id={key}\r\n".encode() in arrived
        eventually(lambda: found.pending() == {key: (NEW, "")})
        assert not found.reads(found.leaves(NEW), first)
        assert found.proxy.done("cert", "accept", key) == f"{key} for {NEW}: accepted\n"
        eventually(lambda: found.reads(found.leaves(NEW), first))
        (view,) = found.told("list", NEW)
        assert (view["source"], view["usable"]) == ("harvested", True)
        assert view["decided_by"].startswith("cli:")
        # The renewed one rests on the same trust: nobody is asked, no mail is lost.
        renewed = someone(NEW, "renewed", not_before=LATE)
        arrived = found.arrives(header(NEW) + signed(renewed), NEW)
        assert b"X-SMIME-Pending-Key" not in arrived
        eventually(lambda: found.reads(found.leaves(NEW), renewed))
        assert found.pending() == {}
        views = found.told("list", NEW)
        assert views[0]["decided_by"] == "harvest: same trust as before"
        assert views[0]["message_id"] == "<first@example.org>"
        assert {view["usable"] for view in views} == {True}
        assert found.proxy.counter("keys_found") == 2


def bundled(victim: pki.Identity) -> bytes:
    """E06: a certificate for somebody else lies beside the signer's."""
    return header(MALLORY) + signed(someone(MALLORY, "mallory"), victim.der)


def named(victim: pki.Identity) -> bytes:
    """The signer names somebody else's certificate, signed, as the one to encrypt to."""
    mallory = someone(MALLORY, "mallory")
    fields, theirs = read_certificate(mallory.der), read_certificate(victim.der)
    attributes = [
        cms_made.CONTENT_TYPE,
        cms_made.message_digest(PART),
        cms_made.attribute(oids.ENCRYPTION_KEY_PREFERENCE, b"\xa0" + theirs.issuer_and_serial[1:]),
    ]
    info = cms_made.signer_info(attributes, sid=fields.issuer_and_serial, key=mallory.key)
    raw = cms_made.signed_data(info, certificates=(mallory.der, victim.der))
    return header(MALLORY) + multipart_signed_entity(PART, raw, "sha-256", "=_h")


def mismatched(_victim: pki.Identity) -> bytes:
    return header(PARTNER) + signed(someone(MALLORY, "mallory"))


def partly_signed(victim: pki.Identity) -> bytes:
    return (
        header(PARTNER)
        + b'Content-Type: multipart/mixed; boundary="=_m"\r\n\r\n--=_m\r\n'
        + signed(victim)
        + b"\r\n--=_m--\r\n"
    )


def around_ciphertext(victim: pki.Identity) -> bytes:
    sealed = encrypt_entity(PART, [CmsRecipient.from_certificate(victim.der)], random=Octets())
    signer = CmsSigner.build(parties.signing_key(victim), victim.der, (), capabilities=True)
    raw = sign(sealed, signer, signing_time=datetime.now(UTC), detached=True)
    return header(PARTNER) + multipart_signed_entity(sealed, raw, "sha-256", "=_h")


def certs_only(victim: pki.Identity) -> bytes:
    """E64."""
    raw = cms_made.signed_data(certificates=(victim.der,))
    head = 'Content-Type: application/pkcs7-mime; smime-type=certs-only; name="smime.p7c"\r\n'
    text = subprocess.run(
        [require("openssl"), "base64"], input=raw, capture_output=True, check=True
    ).stdout.replace(b"\n", b"\r\n")
    return header(PARTNER) + head.encode() + b"Content-Transfer-Encoding: base64\r\n\r\n" + text


REFUSED: tuple[tuple[Callable[[pki.Identity], bytes], str], ...] = (
    (bundled, "pass"),
    (named, "pass"),
    (mismatched, "policy"),
    (partly_signed, "none"),
    (around_ciphertext, "policy"),
    (certs_only, "none"),
)


def test_a13_what_is_slipped_in_is_not_used_and_mail_goes_on_to_the_old_key(
    tmp_path: Path, made: Made
) -> None:
    known = Path(made.files, "partner.key").read_bytes()
    with scene(tmp_path, made, policy='[policy]\nharvest = "trusted"') as found:
        forged = someone(PARTNER, "forged", not_before=LATE)  # of an authority, but not of his
        alone = pki.person(None, PARTNER, label="harvest alone", not_before=LATE)
        copied = pki.root("Org CA", label="harvest copied", kind="p256")
        wrong = someone(PARTNER, "wrong", copied, not_before=LATE)
        for make, result in REFUSED:
            arrived = found.arrives(make(forged), MALLORY)
            assert f"smime={result}".encode() in arrived, make
            assert b"X-SMIME-Pending-Key" not in arrived, make
        warned = {}
        for identity, warning in (
            (forged, "changed"),
            (alone, "changed-untrusted"),
            (wrong, "changed-untrusted"),
        ):
            key = identity.certificate.fingerprint[:16]
            arrived = found.arrives(header(PARTNER) + signed(identity), PARTNER)
            line = f"X-SMIME-Pending-Key: {PARTNER}; id={key}; warning={warning}\r\n"
            assert line.encode() in arrived
            warned[key] = (PARTNER, warning)
        eventually(lambda: found.pending() == warned)
        # Nobody takes what carries a warning by the dozen.
        assert found.proxy.done("cert", "accept", "--all") == (
            "nothing accepted: no certificate waits that --all takes\n"
        )
        assert found.pending() == warned
        assert len(found.told("list", PARTNER)) == len(found.told("list", MALLORY)) == 1
        (tmp_path / "partner.key").write_bytes(known)
        (tmp_path / "sent.eml").write_bytes(found.leaves(PARTNER))
        opening = ["cms", "-decrypt", "-in", "sent.eml", "-inkey", "partner.key"]
        done = subprocess.run(
            [require("openssl"), *opening], cwd=tmp_path, capture_output=True, check=True
        )
        assert b"For you only." in done.stdout
        assert found.proxy.log().count("key_pending") == len(warned)
        rejected = next(iter(warned))
        found.proxy.done("cert", "reject", rejected)
        eventually(
            lambda: (
                b"X-SMIME-Pending-Key"
                not in found.arrives(header(PARTNER) + signed(forged), PARTNER)
            )
        )


def test_several_workers_take_each_key_once(tmp_path: Path, made: Made) -> None:
    with scene(tmp_path, made, workers=2, policy='[policy]\nharvest = "trusted"') as found:
        addresses = [f"person{number}@example.org" for number in range(8)]
        for address in addresses:
            identity = someone(address, "one of many", kind="p256")
            for _ in range(3):
                found.arrives(header(address) + signed(identity), address)
        eventually(lambda: all(len(found.told("list", address)) == 1 for address in addresses[-2:]))
        views = found.told("list")
        taken = [view for view in views if view["source"] == "harvested"]
        assert sorted(view["addresses"][0] for view in taken) == addresses
        assert found.pending() == {}
        eventually(lambda: found.proxy.counter("keys_found") == len(addresses))
