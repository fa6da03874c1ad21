"""Each story under tests/cases/, from the client's octets to what leaves and what is answered."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.cms import oids
from smime_proxy.cms.ciphers import RSAES_OAEP, RSAES_PKCS1V15
from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.cms.structures import parse_signed_data
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.modes import Mode
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.message.build import with_entity
from smime_proxy.message.canonical import canonical_entity, outer_header
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import Kind, Rules
from smime_proxy.reply import Reply
from smime_proxy.settings import Settings
from smime_proxy.settings.rules import to_rules
from smime_proxy.smime.classify import Protection, classify, cms_octets
from smime_proxy.smime.encrypt import encrypt_entity, recipient_of
from smime_proxy.smime.layers import Layer
from smime_proxy.smime.protected_headers import protect_encrypted
from smime_proxy.smime.receive import Received, receive
from smime_proxy.smime.sign import sign_entity, sign_entity_opaque
from smime_proxy.smime.verify import Trust
from tests import pki
from tests.corpus import is_passed
from tests.fakes import AT, FakeKey, FakeUpstream, Octets, Sent, World, session

CASES = Path(__file__).resolve().parents[1] / "cases"
STORIES = sorted(path.parent for path in CASES.glob("*/case.toml"))
ENDED = datetime(2026, 5, 1, tzinfo=UTC)  # a month before the stories
Told = Mapping[str, Any]


@cache
def root() -> pki.Identity:
    return pki.root("Cases Root")


@cache
def people() -> Mapping[str, pki.Identity]:
    """Make everybody who has a key, by the name the stories use."""
    issuing = pki.intermediate(root(), "Cases Issuing CA", kind="p256")
    return {
        "alice": pki.person(issuing, "alice@example.test"),
        "expired": pki.person(
            root(), "alice@example.test", label="old", not_after=pki.NOT_BEFORE.replace(year=2021)
        ),
        "bob": pki.person(root(), "bob@example.test"),
        "team": pki.person(root(), "team@example.test"),
        "partner": pki.person(root(), "partner@example.org"),
        "hidden": pki.person(root(), "hidden@example.org"),
        "curve": pki.person(root(), "curve@example.org", kind="p256"),
        "lapsed": pki.person(root(), "lapsed@example.org", not_after=ENDED),
        "gate": pki.person(root(), "domain-confidentiality-authority@firm.example"),
        "boss": pki.person(root(), "boss@firm.example"),
        "clerk": pki.person(root(), "clerk@firm.example", not_after=ENDED),
    }


def world(told: Told) -> World:
    everybody = people()
    made = World(rules=rules(told))
    directory = made.directory
    directory.roots.append(Anchor(root().certificate))
    deputies = {
        name: frozenset(map(parse_mailbox, readers))
        for name, readers in told.get("deputies", {}).items()
    }
    nobody: frozenset[Mailbox] = frozenset()
    directory.add("alice@example.test", everybody["alice"], readers=deputies.get("alice", nobody))
    directory.key_entries[parse_mailbox("alice@example.test")].append(
        FakeKey(everybody["expired"], former=True)
    )
    directory.add("bob@example.test", everybody["bob"])
    directory.add("team@example.test", everybody["team"], kind=Kind.TEAM)
    for name in ("partner", "hidden", "curve", "lapsed"):
        directory.know(f"{name}@example.org", everybody[name])
    for name in ("boss", "clerk"):
        directory.know(f"{name}@firm.example", everybody[name])
    directory.know_domain("firm.example", everybody["gate"])
    return made


def rules(told: Told) -> Rules:
    """Read the story's policy and partners as the settings file would be read."""
    tables = {name: told[name] for name in ("policy", "partners") if name in told}
    return to_rules(Settings.model_validate(tables))


def arriving(story: Path, told: Told) -> bytes:
    """Give the octets on the wire, with the layers the client made itself."""
    raw = (story / "in.eml").read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    message = parse(raw)
    part, header = canonical_entity(message), outer_header(message.header)
    for step in told.get("made", []):
        verb, *names = step.split()
        if verb == "protect":
            part, header = protect_encrypted(part, header)
        elif verb == "sign":
            part = sign_entity(
                part, signer(people()[names[0]]), signing_time=AT, boundary_seed=bytes(16)
            )
        elif verb == "sign-opaque":
            part = sign_entity_opaque(part, signer(people()[names[0]]), signing_time=AT)
        else:
            recipients = [recipient_of(people()[name].der) for name in names]
            part = encrypt_entity(part, recipients, random=Octets())
    return with_entity(header, part) if "made" in told else raw


