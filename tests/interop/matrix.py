"""Try every row of the matrix with a peer, in both directions, and say what came of each cell."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from smime_proxy.cms.errors import CmsError
from tests.interop import algorithms, forms, here
from tests.interop.algorithms import Encryption, Row, Signature
from tests.interop.exchange import TEXT
from tests.interop.forms import FORMS, Form
from tests.interop.here import NotOurs
from tests.interop.peer import NoWayToAsk, Peer, Refused
from tests.interop.unsupported import as_measured, reasons_for

Variant = Signature | Encryption | Form

CHANGED = TEXT.replace(b"your eyes", b"YOUR EYES")
SHOWN = 400  # characters of what a peer said


class Way(Enum):
    """Who made the object; the other reads it."""

    THEIRS = "theirs"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of the variants of a row.

    `good` of `asked` came through; `reasons` are those for which the peer does not have the
    rest, `named` those for which the gateway does not ask for more; `failures` are defects.
    """

    good: int
    asked: int
    reasons: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


def rows() -> tuple[Row[Variant], ...]:
    """Give all rows in the order in which they are printed."""
    return (*algorithms.rows(), *(Row("Forms", form.label, (form,)) for form in FORMS))


def cell(row: Row[Variant], peer: Peer, way: Way) -> Cell:
    """Try all variants of a row; what a peer or the gateway answers raises nothing."""
    found = [_outcome(variant, peer, way) for variant in row.variants]
    return Cell(
        sum(one.good for one in found),
        sum(one.asked for one in found),
        _once(one.reasons for one in found),
        _once(one.named for one in found),
        _once(one.failures for one in found),
    )


def _once(texts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(texts)))


def _outcome(variant: Variant, peer: Peer, way: Way) -> Cell:
    known = reasons_for(peer.name, way.value, variant)
    strict = as_measured(peer)
    try:
        attempt(variant, peer, way)
    except NotOurs as ours:
        return Cell(0, 0, named=(str(ours),))
    except NoWayToAsk as absent:
        return Cell(0, 1, reasons=(str(absent),))
    except Refused as refusal:
        fitting = [one.text for one in known if not strict or one.fits(str(refusal))]
        if fitting:
            return Cell(0, 1, reasons=(fitting[0],))
        return Cell(0, 1, failures=(f"{_said(variant)}: {peer.name}: {_line(refusal)}",))
    except (AssertionError, CmsError) as error:
        return Cell(0, 1, failures=(f"{_said(variant)}: {_line(error)}",))
    if strict and known:
        after_all = f"{_said(variant)}: {peer.name} does it after all: {known[0].text}"
        return Cell(1, 1, failures=(after_all,))
    return Cell(1, 1)


def attempt(variant: Variant, peer: Peer, way: Way) -> None:
    """Exchange one object; a wrong outcome is an AssertionError."""
    match variant, way:
        case Signature(), Way.THEIRS:
            _they_sign(variant, peer)
        case Signature(), Way.OURS:
            _they_verify(variant, peer)
        case Encryption(), Way.THEIRS:
            here.open_all(variant, peer.encrypt(variant, TEXT), TEXT)
        case Encryption(), Way.OURS:
            forms.they_open(variant, peer, TEXT)
        case Form(), Way.THEIRS:
            variant.theirs(peer)
        case Form(), Way.OURS:
            variant.ours(peer)


def declines_others(variant: Variant, peer: Peer, writers: Sequence[Peer]) -> bool | None:
    """Tell whether a peer that declines our object declines one that somebody else wrote.

    None where nobody else can write it, or where we do not.
    """
    if isinstance(variant, Form):
        return None
    try:
        attempt(variant, peer, Way.OURS)
    except NotOurs:
        return None
    except Refused:
        pass
    for writer in writers:
        try:
            if isinstance(variant, Signature):
                der = writer.sign(variant, TEXT)
                peer.verify(der, None if variant.opaque else TEXT)
            else:
                der = writer.encrypt(variant, TEXT)
                peer.decrypt(der, variant.readers[0].kind)
        except Refused as refusal:
            known = reasons_for(peer.name, Way.OURS.value, variant)
            if any(one.fits(str(refusal)) for one in known):
                return True
        else:
            return False
    return None


def _they_sign(how: Signature, peer: Peer) -> None:
    der = peer.sign(how, TEXT)
    here.verify(how, der, TEXT)
    here.refuse(how, _altered(how, der), CHANGED)


def _they_verify(how: Signature, peer: Peer) -> None:
    der = here.signed(how, TEXT)
    peer.verify(der, None if how.opaque else TEXT)
    try:
        peer.verify(_altered(how, der), None if how.opaque else CHANGED)
    except Refused:
        return
    raise AssertionError(f"{peer.name} holds an altered text for signed")


def _altered(how: Signature, der: bytes) -> bytes:
    """Give the object with the text in it changed; a detached one has none."""
    return der.replace(b"your eyes", b"YOUR EYES") if how.opaque else der


def _said(variant: Variant) -> str:
    return variant.label if isinstance(variant, Form) else str(variant)


def _line(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error))[-SHOWN:]
