"""What is decided on where, and what mode `soft` holds back of it."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from smime_proxy.address import Mailbox, parse_mailbox
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import ForwardPath
from smime_proxy.gateway.deciding import LARGE, MANY, decided, held_back
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.work import Refused, Work
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import Account, Encrypt, OnMissingCertificate, Policy
from smime_proxy.smime.classify import Protection, classify
from tests.fakes import AT, World, envelope, mail, session
from tests.unit.gateway import cases
from tests.unit.gateway.cases import ALICE, PARTNER, STRANGER, send

THOSE = Policy(encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)


@pytest.fixture
def world() -> World:
    return cases.world()


async def test_who_would_hear_of_a_refusal_by_report_keeps_the_whole_mail() -> None:
    surroundings, content = cases.world(THOSE), mail(ALICE, PARTNER, STRANGER)
    message = envelope(content, ALICE, PARTNER, STRANGER)
    held = held_back(await decided(surroundings.context(), message), message)
    assert isinstance(held, Refused)
    assert (held.reply.code, held.reply.enhanced) == (550, "5.7.5")
    assert STRANGER in held.reply.text


async def test_who_hears_of_each_recipient_gets_the_others_served() -> None:
    surroundings, content = cases.world(THOSE), mail(ALICE, PARTNER, STRANGER)
    message = envelope(content, ALICE, PARTNER, STRANGER, protocol="LMTP")
    made = await decided(surroundings.context(), message)
    assert isinstance(made, Work)
    assert held_back(made, message) is made


async def test_what_nobody_is_refused_of_and_what_all_are_stays_as_it_is() -> None:
    surroundings = cases.world(THOSE)
    for recipient in (PARTNER, STRANGER):
        message = envelope(mail(ALICE, recipient), ALICE, recipient)
        made = await decided(surroundings.context(), message)
        assert held_back(made, message) is made


async def test_mail_to_many_is_worked_on_in_a_thread(world: World) -> None:
    threads: list[str] = []
    choose = world.directory.partner_certificates

    def noted(mailbox: Mailbox) -> Sequence[PartnerCertificate]:
        threads.append(threading.current_thread().name)
        return choose(mailbox)

    world.directory.partner_certificates = noted  # type: ignore[method-assign]
    content = mail("alice@example.test", "x@y.org")
    await send(world, content, "alice@example.test", "x@y.org")
    everyone = [f"x{number}@y.org" for number in range(MANY + 1)]
    await send(world, content, "alice@example.test", *everyone)
    here = threading.current_thread().name
    assert threads[0] == here
    assert here not in threads[1:]


async def test_with_keys_on_a_device_every_mail_is_worked_on_in_a_thread(world: World) -> None:
    threads: list[str] = []
    signer = world.directory.signer

    def noted(account: Account, entry: KeyEntry, at: datetime) -> CmsSigner:
        threads.append(threading.current_thread().name)
        return signer(account, entry, at)

    world.directory.signer = noted  # type: ignore[method-assign]
    gateway = Gateway(replace(world.context(), slow_keys=True))
    talk = gateway.begin(session())
    assert (await talk.mail(parse_mailbox("alice@example.test"), ())).code == 250
    assert (await talk.rcpt(ForwardPath(parse_mailbox("x@y.org")))).code == 250
    content = mail("alice@example.test", "x@y.org")
    assert (await talk.data(content, AT, lambda: False)).code == 250
    assert threads
    assert threading.current_thread().name not in threads


async def test_large_mail_is_worked_on_in_a_thread_with_the_same_result(world: World) -> None:
    content = mail("alice@example.test", "x@y.org", body="text\r\n" * (LARGE // 5))
    assert (await send(world, content, "alice@example.test", "x@y.org")).code == 250
    assert classify(parse(world.outside.sent[0].content)) is Protection.CLEAR_SIGNED
