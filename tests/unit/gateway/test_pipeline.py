"""The life of a transaction: MAIL and RCPT relayed, content decided on, delivered, answered."""

import base64
import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.context import Context
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.ports import (
    Extensions,
    FoundKey,
    SeenCapabilities,
)
from smime_proxy.message.parse import parse
from smime_proxy.policy.rules import Account
from smime_proxy.reply import EnhancedStatus, Reply
from smime_proxy.smime.classify import Protection, classify
from smime_proxy.smime.encrypt import encrypt_message, recipient_of
from smime_proxy.stores import accounts, keys
from smime_proxy.stores.connection import Act
from smime_proxy.stores.open import open_store
from smime_proxy.stores.snapshot import Snapshot
from tests import pki
from tests.fakes import AT, FakeMemory, FakeUpstream, World, lost, mail, session
from tests.unit.gateway import cases
from tests.unit.smime.cases import PART, clear, enveloped, message, person, trust
from tests.unit.smime.test_receive import undecryptable
from tests.unit.stores.made import bundle

ROOT = pki.root()
ALICE = pki.person(ROOT, "alice@example.test")
PARTNER = pki.person(ROOT, "partner@example.org")
USER_UNKNOWN = Reply(550, EnhancedStatus(1, 1), "user unknown")


@pytest.fixture
def world() -> World:
    world = World()
    world.directory.add("alice@example.test", ALICE)
    return world


async def send(
    world: World,
    content: bytes,
    sender: str,
    *recipients: str,
    role: Role = Role.OUTBOUND,
    at: datetime = AT,
) -> Reply:
    talk = Gateway(world.context()).begin(session(role))
    assert (await talk.mail(parse_mailbox(sender), ())).code == 250
    for recipient in recipients:
        assert (await talk.rcpt(ForwardPath(parse_mailbox(recipient)))).code == 250
    return await talk.data(content, at, lambda: False)


async def test_mail_of_an_account_with_a_key_leaves_signed_behind_one_received_field(
    world: World,
) -> None:
    reply = await send(
        world, mail("alice@example.test", "x@y.org"), "alice@example.test", "x@y.org"
    )
    assert reply.code == 250
    (sent,) = world.outside.sent
    assert sent.content.count(b"Received:") == 1
    assert sent.content.startswith(b"Received: from client.example.test")
    assert classify(parse(sent.content)) is Protection.CLEAR_SIGNED


async def test_mail_of_strangers_leaves_octet_for_octet_behind_received(world: World) -> None:
    content = mail("eve@elsewhere.org", "x@y.org")
    await send(world, content, "eve@elsewhere.org", "x@y.org")
    assert world.outside.sent[0].content.endswith(b"\r\n" + content)


async def test_mail_to_a_partner_with_a_certificate_leaves_encrypted(world: World) -> None:
    world.directory.know("partner@example.org", PARTNER, pinned=True)
    content = mail("alice@example.test", "partner@example.org", body="canary\r\n")
    await send(world, content, "alice@example.test", "partner@example.org")
    (sent,) = world.outside.sent
    assert b"canary" not in sent.content
    assert classify(parse(sent.content)) is Protection.ENVELOPED_DATA


async def test_a_way_out_of_ones_own_takes_all_groups_and_the_reports(world: World) -> None:
    """With the credentials of a client everything leaves, nothing by anybody else's sessions."""
    world.directory.know("partner@example.org", PARTNER, pinned=True)
    own = FakeUpstream()
    talk = Gateway(world.context()).begin(session(Role.OUTBOUND), own)
    content = mail("alice@example.test", "partner@example.org", "x@y.org")
    assert (await talk.mail(parse_mailbox("alice@example.test"), ())).code == 250
    for recipient in ("partner@example.org", "x@y.org"):
        assert (await talk.rcpt(ForwardPath(parse_mailbox(recipient)))).code == 250
    assert (await talk.data(content, AT, lambda: False)).code == 250
    assert len(own.sent) == 2
    assert world.outside.opened == 0
    await send(world, content, "alice@example.test", "x@y.org")
    assert world.outside.opened == 1


async def test_one_group_uses_the_transaction_opened_for_the_client(world: World) -> None:
    await send(
        world, mail("alice@example.test", "x@y.org"), "alice@example.test", "x@y.org", "z@y.org"
    )
    assert (world.outside.opened, len(world.outside.sent)) == (1, 1)


async def test_several_groups_are_all_sent_or_none(world: World) -> None:
    world.directory.know("partner@example.org", PARTNER, pinned=True)
    content = mail("alice@example.test", "partner@example.org", "x@y.org")
    world.outside.faults["prepare:partner@example.org"] = USER_UNKNOWN
    reply = await send(world, content, "alice@example.test", "partner@example.org", "x@y.org")
    assert reply == USER_UNKNOWN
    assert world.outside.sent == []
    del world.outside.faults["prepare:partner@example.org"]
    reply = await send(world, content, "alice@example.test", "partner@example.org", "x@y.org")
    assert reply.code == 250
    assert len(world.outside.sent) == 2


