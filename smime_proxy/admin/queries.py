"""The one read model behind command line, web pages and REST: what there is, and how it stands.

No RFC; each view is a flat value whose names are those of the JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.path import Purpose, validate
from smime_proxy.certs.pool import Pool
from smime_proxy.certs.selection import choose_recipient, choose_signing
from smime_proxy.policy.choice import readable
from smime_proxy.smime.status import ID_DIGITS
from smime_proxy.stores import anchors, harvest, holdings, issued, partners
from smime_proxy.stores.anchors import StoredAnchor
from smime_proxy.stores.authority import ISSUES
from smime_proxy.stores.connection import Store
from smime_proxy.stores.holdings import HeldAccount, HeldKey
from smime_proxy.stores.issued import Issued
from smime_proxy.stores.partners import StoredPartner
from smime_proxy.stores.pending import PendingKey
from smime_proxy.stores.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CertificateView:
    """One certificate in words; `validity` is valid, expired or not-yet-valid."""

    fingerprint: str
    subject: str
    issuer: str
    serial: str
    addresses: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    validity: str
    key: str
    may_sign: bool
    may_encrypt: bool
    weak: str


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account; empty policy values leave the settings in force.

    `signs_until` is the end of the certificate that signs now, None when none can. `origin` is
    store, or settings for a declared account, which has no `created_at`.
    """

    address: str
    kind: str
    enabled: bool
    aliases: tuple[str, ...]
    logins: tuple[str, ...]
    sign: str
    encrypt: str
    sent_copy: str | None
    refusal_text: str
    keys: int
    former_keys: int
    signs_until: datetime | None
    origin: str
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key of an account; `state` is current or former.

    `origin` is store, or the file a declared key was read from; that has no times here.
    """

    id: str
    state: str
    imported_at: datetime | None
    retired_at: datetime | None
    provenance: str
    origin: str
    certificate: CertificateView


@dataclass(frozen=True, slots=True)
class PartnerView:
    """A partner certificate; `reason` says why it is not `usable` for any of its addresses.

    `domains` are those for all mailboxes of which it stands that have none of their own. `source`
    is the word of `minimum_source`'s order, `sources` by address who gave it for that; `anchor` the
    fingerprint a harvested one led to, `chain` the subjects of the issuers kept with it; `reads` by
    address what its holder said that he can read.
    """

    addresses: tuple[str, ...]
    domains: tuple[str, ...]
    pinned: bool
    usable: bool
    reason: str
    source: str
    sources: Mapping[str, str]
    imported_at: datetime
    decided_by: str
    message_id: str
    anchor: str
    chain: tuple[str, ...]
    reads: Mapping[str, tuple[str, ...]]
    certificate: CertificateView


@dataclass(frozen=True, slots=True)
class PendingView:
    """A certificate found in signed mail that waits for a decision, for one address.

    `warning` is empty, `untrusted` (accepting pins it), `changed` or `changed-untrusted`; `chain`
    the word for how its chain stands now; `count` messages brought it, `message_id` the first.
    """

    id: str
    address: str
    warning: str
    chain: str
    message_id: str
    first_seen: datetime
    last_seen: datetime
    count: int
    anchor: str
    issuers: tuple[str, ...]
    certificate: CertificateView


@dataclass(frozen=True, slots=True)
class AnchorView:
    """A trust anchor; without `domains` it vouches for addresses everywhere but in our own.

    `own_domains`: in ours too. It does not for certificates issued after `distrust_after`.
    `source` is manual, mozilla (of the list `source_version`), authority, the built-in one, or
    settings, which have no `added_at`.
    """

    domains: tuple[str, ...]
    own_domains: bool
    source: str
    source_version: str
    added_at: datetime | None
    distrust_after: datetime | None
    certificate: CertificateView


@dataclass(frozen=True, slots=True)
class IssuedView:
    """What the built-in authority issued; an issuing authority has no address.

    `state` is valid, expired, not-yet-valid or revoked.
    """

    address: str
    uses: str
    state: str
    issued_at: datetime
    revoked_at: datetime | None
    reason: str
    certificate: CertificateView


def account_list(store: Store, at: datetime) -> list[AccountView]:
    """Give all accounts, sorted by address."""
    return [_account(store, held, at) for held in holdings.listing(store)]


def account(store: Store, mailbox: Mailbox, at: datetime) -> AccountView:
    """Give one account by address or alias; raises `StoreError` when there is none."""
    return _account(store, holdings.find(store, mailbox), at)


def key_list(store: Store, mailbox: Mailbox, at: datetime) -> list[KeyView]:
    """Give the keys of an account, the current first; raises `StoreError` when it is unknown."""
    return [key_view(key, at) for key in holdings.keys_of(store, mailbox)]


def partner_list(store: Store, mailbox: Mailbox | None, at: datetime) -> list[PartnerView]:
    """Give all partner certificates, or those for one address, the newest first."""
    snapshot = _snapshot(store)
    return [_partner(stored, snapshot, at) for stored in partners.listing(store, mailbox)]


def partners_of_domain(store: Store, domain: str, at: datetime) -> list[PartnerView]:
    """Give the certificates of a domain, the newest first; raises `StoreError` for no domain."""
    snapshot = _snapshot(store)
    return [_partner(stored, snapshot, at) for stored in partners.listing_of_domain(store, domain)]


def partner(store: Store, fingerprint: str, at: datetime) -> PartnerView:
    """Give one partner certificate; raises `StoreError` unless exactly one begins so."""
    return _partner(partners.find(store, fingerprint), _snapshot(store), at)


def issued_list(store: Store, mailbox: Mailbox | None, at: datetime) -> list[IssuedView]:
    """Give all the built-in authority issued, or to one address, the newest first."""
    return [_issued(one, at) for one in issued.listing(store, mailbox)]


def pending_list(store: Store, at: datetime) -> list[PendingView]:
    """Give the certificates that wait for a decision, the latest first."""
    snapshot = _snapshot(store)
    return [_pending(key, snapshot, at) for key in harvest.listing(store)]


def anchor_list(store: Store, at: datetime) -> list[AnchorView]:
    """Give all trust anchors, sorted by subject."""
    return [anchor_view(stored, at) for stored in anchors.listing(store)]


def anchor_view(stored: StoredAnchor, at: datetime) -> AnchorView:
    """Put a trust anchor into words."""
    return AnchorView(
        domains=stored.scope.domains,
        own_domains=stored.scope.own_domains,
        source=stored.source,
        source_version=stored.source_version,
        added_at=stored.added_at,
        distrust_after=stored.distrust_after,
        certificate=certificate_view(stored.certificate, at),
    )


def key_view(key: HeldKey, at: datetime) -> KeyView:
    """Put a key into words."""
    return KeyView(
        id=key.key_id,
        state="former" if key.former else "current",
        imported_at=key.imported_at,
        retired_at=key.retired_at,
        provenance=key.provenance,
        origin=key.origin,
        certificate=certificate_view(key.certificate, at),
    )


def certificate_view(certificate: Certificate, at: datetime) -> CertificateView:
    """Put a certificate into words; `at` is the time its validity is judged at, aware UTC."""
    size = certificate.curve or certificate.key_size or ""
    return CertificateView(
        fingerprint=certificate.fingerprint,
        subject=certificate.subject,
        issuer=certificate.issuer,
        serial=_hexadecimal(certificate.serial),
        addresses=tuple(mailbox.text for mailbox in certificate.identities(dn_address=True)),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        validity=certificate.valid_at(at).value,
        key=f"{certificate.key_type} {size}".strip(),
        may_sign=certificate.may_sign,
        may_encrypt=certificate.may_encrypt,
        weak=certificate.weak,
    )


def _issued(one: Issued, at: datetime) -> IssuedView:
    view = certificate_view(one.certificate, at)
    return IssuedView(
        address=one.address,
        uses=one.uses.value if one.uses else ISSUES,
        state="revoked" if one.revoked_at else view.validity,
        issued_at=one.issued_at,
        revoked_at=one.revoked_at,
        reason=one.reason.value if one.reason else "",
        certificate=view,
    )


def _hexadecimal(serial: int) -> str:
    digits = f"{abs(serial):X}"
    return ("-" if serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _snapshot(store: Store) -> Snapshot:
    """Give the state of the store as the mail path sees it."""
    with store.reading() as connection:
        return Snapshot.of(store, connection)


def _account(store: Store, one: HeldAccount, at: datetime) -> AccountView:
    known = one.account
    held = holdings.keys_of(store, known.address)
    signing = choose_signing(held, known.address, at).chosen if known.enabled else None
    return AccountView(
        address=known.address.text,
        kind=known.kind.value,
        enabled=known.enabled,
        aliases=tuple(sorted(alias.text for alias in known.aliases)),
        logins=tuple(sorted(known.logins)),
        sign=known.override.sign.value if known.override.sign else "",
        encrypt=known.override.encrypt.value if known.override.encrypt else "",
        sent_copy=known.override.sent_copy,
        refusal_text=known.refusal_text,
        keys=sum(not key.former for key in held),
        former_keys=sum(key.former for key in held),
        signs_until=signing.certificate.not_after if signing else None,
        origin=one.origin,
        created_at=one.created_at,
    )


def _pending(key: PendingKey, snapshot: Snapshot, at: datetime) -> PendingView:
    pool, roots = Pool.of(key.issuers, snapshot.intermediates()), snapshot.anchors()
    judged = validate(
        key.certificate, pool, roots, at, mailbox=key.mailbox, purpose=Purpose.ENCRYPT
    )
    return PendingView(
        id=key.certificate.fingerprint[:ID_DIGITS],
        address=key.mailbox.text,
        warning=key.caution.value,
        chain=judged.status.value,
        message_id=key.message_id,
        first_seen=key.first_seen,
        last_seen=key.last_seen,
        count=key.count,
        anchor=key.anchor,
        issuers=tuple(issuer.subject for issuer in key.issuers),
        certificate=certificate_view(key.certificate, at),
    )


def _partner(stored: StoredPartner, snapshot: Snapshot, at: datetime) -> PartnerView:
    issuers, trusted = snapshot.intermediates(), snapshot.anchors()
    # Of a domain one mailbox stands for all: RFC 5321 4.5.1 has this one everywhere.
    of_domains = (parse_mailbox(f"postmaster@{domain}") for domain in stored.domains)
    served = (*stored.addresses, *of_domains)
    choices = [
        choose_recipient([replace(stored.candidate(mailbox), known=issuers)], mailbox, at, trusted)
        for mailbox in served
    ]
    usable = any(choice.chosen for choice in choices)
    return PartnerView(
        addresses=tuple(mailbox.text for mailbox in stored.addresses),
        domains=stored.domains,
        pinned=stored.pinned,
        usable=usable,
        reason="" if usable or not choices else choices[0].why_none,
        source=stored.source.value,
        sources={one.text: stored.source_for(one).value for one in stored.addresses},
        imported_at=stored.imported_at,
        decided_by=stored.decided_by,
        message_id=stored.message_id,
        anchor=stored.anchor,
        chain=tuple(issuer.subject for issuer in stored.chain),
        reads={
            mailbox.text: readable(said)
            for mailbox in stored.addresses
            if (said := snapshot.capabilities(mailbox)) is not None
        },
        certificate=certificate_view(stored.certificate, at),
    )
