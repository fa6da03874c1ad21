"""The layouts for mail that is sent: by submission, as content filter, and as smarthost.

RFC 5321, 6409, 4954, 8551, 6376, 3464; rows E01, E02, E23, E71.
"""

import base64
import hashlib
import re
import smtplib
from collections.abc import Iterator

import pytest

from tests.deploy.postfix.building import started
from tests.deploy.postfix.house import (
    AWAY,
    BOB,
    INVOICES,
    STRANGER,
    US,
    PostfixHouse,
)
from tests.deploy.postfix.letters import (
    EIGHT_BIT,
    INVITATION,
    REPORT,
    SECRET,
    fresh,
    intact,
    letter,
    readable,
    signed,
    verified,
)
from tests.deploy.postfix.outage import away
from tests.e2e.conftest import ALICE, FRIEND, OUTSIDE, PARTNER, TEAM, Made
from tests.e2e.proxy import eventually
from tests.ports import HOST
from tests.tls_files import TlsFiles

pytestmark = pytest.mark.e2e

OUTAGE_SECONDS, MESSAGES = 1.0, 6
SIGNED = b"Content-Type: multipart/signed"
ENCRYPT = "X-SMIME-Encrypt: yes\r\n"
LISTS = "list-bounces@example.test"
QUEUED = ("outbound", "smarthost")  # the client has his 250 before the service sees anything
FORWARDING = "10029"  # where the mail store sends on


@pytest.fixture(scope="module", params=["submission", "outbound", "smarthost"])
def house(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    settled: Made,
    tls: TlsFiles,
) -> Iterator[PostfixHouse]:
    folder = tmp_path_factory.mktemp("deploy") / request.param
    with started(request.param, folder, settled, tls) as running:
        yield running


def test_mail_is_signed_once_and_dkim_signs_it_after(house: PostfixHouse) -> None:
    identifier = fresh()
    assert house.submit(ALICE, ALICE, [OUTSIDE], letter(identifier)).code == 250
    content = house.left(identifier).content
    assert content.count(SIGNED) == 1
    assert SECRET.encode() in verified(house.made.files, content)
    if house.layout.name != "smarthost":  # there the provider does it
        assert content.count(b"DKIM-Signature: ") == 1
        assert dkim_body_hash(content) == body_hash(content)


def dkim_body_hash(content: bytes) -> bytes:
    (told,) = re.findall(rb"\bbh=([^;]*);", content.partition(b"\r\n\r\n")[0])
    return re.sub(rb"\s", b"", told)


def body_hash(content: bytes) -> bytes:
    body = content.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") + b"\r\n"  # RFC 6376 3.4.3
    return base64.b64encode(hashlib.sha256(body).digest())


def test_mail_is_encrypted_for_each_and_never_leaves_in_clear(house: PostfixHouse) -> None:
    identifier = fresh()
    content = letter(identifier, to=PARTNER, more=ENCRYPT)
    assert house.submit(ALICE, ALICE, [PARTNER, FRIEND], content).code == 250
    eventually(lambda: len(house.outside(identifier)) > 1, house.explain)
    house.settle()
    copies = {one.recipients: one.content for one in house.outside(identifier)}
    assert set(copies) == {(PARTNER,), (FRIEND,)}
    for (address,), raw in copies.items():
        assert SECRET.encode() not in raw
        assert SECRET.encode() in readable(house.made.files, raw, address.partition("@")[0])


def test_a_team_that_would_encrypt_is_refused_and_told_why(house: PostfixHouse) -> None:
    """In the dialogue, or by a bounce of Postfix's that has our words."""
    identifier = fresh()
    answer = house.submit(ALICE, TEAM, [PARTNER], letter(identifier, TEAM, PARTNER, ENCRYPT))
    told = answer.text.encode()
    if house.layout.name in QUEUED:
        assert answer.code == 250
        told = house.arrived(TEAM, identifier)
        assert b"Final-Recipient: rfc822; partner@example.org" in told
        assert SECRET.encode() not in told
    else:
        assert answer.code == 550
    said = b" ".join(told.split())
    assert b"5.7.4" in said
    assert b"Send it unencrypted, or from a personal address." in said
    house.settle()
    assert house.outside(identifier) == []


def test_an_invitation_leaves_octet_by_octet(house: PostfixHouse) -> None:
    identifier = fresh()
    content = letter(identifier, ALICE, OUTSIDE, *INVITATION)
    assert house.submit(ALICE, ALICE, [OUTSIDE], content).code == 250
    assert house.left(identifier).content.endswith(b"\r\n" + content)


def test_what_a_client_signed_in_eight_bits_leaves_as_it_is(house: PostfixHouse) -> None:
    """Though the next server takes 7 bits only: to encode it anew would break the signature."""
    identifier = fresh()
    content = signed(house.made.files, identifier, PARTNER, OUTSIDE, "partner", EIGHT_BIT[1])
    assert house.send(US, PARTNER, [OUTSIDE], content).code == 250
    left = house.left(identifier).content
    assert left.endswith(content.partition(b"\r\n\r\n")[2])
    assert EIGHT_BIT[1].encode() in intact(left)


def test_nobody_sends_from_an_address_that_is_not_his(house: PostfixHouse) -> None:
    assert house.submit(ALICE, BOB, [OUTSIDE], letter(fresh(), BOB)).code == 553
    assert house.send(STRANGER, ALICE, [AWAY], letter(fresh())).code == 553


