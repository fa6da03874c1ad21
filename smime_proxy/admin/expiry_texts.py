"""What people read when something ends: one line for the log, a mail for each who is to know.

No RFC; docs/commands.md says when they are sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from smime_proxy.admin.expiry import Expiry, Use
from smime_proxy.policy.effective import effective
from smime_proxy.policy.rules import OnMissingKey, Rules


@dataclass(frozen=True, slots=True)
class Text:
    """Subject and text of a mail; lines end with LF."""

    subject: str
    text: str


def line(expiry: Expiry, at: datetime) -> str:
    """Say in one line what ends when."""
    word = "expired" if expiry.ends < at else "expires"
    date = f"{word} on {expiry.ends:%Y-%m-%d}"
    match expiry.use:
        case Use.SIGNING:
            return f"{expiry.name}: the key that signs its mail {date}"
        case Use.ENCRYPTION:
            return f"{expiry.name}: the certificate mail to it is encrypted to {date}"
        case Use.ANCHOR:
            return f"the trust anchor {expiry.name} {date}"


def consequence(expiry: Expiry, rules: Rules) -> str:
    """Say what happens then."""
    match expiry.use:
        case Use.SIGNING:
            policy = effective(rules, expiry.account).policy
            if policy.on_missing_key is OnMissingKey.REJECT:
                return "mail from this address is refused (on_missing_key)"
            return "mail from this address leaves unsigned (on_missing_key)"
        case Use.ENCRYPTION:
            return "partners can no longer encrypt to this address; old mail stays readable"
        case Use.ANCHOR:
            return "nothing this authority issued is trusted any more"


def to_administrator(expiries: Sequence[Expiry], rules: Rules, hostname: str, at: datetime) -> Text:
    """Write one mail about everything that is to be told now."""
    told = [f"- {line(one, at)}\n  Then {consequence(one, rules)}." for one in expiries]
    number = len(expiries)
    what = line(expiries[0], at) if number == 1 else f"{number} keys or certificates end"
    text = (
        f"This is the S/MIME gateway on {hostname}.\n\n"
        + "\n".join(told)
        + "\n\nNo successor is known. Order new certificates and take them in with\n"
        "`smime-proxy account import-key`, anchors with `smime-proxy trust add`; of accounts\n"
        "declared in the settings put them into their key_file.\n"
        "A new key may come in before it is valid: the old one signs until then.\n"
        "`smime-proxy doctor` says how things stand.\n"
    )
    return Text(f"[smime-proxy] {what}", text)


def to_account(expiries: Sequence[Expiry], rules: Rules, hostname: str, at: datetime) -> Text:
    """Write the mail to an account about its own keys."""
    date = f"{expiries[0].ends:%Y-%m-%d}"
    word = "expired" if expiries[0].ends < at else "expires"
    told = [f"- {line(one, at)}\n  Then {consequence(one, rules)}." for one in expiries]
    text = (
        f"This is the S/MIME gateway on {hostname}.\n\n"
        + "\n".join(told)
        + "\n\nPlease ask your administrator for a new certificate, in time.\n"
        "Nothing else is to be done: mail encrypted to the old one stays readable.\n"
    )
    return Text(f"Your e-mail certificate {word} on {date}", text)