def signer(identity: pki.Identity) -> CmsSigner:
    chain = tuple(item.der for item in identity.chain)
    return CmsSigner.build(identity.key, identity.der, chain, capabilities=True)  # type: ignore[arg-type]


def key_of(name: str) -> DecryptionKey:
    identity = people()[name]
    return DecryptionKey.build(identity.key, identity.der)  # type: ignore[arg-type]


async def send(surroundings: World, content: bytes, told: Told) -> Reply:
    talk = Gateway(surroundings.context()).begin(session(Role(told["listener"])))
    sender = parse_mailbox(told["sender"]) if told["sender"] else None
    assert (await talk.mail(sender, ())).code == 250
    for recipient in told["recipients"]:
        assert (await talk.rcpt(ForwardPath(parse_mailbox(recipient)))).code == 250
    return await talk.data(content, AT, lambda: False)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_the_story_goes_as_told(story: Path) -> None:
    told = tomllib.loads((story / "case.toml").read_text(encoding="utf-8"))
    surroundings, content = world(told), arriving(story, told)
    reply = await send(surroundings, content, told)
    assert str(reply).startswith(told["reply"])
    assert all(text in str(reply) for text in told.get("says", [])), str(reply)
    wire = reply.encode()
    assert wire.isascii()
    assert len(wire) <= 512
    left = [
        (place, sent)
        for place, upstream in upstreams(surroundings).items()
        for sent in upstream.sent
    ]
    left.sort(key=lambda found: found[1].order)
    expected = told.get("message", [])
    assert [(place, [str(item) for item in sent.recipients]) for place, sent in left] == [
        (one["at"], one["to"]) for one in expected
    ]
    for (_, sent), one in zip(left, expected, strict=True):
        for name, wanted in one.items():
            if name in CHECKS:
                assert CHECKS[name](sent, wanted, content), (name, wanted, sent.content)
            else:
                assert name in {"at", "to"}


COUNTED = ("deliveries", "refused", "reported", "exemptions", "verdicts", "after_decryption")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_in_mode_observe_the_story_is_only_counted(story: Path) -> None:
    """Exactly as if it were enforced, and the mail leaves as it came."""
    told = tomllib.loads((story / "case.toml").read_text(encoding="utf-8"))
    content, counted = arriving(story, told), {}
    for mode in (Mode.ENFORCE, Mode.OBSERVE):
        surroundings = world(told)
        surroundings.mode = mode
        reply = await send(surroundings, content, told)
        said = [(name, dict(one)) for name, one in surroundings.measures.counted if name in COUNTED]
        assert {one.pop("mode") for _, one in said} == {mode.value}
        counted[mode] = said
    assert counted[Mode.OBSERVE] == counted[Mode.ENFORCE]
    assert reply.code == 250
    (sent,) = (sent for upstream in upstreams(surroundings).values() for sent in upstream.sent)
    assert is_passed(content, sent.content)


def upstreams(surroundings: World) -> dict[str, FakeUpstream]:
    return {
        "relay": surroundings.outside,
        "mailstore": surroundings.inside,
        "copies": surroundings.copies,
    }


def is_unchanged(sent: Sent, wanted: bool, content: bytes) -> bool:
    assert sent.content.endswith(content)
    added = sent.content.removesuffix(content)
    fields_added = parse(added + b"\r\n").header.fields
    return ([field.name for field in fields_added] == ["received"]) is wanted


def came_as_it_was(sent: Sent, wanted: bool, content: bytes) -> bool:
    assert sent.content.endswith(content)
    added = parse(sent.content.removesuffix(content) + b"\r\n").header.fields
    ours = {"received", "authentication-results"}
    return all(item.name in ours or item.name.startswith("x-smime-") for item in added) is wanted


def layers(sent: Sent, *names: str) -> tuple[Layer, ...]:
    keys = [key_of(name) for name in names]
    return receive(parse(sent.content), keys, trust(), AT).report.layers


def trust() -> Trust:
    return Trust([Anchor(root().certificate)], (), lambda _issuer, _serial: ())


