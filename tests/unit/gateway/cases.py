"""A world with one of everybody, and mail sent through its gateway as a client would."""

from functools import cache

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.anchors import Anchor
from smime_proxy.envelope import ForwardPath, Role
from smime_proxy.gateway.pipeline import Gateway
from smime_proxy.policy.rules import Kind, Policy, Rules
from smime_proxy.reply import EnhancedStatus, Reply
from tests import pki
from tests.fakes import AT, World, session
from tests.unit.cms import parties

ALICE, BOB, TEAM = "alice@example.test", "bob@example.test", "team@example.test"
PARTNER, STRANGER = "partner@example.org", "stranger@example.org"
BUSY = Reply(450, EnhancedStatus(2, 1), "mailbox busy")
UNKNOWN = Reply(550, EnhancedStatus(1, 1), "user unknown")


@cache
def partner() -> pki.Identity:
    return pki.person(parties.root(), PARTNER)


def world(policy: Policy | None = None) -> World:
    """Make a world: alice and bob persons, team a team, partner known and trusted."""
    made = World(rules=Rules(policy or Policy()))
    made.directory.roots.append(Anchor(parties.root().certificate))
    made.directory.add(ALICE, parties.party("rsa", "alice"))
    made.directory.add(BOB, parties.party("rsa", "bob"))
    made.directory.add(TEAM, parties.party("rsa", "team"), kind=Kind.TEAM)
    made.directory.know(PARTNER, partner())
    return made


async def send(
    surroundings: World,
    content: bytes,
    sender: str | None,
    *recipients: str,
    role: Role = Role.OUTBOUND,
    gone: bool | list[bool] = False,
) -> Reply:
    """Send one mail; every MAIL and RCPT must be accepted.

    `gone`: the client has left, or what each look at it shows, which is taken from the list.
    """
    talk = Gateway(surroundings.context()).begin(session(role))
    mailbox = parse_mailbox(sender) if sender else None
    assert (await talk.mail(mailbox, ())).code == 250
    for recipient in recipients:
        assert (await talk.rcpt(ForwardPath(parse_mailbox(recipient)))).code == 250
    reply = await talk.data(content, AT, lambda: gone.pop(0) if isinstance(gone, list) else gone)
    assert leaks(surroundings) == 0
    return reply


def leaks(surroundings: World) -> int:
    """Count transactions nobody ended."""
    upstreams = (surroundings.outside, surroundings.inside, surroundings.copies)
    return sum(upstream.leaked for upstream in upstreams)


def got(surroundings: World) -> list[list[str]]:
    """List the recipients of each message that left, in order."""
    return [[str(item) for item in sent.recipients] for sent in surroundings.outside.sent]
