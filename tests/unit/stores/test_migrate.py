"""The migrations lead from nothing to the version the program compares with."""

from dataclasses import replace
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, text

from smime_proxy.certs.authority import Issuer, issue
from smime_proxy.certs.crl import Reason
from smime_proxy.stores import anchors, authority, certificates, issued, keys, schema
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store, make_engine
from smime_proxy.stores.migrate import MIGRATIONS, upgrade
from smime_proxy.stores.revocation_lists import sign_due
from smime_proxy.stores.schema import SCHEMA_VERSION
from smime_proxy.stores.vault import AUTHORITY_KEY, KEY_VERSION
from tests import pki
from tests.pki import NOW
from tests.unit.stores.made import ALICE

ROOT = pki.root(kind="p256").certificate
OTHER = pki.root("Other Root", kind="p256").certificate


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config)


def test_the_newest_migration_is_the_version_the_program_knows() -> None:
    assert scripts().get_heads() == [SCHEMA_VERSION]


def test_versions_are_numbers_of_one_length_so_that_newer_ones_compare_greater() -> None:
    versions = [script.revision for script in scripts().walk_revisions()]
    assert {len(version) for version in versions} == {4}
    assert sorted(versions, reverse=True) == versions


def test_a_migration_is_part_of_the_callers_transaction(tmp_path: Path) -> None:
    with make_engine(tmp_path / "store.sqlite").connect() as connection:
        transaction = connection.begin()
        upgrade(connection)
        assert "account" in inspect(connection).get_table_names()
        transaction.rollback()
        assert inspect(connection).get_table_names() == []


def test_a_current_store_is_left_as_it_is(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "store.sqlite")
    for _ in range(2):
        with engine.begin() as connection:
            upgrade(connection)
    with engine.begin() as connection:
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    assert version == SCHEMA_VERSION


def upgrade_to(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def test_anchors_of_before_go_on_vouching_for_whom_they_did(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "store.sqlite")
    with engine.begin() as connection:
        upgrade_to(connection, "0002")
        for number, root in enumerate((ROOT, OTHER), 1):
            row = {"id": number, "fingerprint": root.fingerprint, "der": root.der, "locator": b""}
            connection.execute(insert(schema.certificate).values(row))
            added = {"certificate_id": number, "added_at": "2026-01-01 00:00:00.000000"}
            names = "INSERT INTO anchor (certificate_id, added_at)"
            connection.execute(text(f"{names} VALUES (:certificate_id, :added_at)"), added)
        limit = {"certificate_id": 2, "domain": "example.org"}
        connection.execute(insert(schema.anchor_domain).values(limit))
    with engine.begin() as connection:
        upgrade(connection)
        known = {anchor.certificate: anchor for anchor in anchors.load(connection)}
    assert known[ROOT].scope == Scope(own_domains=True)
    assert known[OTHER].scope == Scope(("example.org",))
    assert {(a.source, a.by_hand, a.distrust_after) for a in known.values()} == {
        ("manual", True, None)
    }


def test_a_store_of_the_first_version_keeps_what_it_has(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "store.sqlite")
    with engine.begin() as connection:
        upgrade_to(connection, "0001")
        assert "capabilities" not in inspect(connection).get_table_names()
        connection.execute(text("INSERT INTO state (id, revision, key_check) VALUES (1, 7, 'x')"))
    with engine.begin() as connection:
        upgrade(connection)
        assert "capabilities" in inspect(connection).get_table_names()
        assert connection.execute(text("SELECT revision FROM state")).scalar_one() == 7


def test_partners_of_the_second_version_were_imported_by_hand(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "store.sqlite")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        made = (
            "INSERT INTO certificate (id, fingerprint, der, locator) VALUES (1, 'f', 'd', 'l')",
            "INSERT INTO partner VALUES (1, 0, 'imported', '2026-01-01 00:00:00')",
        )
        for statement in made:
            connection.execute(text(statement))
    with engine.begin() as connection:
        upgrade(connection)
        row = connection.execute(text("SELECT source, decided_by FROM partner")).one()
    assert tuple(row) == ("manual", "")


def test_an_authority_of_before_goes_on_issuing_and_can_be_renewed(
    store: Store, act: Act, tmp_path: Path
) -> None:
    """Schema 0002 knew one root, which issued by itself, and no list of what it did."""
    key = pki.rsa_key("authority")
    root = pki.root("Old", label="authority", path_length=0).certificate
    alice = issue(Issuer(root, key), ALICE, pki.rsa_key("a").public_key(), NOW, 30, serial=5)
    old = make_engine(tmp_path / "old.sqlite")
    with old.begin() as connection:
        upgrade_to(connection, "0002")
        for number, one in enumerate((root, alice), 1):
            name = certificates.locator(one.issuer_key, one.serial)
            row = {"id": number, "fingerprint": one.fingerprint, "der": one.der, "locator": name}
            connection.execute(insert(schema.certificate).values(row))
        wrapped = store.vault.wrap(keys.pkcs8(key), AUTHORITY_KEY, root.fingerprint)
        moment = "2026-01-01 00:00:00.000000"
        said = {"wrapped": wrapped, "moment": moment, "version": KEY_VERSION}
        for line in (
            "INSERT INTO state VALUES (1, 0, '')",
            "INSERT INTO authority VALUES (1, 1, :wrapped, :version, :moment)",
            "INSERT INTO anchor VALUES (1, :moment)",
            "INSERT INTO account VALUES (1, 'personal', NULL, NULL, NULL, 1, :moment)",
            "INSERT INTO account_address VALUES ('alice@example.com', 'alice@example.com', 1, 0)",
            "INSERT INTO account_address VALUES ('al@example.com', 'al@example.com', 1, 1)",
            "INSERT INTO key VALUES ('k', 1, 2, '', 1, 0, NULL, :moment, 'issued')",
        ):
            connection.execute(text(line), {k: v for k, v in said.items() if f":{k}" in line})
    with old.begin() as connection:
        upgrade(connection)
    migrated = replace(store, path=tmp_path / "old.sqlite", engine=old, rekeyed=None)
    found = authority.find(migrated)
    assert found is not None
    assert (found.certificate, found.chain) == (root, ())
    (anchor,) = anchors.listing(migrated)
    assert (anchor.source, anchor.scope) == ("authority", Scope(own_domains=True))
    (known,) = issued.listing(migrated)
    assert (known.certificate, known.address) == (alice, "alice@example.com")
    assert sign_due(migrated, NOW) == 1
    assert issued.revoke(migrated, act, "5", Reason.SUPERSEDED)[1]