async def test_a_lost_connection_after_the_dot_is_451_never_250(world: World) -> None:
    world.outside.faults["commit"] = lost()
    reply = await send(
        world, mail("alice@example.test", "x@y.org"), "alice@example.test", "x@y.org"
    )
    assert (reply.code, reply.enhanced) == (451, "4.4.2")


async def test_the_unforeseen_is_451_with_an_id_and_nothing_is_sent(world: World) -> None:
    world.outside.faults["prepare"] = RuntimeError("secret")
    reply = await send(
        world, mail("alice@example.test", "x@y.org"), "alice@example.test", "x@y.org"
    )
    assert (reply.code, reply.enhanced) == (451, "4.3.0")
    assert "id " in reply.text
    assert "secret" not in reply.text
    assert world.outside.sent == []
    assert ("internal_errors", {}) in world.measures.counted


async def test_upstream_refusals_reach_the_client_as_they_are(world: World) -> None:
    world.outside.faults["rcpt:nobody@y.org"] = USER_UNKNOWN
    talk = Gateway(world.context()).begin(session())
    await talk.mail(parse_mailbox("alice@example.test"), ())
    assert await talk.rcpt(ForwardPath(parse_mailbox("nobody@y.org"))) == USER_UNKNOWN


async def test_a_session_lost_at_a_recipient_keeps_those_accepted_before(world: World) -> None:
    """I1: a new transaction repeats them, and never is mail accepted for nobody."""
    talk = Gateway(world.context()).begin(session())
    await talk.mail(parse_mailbox("alice@example.test"), ())
    assert (await talk.rcpt(ForwardPath(parse_mailbox("x@y.org")))).code == 250
    world.outside.faults["rcpt:z@y.org"] = lost()
    assert (await talk.rcpt(ForwardPath(parse_mailbox("z@y.org")))).code == 451
    assert (await talk.rcpt(ForwardPath(parse_mailbox("a@y.org")))).code == 451
    reply = await talk.data(mail("alice@example.test", "x@y.org"), AT, lambda: False)
    assert reply.code == 250
    (sent,) = world.outside.sent
    assert [str(item) for item in sent.recipients] == ["x@y.org"]
    assert world.outside.leaked == 0


async def test_without_an_accepted_recipient_nothing_is_ever_accepted(world: World) -> None:
    talk = Gateway(world.context()).begin(session())
    await talk.mail(parse_mailbox("alice@example.test"), ())
    reply = await talk.data(mail("eve@elsewhere.org", "x@y.org"), AT, lambda: False)
    assert reply.code == 451
    assert (world.outside.sent, world.outside.leaked) == ([], 0)


async def test_a_refused_mail_leaves_no_state_behind(world: World) -> None:
    talk = Gateway(world.context()).begin(session())
    world.outside.faults["mail"] = USER_UNKNOWN
    assert await talk.mail(parse_mailbox("eve@elsewhere.org"), ("SMTPUTF8",)) == USER_UNKNOWN
    assert world.outside.leaked == 0
    assert (await talk.rcpt(ForwardPath(parse_mailbox("x@y.org")))).code == 451
    world.outside.faults.clear()
    assert (await talk.mail(None, ())).code == 250
    assert (await talk.rcpt(ForwardPath(parse_mailbox("x@y.org")))).code == 250
    content = mail("eve@elsewhere.org", "x@y.org")
    assert (await talk.data(content, AT, lambda: False)).code == 250
    (sent,) = world.outside.sent
    assert (sent.reverse_path, sent.parameters) == (None, ("BODY=8BITMIME",))


async def test_one_session_carries_one_mail_after_the_other(world: World) -> None:
    talk = Gateway(world.context()).begin(session())
    names = set()
    for recipient in ("x@y.org", "z@y.org"):
        names.add(talk.identifier)
        await talk.mail(parse_mailbox("alice@example.test"), ())
        await talk.rcpt(ForwardPath(parse_mailbox(recipient)))
        content = mail("alice@example.test", recipient)
        assert (await talk.data(content, AT, lambda: False)).code == 250
    assert [str(sent.recipients[0]) for sent in world.outside.sent] == ["x@y.org", "z@y.org"]
    assert len(names) == 2
    assert world.outside.leaked == 0


async def test_reset_aborts_and_a_fault_in_aborting_troubles_nobody(world: World) -> None:
    for fault in (None, lost(), RuntimeError("x")):
        world.outside.faults = {"abort": fault} if fault else {}
        talk = Gateway(world.context()).begin(session())
        await talk.mail(parse_mailbox("alice@example.test"), ())
        await talk.rcpt(ForwardPath(parse_mailbox("x@y.org")))
        await talk.reset()
        await talk.reset()
        assert world.outside.leaked == 0
    assert world.outside.aborted == 3


