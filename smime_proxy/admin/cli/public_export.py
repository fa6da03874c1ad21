"""What partners of an account need: the certificates in use, with their chains.

RFC 8551 2.5.3 (one may sign and another be encrypted to), RFC 8550 2.3 (chains go along).
"""

from datetime import datetime

from smime_proxy.address import Mailbox
from smime_proxy.admin.cli.errors import CommandError
from smime_proxy.admin.expiry import encryption_key, signing_key
from smime_proxy.certs.public_file import Form, public_file
from smime_proxy.policy.rules import Kind
from smime_proxy.stores import holdings
from smime_proxy.stores.connection import Store


def written(store: Store, mailbox: Mailbox, form: Form, at: datetime) -> bytes:
    """Write the certificates an account uses at a time; raises `CommandError` when it has none.

    Raises `StoreError` for an unknown account.
    """
    account = holdings.find(store, mailbox).account
    held = holdings.keys_of(store, mailbox)
    used = [signing_key(held, account, at)]
    if account.kind is Kind.PERSONAL:
        used.append(encryption_key(held, account, at))
    people = list(dict.fromkeys(one for one in used if one is not None))
    if not people:
        raise CommandError(f"{account.address} has no certificate that is in use now")
    chains = [issuer for key in held if key.certificate in people for issuer in key.chain]
    return public_file(form, account.address, people, list(dict.fromkeys(chains)))
