"""Revocation lists are signed in time, numbered without a gap, and published by name."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import update
from structlog.testing import capture_logs

from smime_proxy.certs.authority import Issuer, create_authority, create_issuing
from smime_proxy.certs.crl import CRL_LIFETIME
from smime_proxy.gateway.ports import KeyUnavailable
from smime_proxy.stores import authority, revocation_lists, schema
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.errors import StoreError
from smime_proxy.stores.revocation_lists import RENEW_BEFORE, list_id, published, sign_due
from smime_proxy.stores.vault import Vault
from tests import pki
from tests.pki import NOW

ROOT_KEY, KEY = pki.rsa_key("authority"), pki.rsa_key("issuing authority")
ROOT = Issuer(create_authority("Root", NOW, 10, ROOT_KEY, serial=1), ROOT_KEY)
BELOW = Issuer(create_issuing(ROOT, "Below", KEY.public_key(), NOW, serial=2), KEY)


@pytest.fixture
def ready(store: Store, act: Act) -> Store:
    """A store with an authority of two."""
    authority.init(store, act, ROOT, BELOW)
    return store


def numbers(store: Store) -> list[int]:
    return [
        x509.load_der_x509_crl(der)
        .extensions.get_extension_for_class(x509.CRLNumber)
        .value.crl_number
        for der in revocation_lists.current(store)
    ]


def test_lists_are_signed_when_they_are_due_and_not_before(ready: Store) -> None:
    assert revocation_lists.current(ready) == ()
    assert sign_due(ready, NOW) == 2
    assert numbers(ready) == [1, 1]
    assert sign_due(ready, NOW + CRL_LIFETIME - RENEW_BEFORE) == 0
    assert sign_due(ready, NOW + CRL_LIFETIME - RENEW_BEFORE + timedelta(seconds=1)) == 2
    assert numbers(ready) == [2, 2]


def test_the_list_of_the_newest_comes_first(ready: Store) -> None:
    sign_due(ready, NOW)
    below, root = map(x509.load_der_x509_crl, revocation_lists.current(ready))
    assert below.is_signature_valid(KEY.public_key())
    assert root.is_signature_valid(ROOT_KEY.public_key())


def test_what_is_published_is_found_by_names_that_certificates_can_say(ready: Store) -> None:
    before = published(ready.path)
    assert before.keys() == {f"{list_id(one.certificate)}.cer" for one in (ROOT, BELOW)}
    sign_due(ready, NOW)
    shown = published(ready.path)
    assert shown.keys() == before.keys() | {
        f"{list_id(one.certificate)}.crl" for one in (ROOT, BELOW)
    }
    assert shown[f"{list_id(BELOW.certificate)}.cer"] == BELOW.certificate.der
    assert shown[f"{list_id(BELOW.certificate)}.crl"] == revocation_lists.current(ready)[0]


def test_a_store_without_authority_publishes_nothing(store: Store, tmp_path: Path) -> None:
    assert published(store.path) == {}
    assert sign_due(store, NOW) == 0
    with pytest.raises(StoreError, match="cannot be used"):
        published(tmp_path / "none" / "store.sqlite")


class Away:
    """A master key on a token that is not there."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        raise KeyUnavailable("the token is away")

    decrypt = encrypt


@pytest.mark.parametrize("away", [False, True])
async def test_the_service_says_once_when_it_cannot_sign(ready: Store, away: bool) -> None:
    with ready.engine.begin() as connection:
        connection.execute(update(schema.authority).values(wrapped=b"x" * 100))
    store = replace(ready, vault=Vault(Away())) if away else ready
    with capture_logs() as logged:
        keeping = asyncio.ensure_future(revocation_lists.keep_signed(store, 0.01))
        for _ in range(600):
            await asyncio.sleep(0.05)
            if logged:
                break
        await asyncio.sleep(0.1)  # some tries more
        assert not keeping.done()
        keeping.cancel()
    assert [entry["event"] for entry in logged] == ["revocation lists not signed"]


async def test_the_service_signs_what_is_due_now(ready: Store) -> None:
    keeping = asyncio.ensure_future(revocation_lists.keep_signed(ready))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if revocation_lists.current(ready):
            break
    keeping.cancel()
    (der, _) = revocation_lists.current(ready)
    left = x509.load_der_x509_crl(der).next_update_utc
    assert left is not None
    assert left - datetime.now(UTC) > timedelta(days=6)
