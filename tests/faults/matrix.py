"""The matrix: every step of the upstream's dialogue with every fault, number of copies and role.

What the client may see of each is computed here (I9); what the sink may have is the checker's.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.faults.stage import WAYS, Role, Way
from tests.sink_script import (
    Action,
    Close,
    Endless,
    Fault,
    Hang,
    Reset,
    Say,
    Step,
    Trickle,
    Wait,
)

AWAIT_SILENCE = 0.3  # seconds the last copy is held up, for the others to have been sent but a dot
SLOW = 0.2  # seconds between octets
STEPS = (
    *("connect", "banner", "ehlo", "starttls", "handshake", "ehlo2", "auth", "mail", "rcpt1"),
    *("rcptn", "data", "body", "before-dot", "dot-no-reply", "dot", "rset", "quit"),
)
FAULTS = (
    *("4yz", "5yz", "421", "fin", "rst", "hang"),
    *("trickle", "garbage", "endless", "surplus", "half", "2yz", "3yz"),
)
TIMED = ("hang", "trickle")  # only a deadline ends them
SPOKEN = ("4yz", "5yz", "garbage", "surplus", "2yz", "3yz")  # octets, and the session goes on
# Nobody can tell these from a true answer: "yes" where yes is what is asked for.
LIES = {
    *((step, "2yz") for step in ("ehlo", "ehlo2", "mail", "rcpt1", "rcptn", "body", "dot")),
    *((step, "2yz") for step in ("dot-no-reply", "rset", "quit")),
    *((step, "surplus") for step in ("body", "dot")),
    ("data", "3yz"),
}
BEFORE_MAIL = ("connect", "banner", "ehlo", "starttls", "handshake", "ehlo2", "auth")
SECURED = ("starttls", "handshake", "ehlo2", "auth")
IN_CONTENT = ("body", "before-dot")
WINDOW = (*IN_CONTENT, "dot", "dot-no-reply")  # where nobody can know who has the message
_SINK_STEP = {
    "banner": Step.BANNER,
    "ehlo": Step.EHLO,
    "starttls": Step.STARTTLS,
    "handshake": Step.HANDSHAKE,
    "ehlo2": Step.EHLO2,
    "auth": Step.AUTH,
    "mail": Step.MAIL,
    "rcpt1": Step.RCPT,
    "rcptn": Step.RCPT,
    "data": Step.DATA,
    "body": Step.BODY,
    "before-dot": Step.PAUSE,
    "dot-no-reply": Step.DOT,
    "dot": Step.DOT,
    "rset": Step.RSET,
    "quit": Step.QUIT,
}
_CODE = {"banner": b"220", "starttls": b"220", "auth": b"235", "data": b"354", "quit": b"221"}
FAITHFUL = {"4yz": (450, "4.2.1"), "5yz": (550, "5.1.1"), "421": (451, "4.3.2")}
DONE, UNREACHABLE, LOST = (250, "2.0.0"), (451, "4.4.1"), (451, "4.4.2")


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at a step: each time it comes, or only at the last (of several copies)."""

    step: str
    fault: str
    way: Way
    last: bool = False

    def __str__(self) -> str:
        return f"{self.step}-{self.fault}-{self.way}{'-last' if self.last else ''}"

    @property
    def timed(self) -> bool:
        """Tell whether only a deadline ends it."""
        return self.fault in TIMED

    @property
    def tls(self) -> bool:
        """Choose the sink: half of what is possible with both goes to either."""
        chosen = STEPS.index(self.step) + FAULTS.index(self.fault) + self.way.copies
        return self.step in SECURED or (self.step != "ehlo" and chosen % 2 == 1)

    @property
    def foreseeable(self) -> bool:
        """Tell whether the session is seen to be lost before the first dot is due."""
        abortable = self.way.copies > 1 and self.way.role is not Role.LMTP
        return self.step == "before-dot" and abortable and not self.timed

    @property
    def large(self) -> bool:
        return self.step == "body"

    def script(self) -> list[Fault]:
        """Say what the sink does wrong; nothing at `connect`, which is not its."""
        if self.step == "connect":
            return []
        step = _SINK_STEP[self.step]
        fault = Fault(step, _action(self.step, self.fault), keep=self.step == "dot-no-reply")
        copies = self.way.copies
        match self.step:
            case "rcpt1":
                fault = replace(fault, nth=1)
            case "rcptn":
                fault = replace(fault, at=max(2, copies))
            case "before-dot" if copies > 1:
                # `last`: the copy whose dot would be the first is the one that is held up.
                held = Fault(Step.DATA, Wait(AWAIT_SILENCE), at=1 if self.last else copies)
                return [replace(fault, at=1), held]
        if self.last:
            # Two or more copies: the client's transaction names all, then each has its own.
            times = {Step.MAIL: copies + 1, Step.RCPT: 2 * copies}.get(step, copies)
            fault = replace(fault, at=times, nth=None)
        return [fault]

    def expected(self) -> set[tuple[int, str]]:
        """Give what a client with one copy may hear: of the first refusal, or of the dot."""
        faithful = {FAITHFUL.get(self.fault, LOST)}
        match self.step:
            case "rset":
                # Whether a second reply came before the next command is a matter of time.
                return {DONE, LOST} if self.fault == "surplus" else {DONE}
            case "quit":
                return {DONE}
            case "ehlo" if self.fault == "5yz":
                return {DONE}  # it is greeted with HELO then, RFC 5321 3.2
            case "banner" if self.fault == "surplus":
                return {UNREACHABLE, LOST}  # it answers EHLO, or MAIL: a matter of time again
            case "handshake" if self.fault in SPOKEN:
                # RFC 3207 4.2: what was said in clear may be forgotten, and the session go on.
                return {UNREACHABLE, DONE}
            case "starttls" if self.fault == "surplus":
                return {UNREACHABLE, DONE}  # the same
            case step if step in BEFORE_MAIL:
                return {UNREACHABLE}
            case "body" | "before-dot":
                # Whether the dot was on its way already is a matter of buffers.
                return {LOST, *faithful}
            case "mail" | "rcpt1" | "rcptn" | "data" | "dot-no-reply" if self.fault == "surplus":
                return {DONE, LOST}
        return faithful


