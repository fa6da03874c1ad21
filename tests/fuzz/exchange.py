"""Mutants sent through a gateway: clear text never leaves, and what is signed verifies."""

import base64
import re
from collections.abc import Hashable
from dataclasses import replace
from functools import cache

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.envelope import Role
from smime_proxy.gateway.work import Content, Refused, Work, make
from smime_proxy.message.calendar import meeting_method
from smime_proxy.message.header import MAX_HEADER_OCTETS, HeaderBlock, has_loose_lines
from smime_proxy.message.parse import parse
from smime_proxy.policy.plan import Relay, Sign
from smime_proxy.policy.rules import Encrypt, OnMissingCertificate, Policy, Rules
from smime_proxy.smime.layers import TOO_MANY_LAYERS
from smime_proxy.smime.receive import receive
from smime_proxy.smime.unwrap import Unwrap
from smime_proxy.smtp.intake import normalise
from tests.fakes import AT, World, envelope
from tests.fuzz import people, seeds
from tests.fuzz.violation import hold
from tests.unit.cms import holders

SEALED = frozenset({seeds.TEXT})  # all that the seeds hold under an authenticated cipher
_FROM = f"From: Alice <{people.ALICE}>\r\n".encode()
_TO = f"To: {people.PARTNER}\r\n".encode()
_REQUIRED = Policy(
    encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE
)
_PENDING = b"x-smime-pending-key"
_OURS = (b"x-smime-signature", b"x-smime-encryption", b"x-smime-badge", b"x-smime-lock")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_NAMES_US = re.compile(rb'\s*"?proxy\.example\.test[";\s]', re.IGNORECASE)
# As base64 shows it behind 0, 1 or 2 octets of others, without what they have a part in.
_CANARIES = tuple(
    base64.b64encode(bytes(before) + seeds.CANARY)[-(-before * 4 // 3) : -4] for before in range(3)
)


@cache
def other_keys() -> tuple[DecryptionKey, ...]:
    """Give keys of every kind that is encrypted to."""
    return tuple(holders.holder(kind).decryption_key() for kind in holders.KINDS)


@cache
def world(policy: Policy | None = None) -> World:
    made = people.world()
    made.rules = Rules(policy or Policy())
    return made


def run_outbound(raw: bytes) -> Hashable:
    """Send with encryption required: what leaves shows nothing of the body, or nothing leaves.

    The mail has alice's From in front, so whatever the mutant says, an account is named.
    """
    work = outbound(raw)
    if isinstance(work, Refused):
        return work.rule
    if not meeting_method(parse(from_alice(raw))):  # with its line ends made whole it may be one
        for made in work.contents:
            hold_nothing_shows(made)
    return _rules(work)


def outbound(raw: bytes) -> Work | Refused:
    """Send to one with a certificate and one without."""
    recipients = (people.PARTNER, people.STRANGER)
    sent = envelope(from_alice(raw), people.ALICE, *recipients)
    return make(world(_REQUIRED).context(), sent)


def from_alice(raw: bytes) -> bytes:
    """Give a mail that begins with alice's From, as a listener takes it."""
    return normalise(raw if raw.startswith(_FROM) else _FROM + _TO + raw)


def hold_nothing_shows(made: Content) -> None:
    """Look for the seeds' text below the header of what leaves, bare and in base64."""
    body = made.message.partition(b"\r\n\r\n")[2]
    hold(seeds.CANARY not in body, "required encryption shows nothing of the body")
    text = body.translate(None, b"\r\n")
    hold(not any(word in text for word in _CANARIES), "nor does it show it in base64")
    if not isinstance(made.delivery.treatment, Relay):
        named = map(str, made.delivery.recipients)
        hold(people.STRANGER not in named, "encrypted only to who has a certificate")


def run_signing(raw: bytes) -> Hashable:
    """Send with signing on: what leaves signed verifies."""
    content = from_alice(raw)
    work = make(world().context(), envelope(content, people.ALICE, people.STRANGER))
    if isinstance(work, Refused):
        return work.rule
    for made in work.contents:
        if isinstance(made.delivery.treatment, Sign):
            received = receive(parse(made.message), (), people.trust(), AT)
            told = f"{received.report.signature} {received.report.reason}"
            # What holds more layers than anybody opens is signed all the same, and never passes.
            if not _is_odd(work.header) and TOO_MANY_LAYERS not in told:
                hold(told.startswith("pass"), f"what we sign passes: {told}")
    return _rules(work)


def _is_odd(header: HeaderBlock) -> bool:
    """Tell whether nothing can pass below it: lines nobody knows, or full but for our fields."""
    return has_loose_lines(header) or len(header) > MAX_HEADER_OCTETS - 4096


def run_inbound(raw: bytes) -> Hashable:
    """Deliver to both accounts; nothing is refused but for what the message itself is.

    A listener takes only lines that end with CRLF from outside.
    """
    came = normalise(raw)
    sent = envelope(came, people.PARTNER, people.ALICE, people.BOB, role=Role.INBOUND)
    told: list[Hashable] = []
    for unwrap in (frozenset[Unwrap](), frozenset(Unwrap)):
        context = replace(world().context(), rules=replace(world().rules, unwrap=unwrap))
        work = make(context, sent)
        if isinstance(work, Refused):
            told.append(work.rule)
            continue
        # A signature nobody vouches for may bring a key, which its recipients are told of.
        waits = work.found is not None and work.found.caution is not None
        for made in work.contents:
            hold_results_are_ours(came, made, waits=waits)
        told.append(_rules(work))
    return tuple(told)


def hold_results_are_ours(came: bytes, made: Content, *, waits: bool = False) -> None:
    """Read the header as simply as a mail program may: nobody else's words speak for us."""
    after = _fields(made.message)
    ours = 0 if isinstance(made.delivery.treatment, Relay) else 1
    # Where no empty line ends the header, what follows is one to some: left so, or closed.
    before = (_of(_fields(octets), b"from") for octets in (came, bytes(parse(came).header)))
    hold(_of(after, b"from") in before, "From stays as it came")
    results = [value for value in _of(after, b"authentication-results") if _NAMES_US.match(value)]
    hold(len(results) == ours, "only what we found is told in our name")
    hold(not ours or after[0] == (b"authentication-results", results[0]), "and told first")
    names = [name for name, _ in after if name.startswith(b"x-smime-")]
    told = names[:-1] if waits and names[-1:] == [_PENDING] else names
    hold(told == [*_OURS] * ours, "X-SMIME fields are ours")


def _fields(raw: bytes) -> list[tuple[bytes, bytes]]:
    head = (b"\r\n" + raw).partition(b"\r\n\r\n")[0]  # which may be empty
    head = re.sub(rb"\r\n(?=[ \t])", b"", head)
    found = filter(None, map(_FIELD.fullmatch, head.split(b"\r\n")))
    return [(match[1].lower(), match[2]) for match in found]


def _of(fields: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def _rules(work: Work) -> Hashable:
    return tuple(str(made.delivery.rule)[:60] for made in work.contents)