async def test_a_refusal_reaches_the_client_though_the_abort_fails(world: World) -> None:
    world.outside.faults["abort"] = RuntimeError("x")
    content = mail("alice@example.test", "x@y.org", more="X-SMIME-Encrypt: yes\r\n")
    reply = await send(world, content, "alice@example.test", "x@y.org")
    assert (reply.code, reply.enhanced) == (550, "5.7.5")


@pytest.mark.parametrize("step", ["open", "mail", "rcpt", "prepare", "commit"])
@pytest.mark.parametrize("fault", [RuntimeError("x"), lost()])
async def test_i15_whatever_fails_no_transaction_is_left_open(
    world: World, step: str, fault: Exception
) -> None:
    """I15, I10."""
    world.outside.faults[step] = fault
    talk = Gateway(world.context()).begin(session())
    replies = [await talk.mail(parse_mailbox("alice@example.test"), ())]
    if replies[-1].is_positive:
        replies.append(await talk.rcpt(ForwardPath(parse_mailbox("x@y.org"))))
    content = mail("alice@example.test", "x@y.org")
    replies.append(await talk.data(content, AT, lambda: False))
    assert replies[-1].code == 451
    assert (world.outside.sent, world.outside.leaked) == ([], 0)


async def test_a_person_with_two_certificates_signs_with_one_and_reads_with_the_other(
    world: World, tmp_path: Path
) -> None:
    """E72, and the separated keys go on working when the one for encryption has expired."""
    address, usage = "alice@example.test", ("key_encipherment",)
    signs = pki.person(ROOT, address, usage=("digital_signature",), label="signs")
    decrypts = pki.person(ROOT, address, usage=usage, label="decrypts", not_after=AT)
    store = open_store("sqlite", tmp_path, None, migrate=False).store
    act, mailbox = Act("admin", AT), parse_mailbox(address)
    accounts.add(store, act, Account(mailbox))
    for one in (signs, decrypts):
        keys.import_key(store, act, mailbox, bundle(one))
    with store.reading() as connection:
        snapshot = Snapshot.load(connection, store.vault)
    world = SnapshotWorld(world, snapshot)
    content = mail(address, "x@y.org")
    assert (await send(world, content, address, "x@y.org")).code == 250
    signed = world.outside.sent[0].content
    assert classify(parse(signed)) is Protection.CLEAR_SIGNED
    encoded = signed.rpartition(b"smime.p7s")[2].partition(b"\r\n\r\n")[2]
    signature = base64.b64decode(encoded.partition(b"\r\n--")[0])
    assert signs.der in signature
    assert decrypts.der in signature
    sealed = encrypt_message(
        parse(content).header,
        b"Content-Type: text/plain\r\n\r\nfor her eyes\r\n",
        [recipient_of(decrypts.der)],
        random=os.urandom,
    )
    for at in (AT, AT + timedelta(days=1)):
        await send(world, sealed, "x@y.org", address, role=Role.INBOUND, at=at)
        assert b"for her eyes" in world.inside.sent[-1].content


class SnapshotWorld(World):
    """A world whose directory is a snapshot of a store."""

    def __init__(self, world: World, snapshot: Snapshot) -> None:
        super().__init__(outside=world.outside, inside=world.inside)
        self.snapshot = snapshot

    def context(self) -> Context:
        return replace(super().context(), directory=lambda: self.snapshot)


async def test_inbound_mail_asks_for_headers_only_in_reports(world: World) -> None:
    """E13, RFC 3461."""
    world.inside.extensions = Extensions(dsn=True)
    content = mail("x@y.org", "alice@example.test")
    await send(world, content, "x@y.org", "alice@example.test", role=Role.INBOUND)
    assert "RET=HDRS" in world.inside.sent[0].parameters


async def test_internationalised_mail_needs_an_upstream_that_takes_it(world: World) -> None:
    world.outside.extensions = Extensions(smtputf8=False)
    talk = Gateway(world.context()).begin(session())
    reply = await talk.mail(parse_mailbox("ü@example.test"), ("smtputf8",))
    assert (reply.code, reply.enhanced) == (550, "5.6.7")
    assert world.outside.leaked == 0