def _action(step: str, fault: str) -> Action:
    code = _CODE.get(step, b"250")
    say: dict[str, Action] = {
        "4yz": Say(b"450 4.2.1 Not now\r\n"),
        "5yz": Say(b"550 5.1.1 Never\r\n"),
        "421": Say(b"421 4.3.2 Closing\r\n", close=True),
        "fin": Close(),
        "rst": Reset(),
        "hang": Hang(),
        "trickle": Trickle(code + b"-" + b"slowly " * 20, SLOW),
        "garbage": Say(b"\x00\xff what\r\n"),
        "endless": Endless(code + b"-and then\r\n"),
        "surplus": Say(code + b" 2.0.0 Yes\r\n250 2.0.0 And yes again\r\n"),
        "half": Say(code[:2], close=True),
        "2yz": Say(b"250 2.0.0 Without having done it\r\n"),
        "3yz": Say(b"354 Go on\r\n"),
    }
    chosen = say[fault]
    # One that speaks within the content takes no message then.
    return replace(chosen, close=True) if step == "body" and isinstance(chosen, Say) else chosen


def is_possible(case: Case) -> bool:
    """Tell whether a case says something of its own, and something that can be known."""
    step, fault, copies = case.step, case.fault, case.way.copies
    if step == "connect":
        return fault in ("rst", "hang") and not case.last  # who was let in is at the banner
    if step == "dot-no-reply" and fault in FAITHFUL:
        return False  # it took the message and says that it did not
    if (step, fault) in LIES:
        return False
    if fault in ("surplus", "2yz") and step == "before-dot" and copies == 1:
        return False  # a lie too: nothing parts the content from its dot
    if case.last:
        return copies > 1 and step not in ("rcpt1", "rset", "quit")
    return True


def cases() -> Iterator[Case]:
    """Give all, those of one step one behind the other."""
    for step, fault, way, last in itertools.product(STEPS, FAULTS, WAYS, (False, True)):
        case = Case(step, fault, way, last)
        if is_possible(case):
            yield case


def sample() -> list[Case]:
    """Give the few that continuous integration has time for: each step and fault, at the dot twice.

    The roles and numbers of copies take turns, so that each meets every step and every fault.
    """
    turns = itertools.cycle(Way(role, copies) for copies in (2, 1, 5) for role in Role)
    chosen = (
        Case(step, fault, next(turns))
        for step, fault in itertools.product((*STEPS, *WINDOW), FAULTS)
        if fault not in TIMED and step != "quit"
    )
    timed = [
        Case(step, fault, Way(Role.SUBMISSION, 1))
        for step, fault in itertools.product(("connect", "banner", "mail", "dot-no-reply"), TIMED)
    ]
    last = [
        Case(step, "fin", Way(role, 2), last=True)
        for step, role in itertools.product(("before-dot", "dot"), Role)
    ]
    return [case for case in (*chosen, *timed, *last) if is_possible(case)]
