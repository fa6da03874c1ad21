"""All partner certificates as administrators see them: those of the store and the declared.

RFC 8550 3 (the addresses a certificate carries).
"""

from collections.abc import Collection, Iterable

from smime_proxy.address import Mailbox, fold_domain
from smime_proxy.certs.source import Source
from smime_proxy.stores import partners
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.declared import DeclaredPartner
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.partners import StoredPartner

BY_SETTINGS = "settings"  # who decided about what is declared there


def listing(store: Store, mailbox: Mailbox | None = None) -> tuple[StoredPartner, ...]:
    """Give all partner certificates, or those that serve one address, the newest first."""
    names = None if mailbox is None else {mailbox.key, mailbox.domain}
    return _newest((*partners.listing(store, mailbox), *_declared(store, names)))


def listing_of_domain(store: Store, domain: str) -> tuple[StoredPartner, ...]:
    """Give the certificates that stand for all mailboxes of a domain, the newest first.

    Raises `StoreError` for what is no domain.
    """
    stored = partners.listing_of_domain(store, domain)
    return _newest((*stored, *_declared(store, {fold_domain(domain)})))


def find(store: Store, fingerprint: str) -> StoredPartner:
    """Give the partner certificate whose fingerprint starts so, the store's before the declared.

    Raises `StoreError` when there is none, or more than one.
    """
    declared = [one for one in _declared(store) if _begins(one, fingerprint)]
    try:
        return partners.find(store, fingerprint)
    except StoreError:
        if len({one.certificate for one in declared}) != 1:
            raise
        return declared[0]


def remove(store: Store, act: Act, fingerprint: str) -> StoredPartner:
    """Forget a partner certificate, its pin and its bindings.

    Raises `StoreError` when there is none, or more than one, or the settings declare it.
    """
    try:
        return partners.remove(store, act, fingerprint)
    except StoreError:
        for one in store.declared.current.partners.certificates:
            if _begins(one, fingerprint):
                raise StoreError(
                    f"{one.certificate.fingerprint[:16]} is declared in the settings, [partners]"
                    f" ({one.origin}): change it there"
                ) from None
        raise


def _declared(store: Store, names: Collection[str] | None = None) -> tuple[StoredPartner, ...]:
    """Give those of the settings as those of the store are, all or those under some names."""
    return tuple(
        StoredPartner(
            certificate=one.certificate,
            chain=one.chain,
            addresses=() if one.mailbox is None else (one.mailbox,),
            bound=() if one.mailbox is None else (one.mailbox,),
            pinned=True,
            source=Source.MANUAL,
            imported_at=None,
            decided_by=BY_SETTINGS,
            domains=() if one.mailbox is not None else (one.domain,),
        )
        for name, some in store.declared.current.by_partner.items()
        if names is None or name in names
        for one in some
    )


def _newest(found: Iterable[StoredPartner]) -> tuple[StoredPartner, ...]:
    return tuple(sorted(found, key=lambda one: one.certificate.not_before, reverse=True))


def _begins(one: StoredPartner | DeclaredPartner, fingerprint: str) -> bool:
    return one.certificate.fingerprint.startswith(fingerprint.replace(":", "").lower())