async def test_what_a_sender_reads_is_remembered_once_his_mail_is_delivered(world: World) -> None:
    signed = message(clear(identity=person("x@y.org")), sender="x@y.org")
    world.directory.roots.extend(trust().anchors)
    world.inside.faults["prepare"] = USER_UNKNOWN
    reply = await send(world, signed, "x@y.org", "alice@example.test", role=Role.INBOUND)
    assert (reply.code, world.seen) == (550, [])
    world.inside.faults.clear()
    await send(world, signed, "x@y.org", "alice@example.test", role=Role.INBOUND)
    (seen,) = world.seen
    # Once, for the mail that was handed on.
    judged = [labels for name, labels in world.measures.counted if name == "verdicts"]
    assert judged == [{"signature": "pass", "encryption": "none", "mode": "enforce"}]
    assert (str(seen.mailbox), seen.at) == ("x@y.org", AT)


async def test_remembering_that_fails_is_no_fault_of_the_mail(world: World) -> None:
    def broken(_seen: SeenCapabilities) -> None:
        raise ValueError("full")

    signed = message(clear(identity=person("x@y.org")), sender="x@y.org")
    world.directory.roots.extend(trust().anchors)
    talk = Gateway(replace(world.context(), remember=broken)).begin(session(Role.INBOUND))
    await talk.mail(parse_mailbox("x@y.org"), ())
    await talk.rcpt(ForwardPath(parse_mailbox("alice@example.test")))
    assert (await talk.data(signed, AT, lambda: False)).code == 250
    assert len(world.inside.sent) == 1


async def test_a_key_is_handed_on_once_the_mail_is_delivered(world: World) -> None:
    signed = message(clear(identity=person("x@y.org")), sender="x@y.org")
    world.directory.roots.extend(trust().anchors)
    world.inside.faults["prepare"] = USER_UNKNOWN
    await send(world, signed, "x@y.org", "alice@example.test", role=Role.INBOUND)
    assert world.found == []
    world.inside.faults.clear()
    await send(world, signed, "x@y.org", "alice@example.test", role=Role.INBOUND)
    (found,) = world.found
    assert str(found.mailbox) == "x@y.org"


async def test_a_key_that_cannot_be_noted_is_no_fault_of_the_mail(world: World) -> None:
    def broken(_found: FoundKey) -> None:
        raise ValueError("full")

    signed = message(clear(identity=person("x@y.org")), sender="x@y.org")
    world.directory.roots.extend(trust().anchors)
    talk = Gateway(replace(world.context(), harvest=broken)).begin(session(Role.INBOUND))
    await talk.mail(parse_mailbox("x@y.org"), ())
    await talk.rcpt(ForwardPath(parse_mailbox("alice@example.test")))
    assert (await talk.data(signed, AT, lambda: False)).code == 250
    assert len(world.inside.sent) == 1


async def test_what_is_decrypted_is_remembered_before_a_program_can_answer_it() -> None:
    surroundings, memory = cases.world(), FakeMemory()
    surroundings.memory = memory
    surroundings.inside.faults["commit:alice@example.test"] = USER_UNKNOWN
    sealed = message(enveloped(PART, "alice"), cases.PARTNER, "Message-ID: <1@x>\r\n")
    reply = await cases.send(surroundings, sealed, cases.PARTNER, cases.ALICE, role=Role.INBOUND)
    assert reply.code == 550
    assert memory.known == memory.settled == {b"1@x"}
    answer = mail(cases.ALICE, cases.STRANGER, more="In-Reply-To: <1@x>\r\n")
    for sender in (None, cases.ALICE):
        refused = await cases.send(surroundings, answer, sender, cases.STRANGER)
        assert (refused.code, refused.enhanced) == (550, "5.7.5")
    assert surroundings.outside.sent == []
    counted = [labels for name, labels in surroundings.measures.counted if name == "refused"]
    assert counted == [{"rule": "after_decryption", "mode": "enforce"}] * 2
    assert (await cases.send(surroundings, answer, cases.ALICE, cases.PARTNER)).code == 250
    assert ("after_decryption", {"mode": "enforce"}) in surroundings.measures.counted
    assert memory.known == {b"1@x", b"1@example.test"}


async def test_i16_whatever_keeps_mail_from_being_decrypted_reply_and_fields_are_the_same() -> None:
    """I16, E12: `python -m tests.perf.uniform` measures the time."""
    said: set[tuple[Reply, bytes, str]] = set()
    for content in undecryptable().values():
        surroundings = cases.world()
        sending = cases.send(surroundings, content, "x@y.org", cases.ALICE, role=Role.INBOUND)
        reply = await sending
        (sent,) = surroundings.inside.sent
        before, ours, rest = sent.content.partition(b"Authentication-Results:")
        assert rest.endswith(content.partition(b"\r\n\r\n")[2])
        counted = [labels for name, labels in surroundings.measures.counted if name == "verdicts"]
        fields = ours + rest[: -len(content)]
        assert before.startswith(b"Received:")
        said.add((reply, fields, str(counted)))
    ((reply, fields, counted_as),) = said
    assert reply.code == 250
    assert b"undecryptable" in fields
    assert "undecryptable" in counted_as
