"""What `decide` knows: facts gathered from the message, the snapshot and the session.

Everything here is already looked up and judged; deciding needs no further question. RFC 5322 3.6.
"""

from dataclasses import dataclass

from smime_proxy.address import Mailbox
from smime_proxy.certs.selection import KeyEntry, PartnerCertificate
from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.policy.rules import Account


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What the message itself says.

    `meeting` is the iTIP method of an invitation or answer, else "". `smime` tells whether any
    S/MIME layer or part is there; `signed` and `encrypted` speak of whole-body layers the client
    (or outside sender) made, `encrypted` at any depth that shows without a key; `pgp` of PGP/MIME.
    `answerable`: a report may be sent to its sender (RFC 3834 2). `conversation` says, as a refusal
    does, that outgoing mail answers or carries mail that was decrypted here; "" when it does not,
    or when no policy asks. `lacks_field` names a field its listener requires and it has not, or not
    once, or with another value; "" when it has all.
    """

    meeting: str = ""
    smime: bool = False
    signed: bool = False
    encrypted: bool = False
    sealed: bool = True
    loose_header: bool = False
    pgp_encrypted: bool = False
    asks_sign: bool = False
    asks_encrypt: bool = False
    asks_plain: bool = False
    sensitive: bool = False
    answerable: bool = True
    conversation: str = ""
    lacks_field: str = ""


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """Who the mail claims to be from.

    `mailbox` is the one clean From mailbox, None with `problem` saying what is wrong with From.
    `account` is the account that has exactly this address; `named` are all accounts any From field
    could mean. `entry` is the key that would sign; without one `key_problem` says why, and
    `key_unavailable` tells a key that exists but cannot be loaded.
    """

    mailbox: Mailbox | None = None
    problem: str = ""
    account: Account | None = None
    named: tuple[Account, ...] = ()
    entry: KeyEntry | None = None
    key_problem: str = ""
    key_unavailable: bool = False


@dataclass(frozen=True, slots=True)
class RecipientFacts:
    """One forward-path: our account, if it is one, and the certificate to encrypt to, if any.

    `visible`: named in To or Cc, asked only where there is a certificate. `openers`: inbound, the
    accounts of which a RecipientInfo names a key, his own and those he reads for. `capabilities`:
    what he can read, as his last signed mail says, or else his certificate. `lapsed` says since
    when there is no usable certificate of his own any more, "" where there never was one or is one
    still. `waits`: there may be one, and it cannot be told now whether it was revoked.
    `unreachable` says which directories could not be asked whether they know a certificate, "" when
    all that count were, or none had to be.
    """

    mailbox: Mailbox
    account: Account | None = None
    certificate: PartnerCertificate | None = None
    problem: str = ""
    lapsed: str = ""
    visible: bool = True
    openers: tuple[Account, ...] = ()
    capabilities: Capabilities | None = None
    waits: bool = False
    unreachable: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts of one mail object; `recipients` in RCPT order.

    `may_report`: there is an upstream for reports, and the rate for this sender is not used up.
    """

    message: MessageFacts
    recipients: tuple[RecipientFacts, ...]
    sender: SenderFacts = SenderFacts()
    may_report: bool = True
