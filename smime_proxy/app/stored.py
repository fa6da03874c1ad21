"""Builds what the settings say of the store, the token and what is known of revocations.

No RFC. Parts are imported when they are built: no command pays for what it does not use.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.gateway.ports import Measures, Memory
    from smime_proxy.lookup.revocation import RevocationFetcher
    from smime_proxy.settings import Settings
    from smime_proxy.stores.connection import Store
    from smime_proxy.stores.declared import Declared
    from smime_proxy.stores.decrypted_memory import DecryptedMemory
    from smime_proxy.stores.open import Opened
    from smime_proxy.stores.watch import SnapshotSource
    from smime_proxy.tokens.source import TokenKeys


def open_configured(
    settings: "Settings", declared: "Declared | None" = None, *, migrate: bool = False
) -> "Opened":
    """Open the store of the settings, on the token they name. Raises `StoreError`.

    `declared` are the accounts the settings declare, as they were read.
    """
    from smime_proxy.stores.declared import NOTHING, Declarations
    from smime_proxy.stores.open import NO_TOKEN, Token, open_store

    on_token = NO_TOKEN
    if settings.pkcs11.module is not None:
        keys = token_keys(settings)
        uri = settings.keys.master_key
        on_token = Token(keys, keys.cipher(uri) if uri else None)
    opened = open_store(
        settings.store.url,
        settings.service.state_dir,
        settings.keys.master_key_file,
        migrate=migrate,
        token=on_token,
    )
    served = frozenset(d for one in settings.listeners.values() for d in one.domains)
    found = declared or NOTHING
    store = replace(opened.store, own_domains=served | found.domains, declared=Declarations(found))
    return replace(opened, store=store)


def token_keys(settings: "Settings") -> "TokenKeys":
    """Prepare the token of the settings; it is opened when a key is needed."""
    from smime_proxy.admin.cli.errors import CommandError
    from smime_proxy.admin.cli.files import read_password

    try:
        from smime_proxy.tokens.source import TokenKeys
        from smime_proxy.tokens.token import Token
    except ImportError:
        raise CommandError(
            "pkcs11.module is set, and the extra is not installed: pip install smime-proxy[pkcs11]"
        ) from None
    table = settings.pkcs11
    if table.module is None or table.pin_file is None:
        raise CommandError("pkcs11.module: no token is set")
    try:
        pin = read_password(table.pin_file).decode()
    except UnicodeDecodeError:
        raise CommandError(f"{table.pin_file}: the PIN is not UTF-8") from None
    return TokenKeys(Token(table.module, table.token, pin))


def known_decrypted(store: "Store") -> "Memory | None":
    """Know what was decrypted by what is in the store; None where nothing ever was."""
    from smime_proxy.stores.decrypted import read_keys
    from smime_proxy.stores.decrypted_memory import DecryptedMemory

    keys = read_keys(store)
    return None if keys is None else DecryptedMemory(store, keys)


def remembering_decrypted(store: "Store") -> "DecryptedMemory":
    """Know what is decrypted, and what was; makes the keys of marks in a store without."""
    from smime_proxy.stores.decrypted import make_keys
    from smime_proxy.stores.decrypted_memory import DecryptedMemory, DecryptedNotes

    return DecryptedMemory(store, make_keys(store), DecryptedNotes(store))


def known_revocations(settings: "Settings", store: "Store") -> "Revocation | None":
    """Judge revocations by the answers that are in the store; nothing is fetched."""
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.certs.revocation_mode import Mode
    from smime_proxy.stores.answers import AnswerShelf

    if settings.revocation.mode is Mode.OFF:
        return None
    shelf = AnswerShelf(store)
    shelf.refresh()
    return Revocation(settings.revocation.mode, shelf)


def fetching_revocations(
    settings: "Settings", store: "Store", source: "SnapshotSource", measures: "Measures"
) -> "tuple[Revocation | None, RevocationFetcher | None]":
    """Judge revocations by the answers of a fetcher that is still to be run."""
    from smime_proxy.certs.revocation import Revocation
    from smime_proxy.certs.revocation_mode import Mode
    from smime_proxy.lookup.http import AddressRule, Http
    from smime_proxy.lookup.revocation import RevocationFetcher
    from smime_proxy.stores.answers import AnswerShelf

    table = settings.revocation
    if table.mode is Mode.OFF:
        return None, None
    shelf = AnswerShelf(store, table.max_store_size)
    rule = AddressRule(table.allowed_networks, allow_private=table.allow_private)
    fetcher = RevocationFetcher(Http(rule), shelf, measures, table.max_list_size, table.budget)
    revocation = Revocation(table.mode, shelf, fetcher.want)
    fetcher.own = lambda: source.current.judge_own(revocation)
    return revocation, fetcher
