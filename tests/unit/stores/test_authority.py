"""The built-in authority: made once, wrapped, trusted, and it comes back able to issue."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from smime_proxy.certs.authority import create_authority, issue
from smime_proxy.stores import anchors, authority, keys, schema
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.vault import AUTHORITY_KEY
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import ALICE

KEY = pki.rsa_key("authority")
ROOT = create_authority("Test Authority", NOW, 10, KEY, serial=1)


def test_an_authority_comes_back_able_to_issue(store: Store, act: Act) -> None:
    assert authority.find(store) is None
    authority.init(store, act, ROOT, KEY)
    found = authority.find(store)
    assert found is not None
    assert (found.certificate, found.created_at) == (ROOT, NOW)
    assert "private" not in repr(found)
    public = pki.rsa_key().public_key()
    issued = issue(
        found.certificate, found.private_key, ALICE, public, NOW, 30, signing_only=True, serial=2
    )
    issued.x509().verify_directly_issued_by(ROOT.x509())


def test_an_authority_is_trusted_by_its_own_proxy(store: Store, act: Act) -> None:
    authority.init(store, act, ROOT, KEY)
    (anchor,) = anchors.listing(store)
    assert (anchor.certificate, anchor.source) == (ROOT, "authority")
    assert anchor.scope == Scope(own_domains=True)


def test_what_was_trusted_for_less_stays_so(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT], Scope(("example.com",)))
    authority.init(store, act, ROOT, KEY)
    assert anchors.listing(store)[0].scope == Scope(("example.com",))


def test_a_second_authority_is_refused(store: Store, act: Act) -> None:
    authority.init(store, act, ROOT, KEY)
    other = create_authority("Other", NOW, 10, KEY, serial=2)
    with pytest.raises(StoreError, match="has an authority already"):
        authority.init(store, act, other, KEY)
    assert len(anchors.listing(store)) == 1


def test_an_authority_with_a_key_of_a_kind_it_never_had_is_one_line(store: Store, act: Act) -> None:
    authority.init(store, act, ROOT, KEY)
    other = pki.key("ed25519")
    assert isinstance(other, Ed25519PrivateKey)
    with store.engine.begin() as connection:
        wrapped = store.vault.wrap(keys.pkcs8(other), AUTHORITY_KEY, ROOT.fingerprint)
        connection.execute(update(schema.authority).values(wrapped=wrapped))
    with pytest.raises(StoreError, match="unknown type"):
        authority.find(store)


def test_a_key_that_does_not_open_is_one_line(store: Store, act: Act) -> None:
    authority.init(store, act, ROOT, KEY)
    with store.engine.begin() as connection:
        connection.execute(update(schema.authority).values(wrapped=b"x" * 100))
    with pytest.raises(StoreError, match=r"authority key .* does not open"):
        authority.find(store)
