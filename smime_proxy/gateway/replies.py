"""The one table of replies the proxy makes itself; docs/replies.md shows the same rows.

RFC 5321 4.2.3 (codes), RFC 3463 (enhanced status codes). Every text names what to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from smime_proxy.policy.plan import Why
from smime_proxy.reply import EnhancedStatus, Reply

MAX_DETAIL = 400  # characters; keeps the reply within the line of RFC 5321 4.5.3.1.5


@dataclass(frozen=True, slots=True)
class Template:
    """Code and enhanced status of a situation, and the advice that follows the particulars."""

    code: int
    subject: int
    detail: int
    advice: str


REPLIES: Mapping[str, Template] = MappingProxyType(
    {
        "from_not_granted": Template(
            550, 7, 1, "Use your own address in From, or ask the administrator to grant this one."
        ),
        "key_missing": Template(
            550, 7, 1, "This account must sign: ask the administrator to import a valid key."
        ),
        "key_unavailable": Template(
            451, 7, 5, "The key cannot be loaded now; the message was not sent, try again later."
        ),
        "certificate_missing": Template(
            550, 7, 5, "Ask for a certificate, or send without encryption."
        ),
        "status_unknown": Template(
            451,
            7,
            5,
            "Whether the certificate was revoked cannot be told now; nothing was sent, try again"
            " later.",
        ),
        "certificate_lapsed": Template(
            550,
            7,
            5,
            "Ask for a signed mail, it brings a new one; [plain] sends this one in clear.",
        ),
        "directory_unreachable": Template(
            451, 4, 3, "Whether there is a certificate cannot be found out now: try again later."
        ),
        "meeting_not_encrypted": Template(
            550, 7, 1, "Invitations are never encrypted: send it without the request to encrypt."
        ),
        "team_sends_no_encrypted": Template(
            550, 7, 4, "Send it unencrypted, or from a personal address."
        ),
        "team_gets_no_encrypted": Template(
            550, 7, 4, "It is read by several people: send it unencrypted, or write to a person."
        ),
        "malformed": Template(
            554, 6, 0, "The message cannot be read safely: have the sending program mended."
        ),
        "bad_request": Template(
            550, 6, 0, "X-SMIME-Sign and X-SMIME-Encrypt take the value yes: mend or remove them."
        ),
        "bare_line_end": Template(
            554, 5, 2, "Bare CR or LF in the message: lines must end in CRLF, RFC 5321 2.3.8."
        ),
        "too_many_groups": Template(
            550,
            5,
            3,
            "Too many separate copies for one message: send it to fewer recipients at a time.",
        ),
        "too_big": Template(
            552, 3, 4, "The message is too big: send less, or a link instead of the attachment."
        ),
        "mail_loop": Template(
            554, 4, 6, "Too many Received fields, a mail loop: mend the forwarding."
        ),
        "no_smtputf8": Template(
            550, 6, 7, "The next server does not take internationalised mail: use ASCII addresses."
        ),
        "bad_parameter": Template(
            501, 5, 4, "The command has characters that cannot be sent on: mend the program."
        ),
        "storage_full": Template(452, 3, 1, "No space to store mail now: try again later."),
        "relay_denied": Template(
            550, 7, 1, "This server does not relay for you: use your own submission server."
        ),
        "too_many_recipients": Template(
            452, 5, 3, "Too many recipients in one transaction: send the rest in another one."
        ),
        "upstream_unreachable": Template(
            451, 4, 1, "The next mail server cannot be reached; nothing was sent, try again later."
        ),
        "upstream_lost": Template(
            451, 4, 2, "The connection to the next mail server was lost: try again later."
        ),
        "partly_sent": Template(451, 4, 2, "Send the same message again for the rest."),
        "partly_refused": Template(
            554, 4, 0, "The others have the message: do not send it to them again."
        ),
        "memory_spent": Template(452, 3, 1, "Out of memory for mail now: try again later."),
        "shutting_down": Template(421, 3, 2, "The service is shutting down: try again."),
        "overloaded": Template(421, 3, 2, "Too many sessions: try again later."),
        "internal_error": Template(451, 3, 0, "Internal error; not sent, try again later."),
    }
)


def reply_for(situation: str, detail: str = "") -> Reply:
    """Build the reply of one situation; `detail` names address and reason and goes first.

    Text is cut to one reply line and made ASCII by `Reply.encode`. Raises KeyError for a
    situation that is not in the table, which is a fault of ours.
    """
    template = REPLIES[situation]
    text = f"{detail[:MAX_DETAIL].rstrip('.')}. {template.advice}" if detail else template.advice
    return Reply(template.code, EnhancedStatus(template.subject, template.detail), text)


def refusal_reply(why: Why, detail: str) -> Reply:
    """Build the reply of a policy refusal (RFC 3463 3.8)."""
    return reply_for(why.value, detail)
