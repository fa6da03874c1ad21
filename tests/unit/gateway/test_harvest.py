"""The key of a message against what is known: told, taken, or left alone."""

from datetime import timedelta

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.selection import PartnerCertificate
from smime_proxy.certs.source import Source
from smime_proxy.envelope import Role
from smime_proxy.gateway.harvest import MAX_MESSAGE_ID
from smime_proxy.gateway.ports import FoundKey
from smime_proxy.gateway.work import Work, make
from smime_proxy.message.parse import parse
from smime_proxy.policy.harvest import MAX_AN_ADDRESS, Caution
from smime_proxy.policy.rules import Harvest, Rules
from tests import pki
from tests.fakes import AT, World, envelope
from tests.unit.cms import parties
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, world
from tests.unit.smime.cases import clear, enveloped, message, person

NEW = "newcomer@y.org"
MAILBOX = parse_mailbox(NEW)
FIELD = "x-smime-pending-key"


def received(
    content: bytes, sender: str, surroundings: World | None = None, harvest: Harvest = Harvest.ASK
) -> tuple[FoundKey | None, tuple[str, ...]]:
    """Give the key that is handed on, and the fields that tell of one."""
    surroundings = surroundings or world()
    surroundings.rules = Rules(harvest=harvest)
    work = make(surroundings.context(), envelope(content, sender, BOB, role=Role.INBOUND))
    assert isinstance(work, Work)
    (content_,) = work.contents
    told = parse(content_.message).header.find(FIELD)
    return work.found, tuple(field.value for field in told)


def mail_of(identity: pki.Identity, sender: str = NEW, more: str = "") -> bytes:
    return message(clear(identity=identity), sender=sender, more=more)


def test_a_first_key_waits_and_the_recipient_is_told() -> None:
    identity = person(NEW)
    content = mail_of(identity, more="Message-ID: <1@y.org>\r\n")
    found, told = received(content, NEW)
    root = parties.root().certificate.fingerprint
    assert found == FoundKey(MAILBOX, identity.certificate, (), root, "<1@y.org>", AT, Caution.NONE)
    assert told == (f"{NEW}; id={identity.certificate.fingerprint[:16]}",)


def test_v17_so_does_one_inside_an_encryption() -> None:
    """V17."""
    identity = person(NEW)
    content = message(enveloped(clear(identity=identity), "bob"), sender=NEW)
    found, told = received(content, NEW)
    assert found is not None
    assert found.certificate == identity.certificate
    assert len(told) == 1


def test_a_first_key_is_taken_at_once_where_that_is_set_and_nobody_is_told() -> None:
    found, told = received(mail_of(person(NEW)), NEW, harvest=Harvest.TRUSTED)
    assert found is not None
    assert (found.caution, told) == (None, ())


def test_e73_a_key_is_found_by_the_subjects_address_where_that_counts() -> None:
    content = mail_of(person(name="Newcomer", dn_address=NEW))
    assert received(content, NEW) == (None, ())
    surroundings = world()
    surroundings.rules = Rules(subject_address=True)
    work = make(surroundings.context(), envelope(content, NEW, BOB, role=Role.INBOUND))
    assert isinstance(work, Work)
    assert work.found is not None
    assert work.found.mailbox == MAILBOX


def test_never_finds_nothing() -> None:
    assert received(mail_of(person(NEW)), NEW, harvest=Harvest.NEVER) == (None, ())


@pytest.mark.parametrize("sender", [ALICE, "alice+x@example.test"])
def test_the_keys_of_our_own_accounts_are_none_to_find(sender: str) -> None:
    identity = parties.party() if sender == ALICE else person(sender)
    assert received(mail_of(identity, sender), sender) == (None, ())


def test_a_known_key_is_none_to_find_and_neither_is_a_declined_one() -> None:
    assert received(mail_of(person(PARTNER), PARTNER), PARTNER)[0] is not None
    surroundings = world()
    surroundings.directory.know(PARTNER, person(PARTNER))
    assert received(mail_of(person(PARTNER), PARTNER), PARTNER, surroundings) == (None, ())
    surroundings = world()
    surroundings.directory.declined.add((MAILBOX, person(NEW).certificate))
    assert received(mail_of(person(NEW)), NEW, surroundings) == (None, ())