def has_kind(sent: Sent, wanted: str, content: bytes) -> bool:
    return classify(parse(sent.content)) is Protection(wanted)


def has_readers(sent: Sent, wanted: Sequence[str], content: bytes) -> bool:
    able = [name for name in people() if layers(sent, name)[0].decrypted]
    (outer, *_) = layers(sent)
    assert outer.enveloped is not None
    return able == list(wanted) and len(outer.enveloped.recipients) == len(able)


def has_signer(sent: Sent, wanted: str, content: bytes) -> bool:
    signers = [one for layer in layers(sent, *people()) for one in layer.signers]
    return [(one.result, str(one.mailbox)) for one in signers] == [("pass", wanted)]


def signed_data(sent: Sent) -> Any:
    return parse_signed_data(cms_octets(parse(sent.content).children[1]))


def has_layers(sent: Sent, wanted: Sequence[str], content: bytes) -> bool:
    return [layer.protection.value for layer in layers(sent, *people())] == wanted


def has_signature(sent: Sent, wanted: str, content: bytes) -> bool:
    signers = [one for layer in layers(sent, *people()) for one in layer.signers]
    return [one.report.signature for one in signers] == [wanted]


def has_content_encryption(sent: Sent, wanted: str, content: bytes) -> bool:
    (outer, *_) = layers(sent)
    assert outer.enveloped is not None
    return outer.enveloped.content_encryption == wanted


def has_key_transport(sent: Sent, wanted: str, content: bytes) -> bool:
    (outer, *_) = layers(sent)
    assert outer.enveloped is not None
    oid = {"rsaes_pkcs1v15": RSAES_PKCS1V15.oid, "rsaes_oaep": RSAES_OAEP.oid}[wanted]
    return {item.algorithm for item in outer.enveloped.recipients} == {oid}


def opened(sent: Sent) -> Received:
    keys = [key_of(name) for name in people()]
    return receive(parse(sent.content), keys, trust(), AT)


def has_protected(sent: Sent, wanted: str, content: bytes) -> bool:
    protected = opened(sent).protected
    return (protected.scheme.value if protected else "") == wanted


def has_subject(sent: Sent, wanted: str, content: bytes) -> bool:
    return parse(sent.content).header.first("subject") == wanted


def has_opened_subject(sent: Sent, wanted: str, content: bytes) -> bool:
    read = opened(sent).message(parse(sent.content).header, ())
    return parse(read).header.first("subject") == wanted


def has_certificates(sent: Sent, wanted: int, content: bytes) -> bool:
    return len(signed_data(sent).certificates) == wanted


def has_capabilities(sent: Sent, wanted: bool, content: bytes) -> bool:
    (only,) = signed_data(sent).signers
    inviting = {oids.SMIME_CAPABILITIES, oids.ENCRYPTION_KEY_PREFERENCE}
    return len(inviting & {attribute.oid for attribute in only.attributes}) == (2 if wanted else 0)


def has_texts(sent: Sent, wanted: Sequence[str], content: bytes) -> bool:
    return all(text.encode() in sent.content for text in wanted)


def lacks_texts(sent: Sent, wanted: Sequence[str], content: bytes) -> bool:
    header = parse(sent.content).header
    # Our Received field may name the one recipient there is.
    own = bytes(header.remove({"received"})) + sent.content[len(header) :]
    return not any(text.encode() in own for text in wanted)


CHECKS: Mapping[str, Callable[[Sent, Any, bytes], bool]] = {
    "unchanged": is_unchanged,
    "as_it_came": came_as_it_was,
    "kind": has_kind,
    "readers": has_readers,
    "signer": has_signer,
    "certificates": has_certificates,
    "capabilities": has_capabilities,
    "layers": has_layers,
    "signature": has_signature,
    "content_encryption": has_content_encryption,
    "key_transport": has_key_transport,
    "protected": has_protected,
    "subject": has_subject,
    "opened_subject": has_opened_subject,
    "has": has_texts,
    "lacks": lacks_texts,
}


def test_every_story_is_told() -> None:
    assert len(STORIES) > 30
    for story in (path for path in CASES.iterdir() if path.is_dir()):
        for name in ("README.md", "in.eml", "case.toml"):
            assert (story / name).read_text(encoding="utf-8"), f"{story.name}/{name}"
