"""Find whose keys open an encrypted mail for each of its recipients; nothing is decrypted for it.

RFC 5652 6.2 (how a RecipientInfo names a key).
"""

from collections.abc import Iterable

from smime_proxy.address import Mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.cms.decrypt import is_named, matches
from smime_proxy.cms.enveloped_data import EnvelopedData
from smime_proxy.cms.errors import CmsError
from smime_proxy.gateway.ports import Directory, KeyUnavailable
from smime_proxy.policy.rules import Account, Kind


class Openers:
    """Asks of each account once: a mail may name a thousand recipients and a thousand keys."""

    def __init__(self, directory: Directory, enveloped: EnvelopedData) -> None:
        """Keep the snapshot and the CMS object that the mail is."""
        self._directory = directory
        self._enveloped = enveloped
        self._named: dict[Mailbox, bool] = {}
        self._known: dict[Mailbox, bool | KeyUnavailable] = {}

    def of(self, mailbox: Mailbox, account: Account | None) -> tuple[Account, ...]:
        """Give the accounts of which the mail names a key: `account`, and those he reads for.

        `account` is the recipient's own. A team gets nothing opened, so no key is asked for.
        Raises `KeyUnavailable` for a key of his own that cannot be loaded, and for one of those he
        reads for where the mail names it and no other opens the mail.
        """
        if account is not None and account.kind is Kind.TEAM:
            return ()
        found = [] if account is None or not self._opens(account) else [account]
        unavailable: KeyUnavailable | None = None
        for other in self._read(mailbox, account):
            try:
                if self._is_named(other) and self._opens(other):
                    found.append(other)
            except KeyUnavailable as error:
                unavailable = error
        if unavailable is not None and not found:
            raise unavailable
        return tuple(found)

    def _read(self, mailbox: Mailbox, account: Account | None) -> Iterable[Account]:
        """Give those he reads for, by the address he is written to and by that of his account."""
        named = {mailbox} if account is None else {mailbox, account.address}
        read = {one.address: one for name in named for one in self._directory.reads_for(name)}
        if account is not None:
            read.pop(account.address, None)
        return [read[address] for address in sorted(read, key=lambda address: address.key)]

    def _is_named(self, account: Account) -> bool:
        """Tell by its certificates, so that no key is loaded that the mail does not need."""
        known = self._named.get(account.address)
        if known is None:
            entries = self._directory.keys(account)
            known = any(self._names(entry.certificate) for entry in entries)
            self._named[account.address] = known
        return known

    def _names(self, certificate: Certificate) -> bool:
        try:
            return is_named(self._enveloped, certificate.der)
        except CmsError:
            return False  # one that cannot be read is nobody's name

    def _opens(self, account: Account) -> bool:
        known = self._known.get(account.address)
        if known is None:
            try:
                keys = self._directory.decryption_keys(account)
                known = bool(matches(self._enveloped, keys))
            except KeyUnavailable as error:
                known = error
            self._known[account.address] = known
        if isinstance(known, KeyUnavailable):
            raise known
        return known
