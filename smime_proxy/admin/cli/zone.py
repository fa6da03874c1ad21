"""Writes the DNS records that let others find the certificates of an account.

RFC 8162 (SMIMEA), RFC 1035 5.1 (zone files), RFC 7671 5.2 (usages that name an issuer).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.certs.association import Association, Matching, Selector, Usage, owner_name
from smime_proxy.certs.certificate import Certificate, Validity
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores import holdings
from smime_proxy.stores.connection import Store
from smime_proxy.stores.holdings import HeldKey

TTL = 3600  # seconds; a certificate that had to be replaced is gone from caches in an hour
LINE = 64  # digits; servers read longer ones, people do not


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which kind of record is to be written."""

    usage: Usage
    selector: Selector
    matching: Matching


def zone_records(store: Store, mailbox: Mailbox, kinds: Kinds, at: datetime) -> list[str]:
    """Give the records for an account's address and aliases at a time, aware UTC.

    Raises `CommandError` when there is nothing to publish, `StoreError` for an unknown account.
    """
    account = holdings.find(store, mailbox).account
    if account.kind is Kind.TEAM:
        raise CommandError(f"{account.address} is a team account: nobody encrypts to it")
    current = [key for key in holdings.keys_of(store, account.address) if _is_published(key, at)]
    records = [record for key in current for record in _records(account, key, kinds)]
    if not records:
        raise CommandError(f"{account.address} has no current certificate to encrypt to")
    return list(dict.fromkeys(records))


def _is_published(key: HeldKey, at: datetime) -> bool:
    """Tell whether others may encrypt to a key now; one that begins later is published before."""
    certificate = key.certificate
    in_time = certificate.valid_at(at) is not Validity.EXPIRED
    return not key.former and certificate.may_encrypt and in_time


def _records(account: Account, key: HeldKey, kinds: Kinds) -> Iterator[str]:
    meant = _meant(key, kinds.usage)
    record = Association.of(meant, kinds.usage, kinds.selector, kinds.matching)
    for mailbox in (account.address, *sorted(account.aliases, key=lambda one: one.key)):
        if key.certificate.carries(mailbox):
            for name in _names(mailbox):
                yield _record(name, record)


def _meant(key: HeldKey, usage: Usage) -> Certificate:
    if usage in {Usage.PKIX_EE, Usage.DANE_EE}:
        return key.certificate
    if not key.chain:
        raise CommandError(
            f"usage {usage:d} names an issuer, and no chain is kept with key {key.key_id}"
        )
    return key.chain[-1]


def _names(mailbox: Mailbox) -> list[str]:
    """Give the names as written and as most people will write it."""
    folded = parse_mailbox(mailbox.key)
    return list(dict.fromkeys((owner_name(mailbox), owner_name(folded))))


def _record(name: str, record: Association) -> str:
    kinds, _, digits = record.text.rpartition(" ")
    lines = [digits[at : at + LINE] for at in range(0, len(digits), LINE)]
    return f"{name}. {TTL} IN SMIMEA {kinds} (\n    " + "\n    ".join(lines) + " )"
