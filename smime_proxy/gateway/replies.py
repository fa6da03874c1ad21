"""The one table of replies the proxy makes itself; docs/replies.md shows the same rows.

RFC 5321 4.2.3 (codes), RFC 3463 (enhanced status codes). What each says is in `gateway.texts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from smime_proxy.gateway.wording import Wording
from smime_proxy.policy.plan import Why
from smime_proxy.reply import EnhancedStatus, Reply, Told


@dataclass(frozen=True, slots=True)
class Template:
    """Code and enhanced status of a situation."""

    code: int
    subject: int
    detail: int


REPLIES: Mapping[str, Template] = MappingProxyType(
    {
        "from_not_granted": Template(550, 7, 1),
        "field_required": Template(550, 7, 1),
        "key_missing": Template(550, 7, 1),
        "key_unavailable": Template(451, 7, 5),
        "certificate_missing": Template(550, 7, 5),
        "status_unknown": Template(451, 7, 5),
        "certificate_lapsed": Template(550, 7, 5),
        "after_decryption": Template(550, 7, 5),
        "directory_unreachable": Template(451, 4, 3),
        "meeting_not_encrypted": Template(550, 7, 1),
        "team_sends_no_encrypted": Template(550, 7, 4),
        "team_gets_no_encrypted": Template(550, 7, 4),
        "team_after_decryption": Template(550, 7, 4),
        "malformed": Template(554, 6, 0),
        "bad_request": Template(550, 6, 0),
        "bare_line_end": Template(554, 5, 2),
        "too_many_groups": Template(550, 5, 3),
        "too_big": Template(552, 3, 4),
        "mail_loop": Template(554, 4, 6),
        "no_smtputf8": Template(550, 6, 7),
        "needs_8bit": Template(554, 6, 3),
        "no_requiretls": Template(550, 7, 30),
        "requiretls_in_clear": Template(530, 7, 10),
        "bad_parameter": Template(501, 5, 4),
        "storage_full": Template(452, 3, 1),
        "relay_denied": Template(550, 7, 1),
        "too_many_recipients": Template(452, 5, 3),
        "upstream_unreachable": Template(451, 4, 1),
        "no_access_token": Template(451, 7, 0),
        "upstream_lost": Template(451, 4, 2),
        "offer_withdrawn": Template(451, 4, 2),
        "unanswered": Template(451, 4, 2),
        "out_of_time": Template(451, 4, 2),
        "being_sent": Template(451, 4, 2),
        "ledger_failed": Template(451, 3, 0),
        "partly_sent": Template(451, 4, 2),
        "partly_refused": Template(554, 4, 0),
        "memory_spent": Template(452, 3, 1),
        "shutting_down": Template(421, 3, 2),
        "overloaded": Template(421, 3, 2),
        "too_busy": Template(421, 3, 2),
        "mail_put_off": Template(451, 3, 2),
        "memory_unreadable": Template(451, 3, 0),
        "internal_error": Template(451, 3, 0),
    }
)
_ENGLISH = Wording()  # as replies stand in the log, whatever people are told


def reply_for(situation: str, detail: str = "", instead: str = "") -> Reply:
    """Build the reply of one situation; `detail` names address and reason and goes first.

    `instead` stands for the advice. The text is English; `Wording.reply` says it as the settings
    want it, where it leaves. Raises KeyError for a situation that is not in the table, which is a
    fault of ours.
    """
    template = REPLIES[situation]
    told = Told(situation, detail, instead)
    text = _ENGLISH.text(told, refused=False)
    return Reply(template.code, EnhancedStatus(template.subject, template.detail), text, told)


def refusal_reply(why: Why, detail: str, instead: str = "") -> Reply:
    """Build the reply of a policy refusal (RFC 3463 3.8)."""
    return reply_for(why.value, detail, instead)
