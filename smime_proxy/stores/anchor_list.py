"""Trust anchors kept as a published list has them: added, dated and removed with it.

RFC 5280 6.1.1 (d). What an administrator decided about one of them outlives the next list.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import delete, select

from smime_proxy.certs.anchors import Anchor
from smime_proxy.stores import anchors, schema
from smime_proxy.stores.anchors import MOZILLA, Scope, StoredAnchor
from smime_proxy.stores.connection import Act, Store, Writing


@dataclass(frozen=True, slots=True)
class ListChange:
    """What a list changed; `left` came by hand before and stay so, `declined` were removed."""

    scope: Scope
    added: tuple[StoredAnchor, ...]
    changed: tuple[StoredAnchor, ...]
    removed: tuple[StoredAnchor, ...]
    kept: int
    left: int
    declined: int

    @property
    def total(self) -> int:
        """Give the number of anchors from the list after the change."""
        return len(self.added) + len(self.changed) + self.kept


def follow(
    store: Store, act: Act, version: str, listed: Sequence[Anchor], scope: Scope | None
) -> ListChange:
    """Make the anchors from Mozilla's list those that it has now.

    `scope` holds for all that nothing was said of by hand; None leaves it as it was said last.
    Anchors from elsewhere stay as they are, and none is brought back that was removed by hand.
    """
    with store.writing(act) as writing:
        connection = writing.connection
        known = {anchor.certificate: anchor for anchor in anchors.load(connection)}
        followed = [anchor for anchor in known.values() if anchor.source == MOZILLA]
        declined = set(connection.execute(select(schema.declined_anchor.c.fingerprint)).scalars())
        said = scope or _said_last(followed)
        wanted = [
            _wanted(known.get(one.certificate), one, act, version, said)
            for one in listed
            if one.certificate.fingerprint not in declined
        ]
        ours = [anchor for anchor in wanted if anchor is not None]
        stay = {anchor.certificate for anchor in ours}
        change = ListChange(
            scope=said,
            added=tuple(a for a in ours if a.certificate not in known),
            changed=tuple(
                a for a in ours if a.certificate in known and _differs(a, known[a.certificate])
            ),
            removed=tuple(a for a in followed if a.certificate not in stay),
            kept=sum(
                a.certificate in known and not _differs(a, known[a.certificate]) for a in ours
            ),
            left=sum(anchor is None for anchor in wanted),
            declined=sum(one.certificate.fingerprint in declined for one in listed),
        )
        _write(writing, version, ours, change)
        return change


def forget(store: Store, act: Act) -> int:
    """Trust none of Mozilla's list any more, and forget which were removed; gives the number."""
    with store.writing(act) as writing:
        writing.connection.execute(delete(schema.declined_anchor))
        followed = anchors.load(writing.connection, schema.anchor.c.source == MOZILLA)
        for anchor in followed:
            anchors.drop(writing, anchor.certificate)
        writing.record("trust remove", f"mozilla: {len(followed)} removed")
        return len(followed)


def _said_last(followed: Sequence[StoredAnchor]) -> Scope:
    return next((anchor.scope for anchor in followed if not anchor.by_hand), Scope())


def _wanted(
    before: StoredAnchor | None, listed: Anchor, act: Act, version: str, scope: Scope
) -> StoredAnchor | None:
    """Give the anchor as the list and we want it; None when it came from elsewhere."""
    if before is None:
        return StoredAnchor(
            listed.certificate,
            scope,
            act.at,
            MOZILLA,
            version,
            by_hand=False,
            distrust_after=listed.distrust_after,
        )
    if before.source != MOZILLA:
        return None
    return replace(
        before,
        scope=before.scope if before.by_hand else scope,
        source_version=version,
        distrust_after=listed.distrust_after,
    )


def _differs(after: StoredAnchor, before: StoredAnchor) -> bool:
    """Tell whether more than the version of the list is new."""
    return replace(after, source_version=before.source_version) != before


def _write(
    writing: Writing, version: str, ours: Sequence[StoredAnchor], change: ListChange
) -> None:
    for anchor in ours:
        anchors.keep(writing, anchor)
    for anchor in change.removed:
        anchors.drop(writing, anchor.certificate)
    counts = f"{len(change.added)} added, {len(change.removed)} removed"
    own = ", our own domains too" if change.scope.own_domains else ""
    limits = f", for {' '.join(change.scope.domains)}" if change.scope.domains else ""
    writing.record("trust add", f"mozilla {version}: {counts}{limits}{own}")
