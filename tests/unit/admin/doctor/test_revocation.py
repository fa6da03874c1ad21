"""What doctor says of revocations of our own keys, asked of a real web server."""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from smime_proxy.admin.doctor import revocation
from smime_proxy.admin.doctor.finding import Finding, Severity
from smime_proxy.admin.doctor.revocation import (
    Asked,
    own_pairs,
    silence_findings,
    status_findings,
)
from smime_proxy.certs.revocation_mode import Mode
from smime_proxy.lookup.http import AddressRule, Http
from smime_proxy.stores import accounts, anchors, keys
from smime_proxy.stores.anchors import Scope
from smime_proxy.stores.connection import Act, Store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.unit.certs.answers import NOW, Known, crl, crl_der, ocsp_der
from tests.unit.certs.test_status_sources import access, points
from tests.unit.stores.made import ALICE, account, bundle
from tests.web import Lists

ROOT = pki.root(kind="p256")
ADDRESS = "alice@example.com"
Look = Callable[[], Snapshot]


@pytest.fixture
def web() -> Iterator[Lists]:
    made = Lists()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _trusted(store: Store, act: Act) -> None:
    anchors.add(store, act, [ROOT.certificate], Scope(own_domains=True))
    accounts.add(store, act, account(ADDRESS))


def give(store: Store, act: Act, identity: pki.Identity) -> None:
    keys.import_key(store, act, ALICE, bundle(identity))


def person(*extra: Any, issuer: pki.Identity | None = ROOT) -> pki.Identity:
    return pki.person(issuer, ADDRESS, kind="p256", extra=extra)


async def asked_about(snapshot: Snapshot) -> Asked:
    asked = Asked(Known())
    http = Http(AddressRule([ip_network("127.0.0.1/32")]))
    try:
        await asked.ask(own_pairs(snapshot, NOW), http, 1 << 20, NOW)
    finally:
        await http.close()
    return asked


async def said(look: Look, mode: Mode) -> list[Finding]:
    asked = await asked_about(look())
    return [*silence_findings(asked, mode), *status_findings(look(), asked, mode, NOW)]


@pytest.mark.parametrize("mode", [Mode.SOFT, Mode.HARD])
async def test_a_key_that_is_known_to_be_good_is_no_finding(
    store: Store, act: Act, look: Look, web: Lists, mode: Mode
) -> None:
    by_list = person(points(web.url("/crl")))
    give(store, act, by_list)
    web.pages["/crl"] = crl_der(ROOT)
    assert await said(look, mode) == []
    by_ocsp = person(access(web.url("/ocsp")))
    give(store, act, by_ocsp)
    web.pages["/ocsp"] = ocsp_der(by_ocsp, ROOT)
    assert await said(look, mode) == []
    assert "/ocsp" in web.visits


async def test_a_revoked_key_is_an_error_in_every_mode(
    store: Store, act: Act, look: Look, web: Lists
) -> None:
    identity = person(points(web.url("/crl")))
    give(store, act, identity)
    web.pages["/crl"] = crl_der(ROOT, identity)
    for mode in (Mode.SOFT, Mode.HARD):
        (found,) = await said(look, mode)
        assert (found.severity, "revoked on" in found.what) == (Severity.ERROR, True)
        assert f"of {ADDRESS}" in found.where


@pytest.mark.parametrize(
    ("page", "why"), [(None, "404"), (b"no", "not a readable"), (crl_der(ROOT)[:40], "readable")]
)
async def test_a_source_that_gives_nothing_is_told_and_hurts_in_hard_mode(
    store: Store, act: Act, look: Look, web: Lists, page: bytes | None, why: str
) -> None:
    url = web.url("/crl")
    give(store, act, person(points(url, "ldap://never.test/")))
    if page is not None:
        web.pages["/crl"] = page
    (note,) = await said(look, Mode.SOFT)
    assert (note.severity, note.where) == (Severity.NOTE, f"revocation source {url}")
    assert why in note.what
    silent, unknown = await said(look, Mode.HARD)
    assert (silent.severity, unknown.severity) == (Severity.WARNING, Severity.WARNING)
    assert "cannot be told" in unknown.what


async def test_an_answer_of_somebody_else_is_none(
    store: Store, act: Act, look: Look, web: Lists
) -> None:
    other = pki.root("Other", kind="p256")
    identity = person(access(web.url("/ocsp")))
    give(store, act, identity)
    web.pages["/ocsp"] = ocsp_der(identity, ROOT, responder=other)
    silent, _ = await said(look, Mode.HARD)
    assert "another authority" in silent.what
    web.pages["/ocsp"] = ocsp_der(person(), ROOT)
    silent, _ = await said(look, Mode.HARD)
    assert "about another certificate" in silent.what


async def test_a_slow_source_is_not_waited_for(
    store: Store, act: Act, look: Look, web: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "SECONDS", 0.2)
    web.seconds = 1.0
    give(store, act, person(points(web.url("/crl"))))
    (note,) = await said(look, Mode.SOFT)
    assert "no answer within 0.2 seconds" in note.what


async def test_nobody_is_asked_on_the_word_of_a_chain_nobody_trusts(
    store: Store, act: Act, look: Look, web: Lists
) -> None:
    stranger = pki.root("Stranger", kind="p256")
    give(store, act, person(points(web.url("/crl")), issuer=stranger))
    assert await said(look, Mode.HARD) == []
    assert web.visits == []


async def test_what_is_kept_counts_when_nobody_is_asked(store: Store, act: Act, look: Look) -> None:
    identity = person()
    give(store, act, identity)
    (unknown,) = status_findings(look(), Asked(Known()), Mode.HARD, NOW)
    assert unknown.severity is Severity.WARNING
    kept = crl(ROOT)
    assert list(status_findings(look(), Asked(Known([kept])), Mode.HARD, NOW)) == []