def test_a_from_that_is_not_the_senders_is_not_signed(house: PostfixHouse) -> None:
    identifier = fresh()
    assert house.submit(BOB, BOB, [OUTSIDE], letter(identifier, ALICE)).code == 250
    assert SIGNED not in house.left(identifier).content


def test_a_strangers_forged_mail_that_an_alias_sends_on_is_not_signed(house: PostfixHouse) -> None:
    identifier = fresh()
    assert house.send(STRANGER, INVOICES, [AWAY], letter(identifier, INVOICES)).code == 250
    message = house.left(identifier)
    assert message.recipients == (OUTSIDE,)
    assert SIGNED not in message.content


def test_an_application_of_ours_is_signed_for(house: PostfixHouse) -> None:
    """The same mail from one of mynetworks; where only what is submitted passes, it does not."""
    identifier = fresh()
    assert house.send(US, INVOICES, [OUTSIDE], letter(identifier, INVOICES)).code == 250
    is_signed = SIGNED in house.left(identifier).content
    assert is_signed == (house.layout.name != "submission")


@pytest.mark.parametrize("sender", [ALICE, INVOICES, ""])
def test_what_the_mail_store_sends_on_is_not_signed(house: PostfixHouse, sender: str) -> None:
    """A redirect keeps From and may keep the envelope's sender, whoever forged them."""
    identifier = fresh()
    port = FORWARDING if house.layout.name != "submission" else "smtp"
    content = letter(identifier, sender or ALICE)
    assert house.send(US, sender, [OUTSIDE], content, port).code == 250
    left = house.left(identifier).content
    assert left.endswith(content.partition(b"\r\n\r\n")[2])
    assert SIGNED not in left


def test_passwords_are_asked_for_where_people_submit_only(house: PostfixHouse) -> None:
    """SASL is on for port 25 too, or Postfix would not look whose the sender is."""
    with smtplib.SMTP(HOST, house.layout.ports["smtp"], timeout=60) as client:
        client.starttls(context=house.trusting)
        client.ehlo()
        assert not client.has_extn("auth")
    with smtplib.SMTP(HOST, house.layout.ports["submission"], timeout=60) as client:
        client.ehlo()
        assert not client.has_extn("auth")


def test_a_mailing_list_sends_on_what_it_got_and_signs_nothing_new(house: PostfixHouse) -> None:
    identifier = fresh()
    content = letter(identifier, more="List-Id: <all.example.test>\r\n")
    assert house.send(US, LISTS, [OUTSIDE], content).code == 250
    left = house.left(identifier).content
    assert SIGNED not in left
    assert left.endswith(content.partition(b"\r\n\r\n")[2])


def test_a_list_keeps_the_signature_of_who_wrote(house: PostfixHouse) -> None:
    identifier, listed = fresh(), fresh()
    assert house.submit(ALICE, ALICE, [OUTSIDE], letter(identifier)).code == 250
    content = house.left(identifier).content.replace(identifier.encode(), listed.encode())
    assert house.send(US, LISTS, [OUTSIDE], content).code == 250
    left = house.left(listed).content
    assert left.count(SIGNED) == 1
    assert SECRET.encode() in verified(house.made.files, left)


@pytest.mark.parametrize(
    ("more", "text"),
    [REPORT, ("Auto-Submitted: auto-replied\r\n", "I am away.")],
    ids=["report", "vacation"],
)
def test_reports_and_notices_pass_as_they_are(house: PostfixHouse, more: str, text: str) -> None:
    identifier = fresh()
    content = letter(identifier, more=more, text=text)
    assert house.submit(ALICE, "", [OUTSIDE], content).code == 250
    message = house.left(identifier)
    assert message.reverse_path == ""
    assert message.content.endswith(b"\r\n" + content)


def test_mail_within_the_house_arrives_once(house: PostfixHouse) -> None:
    identifier = fresh()
    assert house.submit(ALICE, ALICE, [BOB], letter(identifier, to=BOB)).code == 250
    raw = house.arrived(BOB, identifier)
    assert SECRET.encode() in raw
    assert raw.count(SIGNED) == (0 if house.layout.name == "smarthost" else 1)


def test_a_mail_without_a_date_gets_one(house: PostfixHouse) -> None:
    """Postfix writes what a program forgot, and still rewrites no address."""
    identifier = fresh()
    content = letter(identifier).partition(b"\r\n")[2]
    assert house.submit(ALICE, ALICE, [OUTSIDE], content).code == 250
    assert re.search(rb"^Date: ", house.left(identifier).content, re.MULTILINE)


def test_nothing_is_lost_while_the_service_is_away(house: PostfixHouse) -> None:
    """Postfix keeps what it has taken; what it has not taken its client still has."""
    result = away(house, OUTAGE_SECONDS, MESSAGES, flush=True)
    assert (result.lost, result.duplicates) == (0, 0)
    is_queued = house.layout.name in QUEUED
    assert (result.waiting, result.refused) == ((MESSAGES, 0) if is_queued else (0, MESSAGES))


def test_postfix_has_nothing_to_warn_of(house: PostfixHouse) -> None:
    """`postfix check` runs when it starts."""
    assert house.warnings() == []
