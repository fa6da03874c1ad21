"""Open and judge an incoming message, and say what of it is delivered.

RFC 8551 3.3 and 3.5, RFC 9788 4 (header protection).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from smime_proxy.cms.decrypt import DecryptionKey
from smime_proxy.message.calendar import meeting_method
from smime_proxy.message.entity import Entity
from smime_proxy.message.errors import FromError
from smime_proxy.message.header import HeaderBlock, has_loose_lines
from smime_proxy.message.mailboxes import from_mailbox
from smime_proxy.smime.classify import Protection
from smime_proxy.smime.delivery import as_it_came, closed_above, in_place_of_body
from smime_proxy.smime.layers import Layer, Opened, open_layers
from smime_proxy.smime.legacy_display import without_legacy_display
from smime_proxy.smime.protected_headers import (
    Protected,
    altered,
    disagreement,
    find_protected,
    misleading,
    restored,
)
from smime_proxy.smime.report import PASSED, Report, summarise
from smime_proxy.smime.sign import read_date
from smime_proxy.smime.status import mark_private
from smime_proxy.smime.unwrap import Unwrap
from smime_proxy.smime.verify import Claim, Trust


@dataclass(frozen=True, slots=True)
class Received:
    """An incoming message opened as far as it goes, and the report on it.

    `protected` is what the payload says of the header, None without header protection.
    """

    entity: Entity
    opened: Opened = field(repr=False)
    report: Report
    protected: Protected | None = field(repr=False, default=None)

    def message(
        self,
        header: HeaderBlock,
        fields: Sequence[tuple[str, str]],
        unwrap: frozenset[Unwrap] = frozenset(),
    ) -> bytes:
        """Give the message as delivered: `header` with `fields` before it, and the body.

        `header` is the outer header without fields of ours. What was neither decrypted nor taken
        out of its signature keeps its body octet for octet. What was keeps the outer header, but
        for what header protection restores, and takes from the inner one only the Content-*
        fields; what was decrypted is marked private.
        """
        decrypted = self.opened.payload is not None
        outer = closed_above(header)
        if decrypted:
            outer = mark_private(outer)
        inner = self._inner(unwrap)
        if inner is None:
            return as_it_came(outer, fields, self.entity)
        if self.protected is not None:
            outer = restored(outer, self.protected)
            # Inside a signature that is delivered nothing may change.
            if inner is self.opened.innermost:
                shown = without_legacy_display if decrypted else _shown
                inner = shown(self.protected)
        return in_place_of_body(outer, fields, inner)

    def _inner(self, unwrap: frozenset[Unwrap]) -> Entity | None:
        """Give what is delivered in place of the body, None where that stays."""
        opened = self.opened
        taken = opened.stripped
        behind = zip(opened.layers[taken:], opened.inside[taken:], strict=False)
        for layer, inner in behind:
            if layer.protection is Protection.COMPRESSED_DATA:
                if not taken:
                    break  # who sends it compressed alone is read by whom he sends it to
            elif not (self.report.signature == PASSED and _is_unwrapped(layer, inner, unwrap)):
                break
            taken += 1
        return opened.inside[taken - 1] if taken else None


def receive(entity: Entity, keys: Sequence[DecryptionKey], trust: Trust, at: datetime) -> Received:
    """Open a message with the keys given and judge it at a time, aware UTC; raises nothing."""
    opened = open_layers(entity, keys, trust, claim_of(entity.header), at)
    protected = protected_in(opened)
    return Received(entity, opened, report_on(opened, protected), protected)


def protected_in(opened: Opened) -> Protected | None:
    """Give what the payload protects of the header; None where not everything was opened."""
    if not opened.inside or not opened.complete:
        return None
    return find_protected(opened.innermost, opened.entity.header)


def report_on(opened: Opened, protected: Protected | None) -> Report:
    """Sum up the layers, and what a protected header says against the outer one (RFC 9788 4.4)."""
    if protected is None:
        return summarise(opened.layers)
    outer = opened.entity.header
    doubt, remark = disagreement(outer, protected), ""
    if opened.payload is None:  # what is shown is the outer header
        doubt = doubt or misleading(outer, protected)
        remark = altered(outer, protected)
    return summarise(opened.layers, doubt=doubt, remark=remark)


def _is_unwrapped(layer: Layer, inner: Entity, unwrap: frozenset[Unwrap]) -> bool:
    match layer.protection:
        case Protection.SIGNED_DATA:
            return Unwrap.OPAQUE in unwrap
        case Protection.CLEAR_SIGNED:
            return Unwrap.MEETINGS in unwrap and meeting_method(inner) is not None
        case _:
            return False


def _shown(protected: Protected) -> Entity:
    return protected.body


def claim_of(header: HeaderBlock) -> Claim:
    """Give what signatures are held against: From and Date of the outer header (E03, E19)."""
    date = read_date(header)
    if has_loose_lines(header):
        return Claim(None, date, "a line of the header is no field")
    try:
        return Claim(from_mailbox(header), date)
    except FromError as error:
        return Claim(None, date, str(error))
