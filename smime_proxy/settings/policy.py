"""The tables that say who signs and encrypts: `[policy]`, `[domains]` and `[partners]`.

The text under each key is its meaning, unit and default; config/smime-proxy.toml repeats them.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from smime_proxy.certs.source import MinimumSource
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.rules import (
    AfterDecryption,
    Encrypt,
    Harvest,
    Internal,
    OnLapsedCertificate,
    OnMissingCertificate,
    OnMissingKey,
    Sign,
)
from smime_proxy.settings.algorithms import (
    ContentEncryptionName,
    HeaderProtectionName,
    KeyTransportName,
    SignatureName,
)
from smime_proxy.settings.fields import (
    SentCopy,
    read_list,
)
from smime_proxy.settings.tables import OptionalAddress, Table
from smime_proxy.smime.unwrap import Unwrap


class SubjectWords(Table):
    """`[policy.subject_words]`: words a sender may put before the Subject; empty for off."""

    sign: str = "[sign]"
    """Asks for a signature."""
    encrypt: str = "[encrypt]"
    """Asks for encryption."""
    plain: str = "[plain]"
    """Turns `when_possible` off for this mail."""


class PolicyTable(Table):
    """`[policy]`: what holds where no domain, account or partner says otherwise."""

    sign: Sign = Sign.ALWAYS
    """always, on_request or never."""
    encrypt: Encrypt = Encrypt.WHEN_POSSIBLE
    """required, when_possible, on_request or never."""
    on_missing_key: OnMissingKey = OnMissingKey.SEND_UNSIGNED
    """send_unsigned or reject, for an account without a valid key."""
    on_missing_certificate: OnMissingCertificate = OnMissingCertificate.REJECT_ALL
    """reject_all or reject_those, for recipients without a usable certificate."""
    on_lapsed_certificate: OnLapsedCertificate = OnLapsedCertificate.REJECT
    """reject or send_clear, where encryption was possible once and no longer is."""
    after_decryption: AfterDecryption = AfterDecryption.ENCRYPT
    """encrypt or policy: whether mail that answers or carries mail decrypted here must be encrypted
    to everybody outside, or gets what any other gets."""
    internal: Internal = Internal.SIGN
    """sign or encrypt: what recipients that are our own accounts get."""
    minimum_source: MinimumSource = MinimumSource.HARVESTED
    """discovered, harvested, verified or manual: the least source of a certificate mail is
    encrypted to. Better sources are taken first. `discovered` takes what nothing vouches for."""
    harvest: Harvest = Harvest.ASK
    """ask, trusted or never: certificates found in mail whose signature passes wait for a decision,
    are accepted at once, or are left."""
    sent_copy: SentCopy = ""
    """Where the unencrypted copy of mail sent encrypted goes: upstream:NAME or maildir:///path;
    {address} allowed in the path."""
    request_by_sensitivity: bool = False
    """Sensitivity: Company-Confidential asks for encryption."""
    unwrap: Annotated[tuple[Unwrap, ...], BeforeValidator(read_list)] = ()
    """Verified mail that is delivered without its signature: `opaque` what is signed opaque,
    `meetings` invitations and answers."""
    signature: SignatureName = Signature.RSASSA_PKCS1V15
    """rsassa_pkcs1v15 or rsassa_pss; for RSA keys, others have only one."""
    key_transport: KeyTransportName = KeyTransport.RSAES_PKCS1V15
    """rsaes_pkcs1v15 or rsaes_oaep; to RSA keys. Capabilities of the recipient may raise it."""
    content_encryption: ContentEncryptionName = ContentEncryption.AES256_CBC
    """aes256_cbc, aes192_cbc, aes128_cbc, aes256_gcm, aes192_gcm, aes128_gcm or
    chacha20_poly1305. Capabilities of the recipient may raise it."""
    opaque: bool = False
    """Sign opaque: readable only with S/MIME, and by no line end on the way to be broken."""
    header_protection: HeaderProtectionName = HeaderProtection.OFF
    """off or baseline: header fields signed with the text, the Subject encrypted with it."""
    subject_words: SubjectWords = SubjectWords()
    """Words a sender may put before the Subject."""


class DomainTable(Table):
    """`[domains."example.com"]`: what senders of one domain do otherwise than `[policy]`."""

    sign: Sign | None = None
    """As in [policy]."""
    encrypt: Encrypt | None = None
    """As in [policy]."""
    on_missing_key: OnMissingKey | None = None
    """As in [policy]."""
    on_missing_certificate: OnMissingCertificate | None = None
    """As in [policy]."""
    on_lapsed_certificate: OnLapsedCertificate | None = None
    """As in [policy]."""
    after_decryption: AfterDecryption | None = None
    """As in [policy]."""
    internal: Internal | None = None
    """As in [policy]."""
    minimum_source: MinimumSource | None = None
    """As in [policy]."""
    sent_copy: SentCopy | None = None
    """As in [policy]."""
    request_by_sensitivity: bool | None = None
    """As in [policy]."""
    signature: SignatureName | None = None
    """As in [policy]."""
    key_transport: KeyTransportName | None = None
    """As in [policy]."""
    content_encryption: ContentEncryptionName | None = None
    """As in [policy]."""
    opaque: bool | None = None
    """As in [policy]."""
    header_protection: HeaderProtectionName | None = None
    """As in [policy]."""


class PartnerTable(Table):
    """`[partners."example.org"]`: what mail to an address or a domain asks for."""

    sign: Sign | None = None
    """always, on_request or never; the stricter wins."""
    encrypt: Encrypt | None = None
    """required, when_possible, on_request or never; the stricter wins."""
    minimum_source: MinimumSource | None = None
    """discovered, harvested, verified or manual; the stricter wins."""
    signature: SignatureName | None = None
    """rsassa_pkcs1v15 or rsassa_pss; instead of what the sender has."""
    key_transport: KeyTransportName | None = None
    """rsaes_pkcs1v15 or rsaes_oaep; instead of what the sender has, whatever capabilities say."""
    content_encryption: ContentEncryptionName | None = None
    """As in [policy]; instead of what the sender has, whatever capabilities say."""
    opaque: bool | None = None
    """As in [policy]; instead of what the sender has."""
    header_protection: HeaderProtectionName | None = None
    """As in [policy]; instead of what the sender has."""
    certificate_files: Annotated[tuple[Path, ...], BeforeValidator(read_list)] = ()
    """Files of certificates that mail to it is encrypted to, each trusted by itself."""
    gateway_signer: OptionalAddress = ""
    """Of a domain: the address in it whose signature counts for everybody there."""
    gateway_trusted: bool = False
    """Its signature is as good as the person's own; without, it is yellow and says whose it is."""
