"""What the tests of the store make again and again: accounts, key files, a look at the audit."""

from sqlalchemy import select

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.keys import PrivateKey
from smime_proxy.certs.pkcs12 import KeyBundle, KeyPair
from smime_proxy.policy.rules import Account, Kind
from smime_proxy.stores import schema
from smime_proxy.stores.connection import Store
from tests.pki import Identity

ALICE = parse_mailbox("alice@example.com")
BOB = parse_mailbox("bob@example.com")
TEAM = parse_mailbox("team@example.com")
PARTNER = parse_mailbox("partner@example.org")


def account(address: str, *aliases: str, kind: Kind = Kind.PERSONAL) -> Account:
    """Make an account with an address and aliases."""
    return Account(
        parse_mailbox(address), kind=kind, aliases=frozenset(parse_mailbox(a) for a in aliases)
    )


def bundle(first: Identity, *others: Identity) -> KeyBundle:
    """Make what reading a key file with these identities gives."""
    chain = tuple(dict.fromkeys(link for one in (first, *others) for link in one.chain))
    pairs = tuple(KeyPair(_key(other), other.certificate) for other in others)
    return KeyBundle(_key(first), first.certificate, chain, pairs, ())


def _key(identity: Identity) -> PrivateKey:
    assert isinstance(identity.key, PrivateKey)
    return identity.key


def audited(store: Store) -> list[str]:
    """Give what the audit says was done, in order."""
    with store.reading() as connection:
        rows = connection.execute(select(schema.audit).order_by(schema.audit.c.id))
        return [f"{row.verb}: {row.what}" for row in rows]
