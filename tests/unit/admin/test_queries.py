from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from smime_proxy.address import parse_mailbox
from smime_proxy.admin import queries
from smime_proxy.certs.authority import Issuer, PrivateKey, create_authority, issue
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pkcs12 import KeyBundle
from smime_proxy.policy.rules import Account, Encrypt, Override, Sign
from smime_proxy.stores import accounts, anchors, keys, partners
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.open import open_store

AT = datetime(2026, 6, 1, tzinfo=UTC)
ACT = Act("test", AT)
ALICE = parse_mailbox("alice@example.test")
PARTNER = parse_mailbox("partner@example.org")

ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = create_authority("test", AT - timedelta(days=900), 10, ROOT_KEY, serial=1)


RSA_KEY = rsa.generate_private_key(65537, 2048)


def certified(address: str, at: datetime, serial: int, key: PrivateKey | None = None) -> KeyBundle:
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = issue(
        Issuer(ROOT, ROOT_KEY),
        parse_mailbox(address),
        key.public_key(),
        at,
        365,
        serial=serial,
    )
    return KeyBundle(key, certificate, (ROOT,), (), ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store("sqlite", tmp_path, None, migrate=True).store


@pytest.fixture
def alice(store: Store) -> Certificate:
    override = Override(sign=Sign.ALWAYS, encrypt=Encrypt.NEVER, sent_copy="")
    accounts.add(store, ACT, Account(ALICE, override=override))
    bundle = certified("alice@example.test", AT, 0xABC)
    keys.import_key(store, ACT, ALICE, bundle)
    keys.import_key(store, ACT, ALICE, certified("alice@example.test", AT - timedelta(days=500), 3))
    return bundle.certificate


def test_an_account_says_until_when_it_signs(store: Store, alice: Certificate) -> None:
    view = queries.account(store, ALICE, AT)
    assert (view.sign, view.encrypt, view.sent_copy) == ("always", "never", "")
    assert (view.keys, view.former_keys) == (1, 1)
    assert view.signs_until == alice.not_after
    assert queries.account_list(store, AT) == [view]
    assert queries.account(store, ALICE, AT + timedelta(days=400)).signs_until is None
    accounts.disable(store, ACT, ALICE)
    assert queries.account(store, ALICE, AT).signs_until is None


def test_keys_come_current_first_with_their_certificates(store: Store, alice: Certificate) -> None:
    current, former = queries.key_list(store, ALICE, AT)
    assert (current.state, former.state) == ("current", "former")
    assert (current.certificate.validity, former.certificate.validity) == ("valid", "expired")
    assert current.certificate.fingerprint == alice.fingerprint
    assert current.certificate.serial == "0ABC"
    assert current.certificate.key == "ec secp256r1"


def test_a_key_signs_in_its_dates_while_it_is_current_and_the_account_enabled(
    store: Store, alice: Certificate
) -> None:
    keys.import_key(store, ACT, ALICE, certified("alice@example.test", AT + timedelta(days=2), 4))

    def signing(at: datetime) -> set[str]:
        return {key.certificate.serial for key in queries.key_list(store, ALICE, at) if key.signs}

    assert signing(AT) == {"0ABC"}  # that of serial 4 is not valid yet
    assert signing(AT + timedelta(days=3)) == {"0ABC", "04"}
    assert signing(alice.not_after + timedelta(days=1)) == {"04"}
    assert signing(AT - timedelta(days=400)) == set()  # the only one in its dates is a former one
    (current,) = (key for key in queries.key_list(store, ALICE, AT) if key.signs)
    keys.retire(store, ACT, ALICE, current.id)
    assert signing(AT) == set()
    accounts.disable(store, ACT, ALICE)
    assert signing(AT + timedelta(days=3)) == set()


def test_a_partner_certificate_says_why_it_is_not_usable(store: Store) -> None:
    found = certified("partner@example.org", AT, 5, RSA_KEY).certificate
    partners.import_certificate(store, ACT, [found, ROOT])
    (view,) = queries.partner_list(store, PARTNER, AT)
    assert (view.usable, bool(view.reason)) == (False, True)
    anchors.add(store, ACT, [ROOT])
    assert queries.partner(store, found.fingerprint, AT).usable
    late = queries.partner(store, found.fingerprint, AT + timedelta(days=400))
    assert (late.usable, late.certificate.validity) == (False, "expired")


def test_an_anchor_limited_to_other_domains_makes_nothing_usable(store: Store) -> None:
    found = certified("partner@example.org", AT, 5, RSA_KEY).certificate
    partners.import_certificate(store, ACT, [found])
    anchors.add(store, ACT, [ROOT], Scope(("example.net",)))
    assert not queries.partner(store, found.fingerprint, AT).usable
    (anchor,) = queries.anchor_list(store, AT)
    assert anchor.domains == ("example.net",)