def test_a13_a_changed_key_is_taken_by_the_trust_it_rests_on() -> None:
    """A13: a renewed one silently, any other never."""
    renewed, other = person(PARTNER), pki.root("Other", kind="p256")
    found, told = received(mail_of(renewed, PARTNER), PARTNER)
    assert found is not None
    assert (found.caution, told) == (None, ())
    surroundings = world()
    surroundings.directory.roots.append(Anchor(other.certificate))
    foreign = pki.person(other, PARTNER, kind="p256")
    found, told = received(mail_of(foreign, PARTNER), PARTNER, surroundings, Harvest.TRUSTED)
    assert found is not None
    assert (found.caution, found.anchor) == (Caution.CHANGED, other.certificate.fingerprint)
    key = foreign.certificate.fingerprint[:16]
    assert told == (f"{PARTNER}; id={key}; warning=changed",)


def test_a13_a_first_key_beside_the_certificate_of_its_domain_waits_and_is_told() -> None:
    """A13: what the store decides of it, the recipient reads."""
    other = pki.root("Other", kind="p256")
    surroundings = world()
    surroundings.directory.roots.append(Anchor(other.certificate))
    surroundings.directory.know_domain("y.org", person("gateway@y.org"))
    identity = person(NEW)
    found, told = received(mail_of(identity), NEW, surroundings)
    assert found is not None
    assert (found.caution, len(told)) == (Caution.NONE, 1)
    found, told = received(mail_of(identity), NEW, surroundings, Harvest.TRUSTED)
    assert found is not None
    assert (found.caution, told) == (None, ())
    foreign = pki.person(other, NEW, kind="p256")
    found, told = received(mail_of(foreign), NEW, surroundings, Harvest.TRUSTED)
    assert found is not None
    assert found.caution is Caution.CHANGED
    assert told[0].endswith("warning=changed")


def test_the_recipient_is_told_of_a_key_that_waits_because_its_holder_has_too_many() -> None:
    surroundings = world()
    for number in range(MAX_AN_ADDRESS):
        old = person(NEW, not_after=AT + timedelta(days=number + 1))
        known = PartnerCertificate(old.certificate, source=Source.HARVESTED)
        assert received(mail_of(person(NEW)), NEW, surroundings, Harvest.TRUSTED)[1] == ()
        surroundings.directory.partners.setdefault(MAILBOX, []).append(known)
    found, told = received(mail_of(person(NEW)), NEW, surroundings, Harvest.TRUSTED)
    assert found is not None
    assert (found.caution, len(told)) == (Caution.NONE, 1)


@pytest.mark.parametrize(
    ("address", "warning"), [(NEW, "untrusted"), (PARTNER, "changed-untrusted")]
)
@pytest.mark.parametrize("harvest", [Harvest.ASK, Harvest.TRUSTED])
def test_an_untrusted_key_waits_with_a_warning(
    address: str, warning: str, harvest: Harvest
) -> None:
    alone = pki.person(None, address, kind="p256")
    found, told = received(mail_of(alone, address), address, harvest=harvest)
    assert found is not None
    assert (found.issuers, found.anchor) == ((), "")
    assert told[0].endswith(f"warning={warning}")


def test_a_forged_field_goes_whether_there_is_a_key_or_not() -> None:
    """E08."""
    forged = f"X-SMIME-Pending-Key: {NEW}; id=0123456789abcdef\r\n"
    identity = person(NEW)
    _, told = received(mail_of(identity, more=forged), NEW)
    assert told == (f"{NEW}; id={identity.certificate.fingerprint[:16]}",)
    assert received(mail_of(identity, more=forged), NEW, harvest=Harvest.NEVER) == (None, ())


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("<1@y.org>", "<1@y.org>"),
        ("<1@y.org> (x\r\n\ty)", "<1@y.org>(xy)"),
        ("\x1b[31m<ü@y.org>", "[31m<@y.org>"),
        ("<" + "x" * 900, "<" + "x" * (MAX_MESSAGE_ID - 1)),
        ("", ""),
    ],
)
def test_the_message_id_is_kept_short_and_clean(written: str, kept: str) -> None:
    content = mail_of(person(NEW), more=f"Message-ID: {written}\r\n")
    found, _ = received(content, NEW)
    assert found is not None
    assert found.message_id == kept
