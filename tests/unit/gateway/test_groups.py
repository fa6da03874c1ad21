"""What is handed on: groups as the client named them, a report and a copy where there is one."""

from collections import Counter
from dataclasses import replace

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.envelope import ForwardPath, Origin, Role, origin_of
from smime_proxy.gateway.delivery import Kind
from smime_proxy.gateway.groups import copy_of, group_of, may_report, report_of
from smime_proxy.gateway.loops import Loops
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.gateway.reports import ONE_REPORT_EACH
from smime_proxy.gateway.work import Work, make
from smime_proxy.policy.rules import Encrypt, OnMissingCertificate, Policy
from tests.fakes import AT, FakeTransaction, FakeUpstream, World, envelope, mail, session
from tests.unit.gateway.cases import ALICE, BOB, PARTNER, STRANGER, world

BOTH = (PARTNER, STRANGER)
THOSE = Policy(encrypt=Encrypt.REQUIRED, on_missing_certificate=OnMissingCertificate.REJECT_THOSE)


def work_of(surroundings: World) -> Work:
    made = make(surroundings.context(), envelope(mail(ALICE, *BOTH), ALICE, *BOTH))
    assert isinstance(made, Work)
    return made


def test_a_group_has_its_recipients_and_names_a_single_one_in_received() -> None:
    surroundings = world()
    sealed = envelope(mail(ALICE, *BOTH), ALICE, *BOTH)
    work = work_of(surroundings)
    header = work.header
    groups = [
        group_of(surroundings.context(), sealed, content, header) for content in work.contents
    ]
    named = [[str(path.mailbox) for path in group.paths] for group in groups]
    assert named == [[STRANGER], [PARTNER]]
    assert f"for <{STRANGER}>".encode() in groups[0].content[0]
    assert {group.kind for group in groups} == {Kind.MESSAGE}


def test_received_bears_a_mark_where_loops_are_known() -> None:
    surroundings = world()
    sealed = envelope(mail(ALICE, *BOTH), ALICE, *BOTH)
    work = work_of(surroundings)
    loops = Loops(b"key", "proxy.example.test", ["out"])
    context = replace(surroundings.context(), loops=loops)
    header = work.header
    received = group_of(context, sealed, work.contents[0], header).content[0]
    mark = loops.mark("out", sealed.identifier, header)
    assert f" id {mark}\r\n".encode() in received
    assert mark != sealed.identifier


def test_there_is_a_report_only_for_who_is_refused_and_where_it_can_go() -> None:
    sealed = envelope(mail(ALICE, *BOTH), ALICE, *BOTH)
    plain, those = world(), world(THOSE)
    assert report_of(plain.context(), sealed, work_of(plain)) is None
    report = report_of(those.context(), sealed, work_of(those))
    assert report is not None
    assert (report.kind, report.reverse_path) == (Kind.REPORT, None)
    made = work_of(those)
    those.with_reports = False
    assert report_of(those.context(), sealed, made) is None


def test_there_is_a_copy_only_where_one_is_wanted() -> None:
    sealed = envelope(mail(ALICE, *BOTH), ALICE, *BOTH)
    plain, kept = world(), world(Policy(sent_copy="maildir:///sent"))
    assert copy_of(plain.context(), sealed, work_of(plain)) is None
    copy = copy_of(kept.context(), sealed, work_of(kept))
    assert copy is not None
    assert (copy.kind, [str(path.mailbox) for path in copy.paths]) == (Kind.COPY, [ALICE])


def test_a_report_that_was_not_allowed_puts_the_next_one_off_no_longer() -> None:
    surroundings = world()
    context, made = surroundings.context(), work_of(surroundings)
    sealed = envelope(mail(ALICE, *BOTH), STRANGER, ALICE, role=Role.INBOUND)
    at = [sealed.received_at + ONE_REPORT_EACH * share for share in (0, 0.9, 1)]
    asked = [replace(sealed, received_at=each) for each in at]
    assert [may_report(context, each, made) for each in asked] == [True, False, True]


@pytest.mark.parametrize(
    ("sender", "role", "expected"),
    [
        (ALICE, Role.OUTBOUND, [True, True]),
        (None, Role.OUTBOUND, [False, False]),
        (STRANGER, Role.INBOUND, [True, False]),  # one an hour
        (None, Role.INBOUND, [False, False]),
    ],
)
def test_r28_who_may_be_sent_a_report(sender: str | None, role: Role, expected: list[bool]) -> None:
    """R28, I12."""
    surroundings = world()
    context, made = surroundings.context(), work_of(surroundings)
    sealed = envelope(mail(ALICE, *BOTH), sender, ALICE, role=role)
    assert [may_report(context, sealed, made) for _ in range(2)] == expected


class Noting(FakeUpstream):
    """An upstream that notes whose mail each of its transactions is for."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: list[Origin | None] = []

    async def open(self, origin: Origin | None = None, /) -> FakeTransaction:
        self.origins.append(origin)
        return await super().open(origin)


async def test_groups_say_whose_mail_they_are_and_what_we_write_ourselves_does_not() -> None:
    surroundings = world(THOSE)
    outside = surroundings.outside = Noting()
    who = session(Role.OUTBOUND, connection=Origin("203.0.113.9", 4711))
    talk = Gateway(surroundings.context()).begin(who)
    name = talk.identifier
    recipients = (PARTNER, BOB, STRANGER)  # encrypted, signed, refused by a report
    assert (await talk.mail(parse_mailbox(ALICE), ())).code == 250
    for recipient in recipients:
        assert (await talk.rcpt(ForwardPath(parse_mailbox(recipient)))).code == 250
    assert (await talk.data(mail(ALICE, PARTNER), AT, lambda: False)).code == 250
    assert [item.reverse_path for item in outside.sent].count(None) == 1
    assert Counter(outside.origins) == {origin_of(who, name): 3, None: 1}
