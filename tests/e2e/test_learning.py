"""What a partner says in his signed mail decides how the next mail to him is encrypted."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.cms.sign import CmsSigner
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.message.parse import parse
from smime_proxy.smime.classify import Protection, classify
from smime_proxy.smime.sign import sign_entity
from smime_proxy.stores.connection import Store
from smime_proxy.stores.notes import CapabilityNotes
from smime_proxy.stores.open import open_store
from smime_proxy.stores.watch import SnapshotSource
from tests.fakes import AT, FakeDirectory, World, mail, session
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, PARTNER, partner, world
from tests.unit.smime.cases import PART, message

PARTNER_MAILBOX = parse_mailbox(PARTNER)


class Learned(FakeDirectory):
    """The people of the tests, with what the store remembers of capabilities."""

    source: SnapshotSource

    def capabilities(self, mailbox: object) -> Capabilities | None:
        assert mailbox == PARTNER_MAILBOX
        return self.source.current.capabilities(PARTNER_MAILBOX)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store("sqlite", tmp_path / "state", None, migrate=True).store
    yield opened
    opened.close()


def surroundings(source: SnapshotSource) -> World:
    made = world()
    known = made.directory
    made.directory = Learned(known.by_address, known.key_entries, known.partners, known.roots)
    made.directory.source = source
    return made


def signer() -> CmsSigner:
    """Make the signer of a partner whose program lists what ours does, AES-256-GCM among it."""
    identity = partner()
    key = parties.signing_key(identity)
    return CmsSigner.build(key, identity.der, (), capabilities=True)


async def talk(gateway: Gateway, role: Role, sender: str, to: str, content: bytes) -> None:
    conversation = gateway.begin(session(role))
    assert (await conversation.mail(parse_mailbox(sender), ())).code == 250
    assert (await conversation.rcpt(ForwardPath(parse_mailbox(to)))).code == 250
    assert (await conversation.data(content, AT, lambda: False)).code == 250


async def test_e85_the_next_mail_is_encrypted_as_the_partner_said_he_can_read(
    store: Store,
) -> None:
    """E85."""
    source, notes = SnapshotSource(store), CapabilityNotes(store)
    made = surroundings(source)
    gateway = Gateway(replace(made.context(), remember=notes.note))
    writing = asyncio.create_task(notes.write_always(0.01))
    await talk(gateway, Role.OUTBOUND, ALICE, PARTNER, mail(ALICE, PARTNER))
    entity = sign_entity(PART, signer(), signing_time=AT, boundary_seed=bytes(16))
    await talk(gateway, Role.INBOUND, PARTNER, ALICE, message(entity, sender=PARTNER))
    for _ in range(500):
        if source.refresh():
            break
        await asyncio.sleep(0.01)
    await talk(gateway, Role.OUTBOUND, ALICE, PARTNER, mail(ALICE, PARTNER))
    kinds = [classify(parse(sent.content)) for sent in made.outside.sent]
    assert kinds == [Protection.ENVELOPED_DATA, Protection.AUTH_ENVELOPED_DATA]
    writing.cancel()
    await asyncio.wait([writing])
    source.close()
