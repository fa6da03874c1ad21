"""SMIMEA through Unbound, from zones that NSD serves: signed, unsigned, tampered with, gone."""

import socket
from collections.abc import Iterator

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.association import Association, Matching, Selector, Usage, owner_name
from smime_proxy.lookup import smimea
from smime_proxy.lookup.smimea import MAX_RECORDS, SmimeaSource
from smime_proxy.lookup.source import SourceDown, SourceUnreachable, Told
from tests import pki
from tests.ports import free_port
from tests.zones import HOST, Resolver, Zone, resolver

PAT = pki.person(None, "pat@example.org", kind="p256")
RECORD = Association.of(PAT.certificate, Usage.DANE_EE, Selector.CERTIFICATE, Matching.FULL)
BULK = pki.person(None, "bulk@example.org", kind="rsa4096").certificate


def line(address: str, text: str = RECORD.text) -> str:
    return f"{owner_name(parse_mailbox(address))}. IN SMIMEA {text}"


def cname(address: str, to: str) -> str:
    return f"{owner_name(parse_mailbox(address))}. IN CNAME {owner_name(parse_mailbox(to))}."


def zones() -> list[Zone]:
    bulk = [Association.of(BULK, Usage(usage), Selector(0), Matching(0)) for usage in range(4)]
    digests = [line("many@example.org", f"3 0 1 {number:064x}") for number in range(12)]
    org = [
        line("pat@example.org"),
        line("Pat.Upper@example.org"),
        *(line("bulk@example.org", one.text) for one in bulk),
        *digests,
        line("odd@example.org", "9 0 0 00"),
        cname("alias@example.org", "pat@example.org"),
        cname("away@example.org", "pat@example.net"),
    ]
    return [
        Zone("example.org", org),
        Zone("example.net", [line("pat@example.net")], signed=False),
        Zone("example.com", [line("pat@example.com")], tampered=True),
    ]


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resolver]:
    with resolver(tmp_path_factory.mktemp("dns"), zones()) as running:
        yield running


async def ask(dns: Resolver, address: str) -> Told:
    return await SmimeaSource(HOST, dns.port, 10.0).ask(parse_mailbox(address))


async def test_e84_records_of_a_signed_zone_are_found(dns: Resolver) -> None:
    """E84."""
    told = await ask(dns, "pat@example.org")
    assert (told.associations, told.reason) == ((RECORD,), "")
    assert 0 < (told.seconds or 0) <= 300


async def test_e84_the_local_part_is_asked_for_as_written(dns: Resolver) -> None:
    """E84."""
    assert (await ask(dns, "Pat.Upper@example.org")).associations == (RECORD,)
    assert (await ask(dns, "Pat.Upper@EXAMPLE.org")).associations == (RECORD,)
    assert (await ask(dns, "pat.upper@example.org")).associations == ()


async def test_what_does_not_fit_a_datagram_comes_over_tcp(dns: Resolver) -> None:
    told = await ask(dns, "bulk@example.org")
    assert [one.usage for one in told.associations] == [3, 2, 1, 0]
    assert sum(len(one.content) for one in told.associations) > 4096


async def test_an_alias_inside_signed_zones_is_followed_and_out_of_them_not(dns: Resolver) -> None:
    assert (await ask(dns, "alias@example.org")).associations == (RECORD,)
    assert (await ask(dns, "away@example.org")).associations == ()


async def test_so_many_records_are_taken_and_unknown_kinds_are_not(dns: Resolver) -> None:
    many = await ask(dns, "many@example.org")
    assert len(many.associations) == MAX_RECORDS
    assert many == await ask(dns, "many@example.org")
    odd = await ask(dns, "odd@example.org")
    assert (odd.associations, odd.reason) == ((), "no record is of a kind that is known")


async def test_a_proof_that_there_is_nothing_is_an_answer(dns: Resolver) -> None:
    told = await ask(dns, "nobody@example.org")
    assert (told.associations, told.reason) == ((), "there are no records")
    assert told.seconds is not None


async def test_e84_an_unsigned_zone_says_nothing(dns: Resolver) -> None:
    """E84."""
    told = await ask(dns, "pat@example.net")
    assert (told.associations, told.reason) == ((), "the answer is not validated by DNSSEC")


async def test_e84_a_zone_that_was_tampered_with_is_no_answer(dns: Resolver) -> None:
    """E84."""
    with pytest.raises(SourceUnreachable, match="SERVFAIL") as caught:
        await ask(dns, "pat@example.com")
    assert not isinstance(caught.value, SourceDown)  # of this zone, and of no other


async def test_a_server_that_does_not_validate_is_not_believed(dns: Resolver) -> None:
    """NSD itself serves the signed zone, and says AD to nobody."""
    direct = Resolver(dns.server_port, 0)
    told = await ask(direct, "pat@example.org")
    assert (told.associations, told.reason) == ((), "the answer is not validated by DNSSEC")


async def test_no_resolver_is_no_answer() -> None:
    with pytest.raises(SourceDown):
        await SmimeaSource(HOST, free_port(), 1.0).ask(parse_mailbox("pat@example.org"))


async def test_a_resolver_that_is_silent_is_no_answer() -> None:
    with socket.create_server((HOST, 0)) as stream, socket.socket(type=socket.SOCK_DGRAM) as plain:
        port = stream.getsockname()[1]
        plain.bind((HOST, port))
        with pytest.raises(SourceUnreachable, match="does not answer") as caught:
            await SmimeaSource(HOST, port, 0.5).ask(parse_mailbox("pat@example.org"))
    assert not isinstance(caught.value, SourceDown)  # it may wait for somebody's servers


def test_address_literals_have_no_name() -> None:
    asked = SmimeaSource(HOST, 53, 1.0)
    assert asked.serves(parse_mailbox("pat@example.org"))
    assert not asked.serves(parse_mailbox("pat@[192.0.2.1]"))


async def test_a_domain_too_long_for_the_dns_has_no_records(dns: Resolver) -> None:
    domain = ".".join(["a" * 60] * 4)
    told = await ask(dns, f"pat@{domain}")
    assert told == Told(reason="the address has no name in the DNS")


async def test_whether_it_validates_is_found_out_by_asking_for_a_signed_name(
    dns: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root in real life, which the resolver here does not reach."""
    monkeypatch.setattr(smimea, "PROBE_NAME", "example.org.")
    await SmimeaSource(HOST, dns.port, 10.0).check()
    with pytest.raises(SourceUnreachable, match="does not validate"):
        await SmimeaSource(HOST, dns.server_port, 10.0).check()
    monkeypatch.setattr(smimea, "PROBE_NAME", "nothing.example.org.")
    with pytest.raises(SourceUnreachable, match="NXDOMAIN"):
        await SmimeaSource(HOST, dns.port, 10.0).check()
    with pytest.raises(SourceUnreachable):
        await SmimeaSource(HOST, free_port(), 1.0).check()
