"""The built-in authority: made once, wrapped, trusted, and it comes back able to issue."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from smime_proxy.certs.authority import Issuer, create_authority, create_issuing, issue
from smime_proxy.certs.crl import Reason
from smime_proxy.stores import anchors, authority, issued, keys, schema
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
    authority.init(store, act, Issuer(ROOT, KEY))
    found = authority.find(store)
    assert found is not None
    assert (found.certificate, found.created_at) == (ROOT, NOW)
    assert "private" not in repr(found)
    public = pki.rsa_key().public_key()
    issuer = Issuer(found.certificate, found.private_key)
    made = issue(issuer, ALICE, public, NOW, 30, serial=2)
    made.x509().verify_directly_issued_by(ROOT.x509())


def test_an_authority_is_trusted_by_its_own_proxy(store: Store, act: Act) -> None:
    authority.init(store, act, Issuer(ROOT, KEY))
    (anchor,) = anchors.listing(store)
    assert (anchor.certificate, anchor.source) == (ROOT, "authority")
    assert anchor.scope == Scope(own_domains=True)


def test_what_was_trusted_for_less_stays_so(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT], Scope(("example.com",)))
    authority.init(store, act, Issuer(ROOT, KEY))
    assert anchors.listing(store)[0].scope == Scope(("example.com",))


def test_a_second_authority_is_refused(store: Store, act: Act) -> None:
    authority.init(store, act, Issuer(ROOT, KEY))
    other = create_authority("Other", NOW, 10, KEY, serial=2)
    with pytest.raises(StoreError, match="has an authority already"):
        authority.init(store, act, Issuer(other, KEY))
    assert len(anchors.listing(store)) == 1


def test_an_authority_with_a_key_of_a_kind_it_never_had_is_one_line(store: Store, act: Act) -> None:
    authority.init(store, act, Issuer(ROOT, KEY))
    other = pki.key("ed25519")
    assert isinstance(other, Ed25519PrivateKey)
    with store.engine.begin() as connection:
        wrapped = store.vault.wrap(keys.pkcs8(other), AUTHORITY_KEY, ROOT.fingerprint)
        connection.execute(update(schema.authority).values(wrapped=wrapped))
    with pytest.raises(StoreError, match="unknown type"):
        authority.find(store)


def test_a_key_that_does_not_open_is_one_line(store: Store, act: Act) -> None:
    authority.init(store, act, Issuer(ROOT, KEY))
    with store.engine.begin() as connection:
        connection.execute(update(schema.authority).values(wrapped=b"x" * 100))
    with pytest.raises(StoreError, match=r"authority key .* does not open"):
        authority.find(store)


BELOW_KEY = pki.rsa_key("issuing authority")
BELOW = Issuer(
    create_issuing(Issuer(ROOT, KEY), "Below", BELOW_KEY.public_key(), NOW, serial=2), BELOW_KEY
)


def test_what_stands_below_the_root_issues(store: Store, act: Act) -> None:
    authority.init(store, act, Issuer(ROOT, KEY), BELOW)
    found, root = authority.find(store), authority.find_root(store)
    assert found is not None
    assert root is not None
    assert (found.certificate, found.chain) == (BELOW.certificate, (ROOT,))
    assert found.private_key.private_numbers() == BELOW_KEY.private_numbers()
    assert (root.certificate, root.chain) == (ROOT, ())
    assert [anchor.certificate for anchor in anchors.listing(store)] == [ROOT]
    assert authority.names(store) == ("Test Authority", 1, 1)


def test_the_newest_issues_and_names_its_own_root(store: Store, act: Act) -> None:
    """A root of before issued by itself; a new one stands beside it."""
    authority.init(store, act, Issuer(ROOT, KEY))
    key = pki.rsa_key("new root")
    new = Issuer(create_authority("New Root", NOW, 10, key, serial=3), key)
    made = create_issuing(new, "Newer", BELOW_KEY.public_key(), NOW, serial=4)
    authority.renew(store, act, Issuer(made, BELOW_KEY), new)
    found = authority.find(store)
    assert found is not None
    assert (found.certificate, found.chain) == (made, (new.certificate,))
    assert {a.certificate for a in anchors.listing(store)} == {ROOT, new.certificate}
    assert authority.names(store) == ("Test Authority", 2, 1)
    with store.reading() as connection:
        assert authority.certificates_of(connection) == (ROOT, new.certificate, made)


def test_a_revoked_issuing_authority_issues_no_more(store: Store, act: Act) -> None:
    authority.init(store, act, Issuer(ROOT, KEY), BELOW)
    issued.revoke(store, act, BELOW.certificate.fingerprint, Reason.CA_COMPROMISE)
    with pytest.raises(StoreError, match="`ca renew` makes another"):
        authority.find(store)
    other = create_issuing(Issuer(ROOT, KEY), "Other", KEY.public_key(), NOW, serial=5)
    authority.renew(store, act, Issuer(other, KEY))
    found = authority.find(store)
    assert found is not None
    assert found.certificate == other
