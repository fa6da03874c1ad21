"""Which algorithms one recipient's mail is protected with: settings are the floor, he may raise it.

RFC 8551 2.5.2 and 2.7.1 (capabilities of a recipient), RFC 3560 5 (those that speak of OAEP).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.cms.ciphers import CIPHERS_BY_NAME, RSAES_OAEP
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.effective import Effective, Partner

CAPABILITIES = "capabilities"  # the source of what was raised because the recipient can read it
NOT_RSA = "the key is not RSA"  # the source of a key transport that says nothing

_CONTENT_ENCRYPTIONS = {CIPHERS_BY_NAME[one.value].oid: one for one in ContentEncryption}
_SHA256 = bytes.fromhex("0609608648016503040201")  # id-sha256 in DER


@dataclass(frozen=True, slots=True)
class Algorithms:
    """What the mail to one recipient is protected with.

    `key_transport` is None for a key that is not RSA. `floor` is the content encryption as set,
    before capabilities raised it. `sources` gives, by the name of the setting, the table each was
    taken from, or `CAPABILITIES`.
    """

    signature: Signature = Signature.RSASSA_PKCS1V15
    opaque: bool = False
    content_encryption: ContentEncryption = ContentEncryption.AES256_CBC
    key_transport: KeyTransport | None = KeyTransport.RSAES_PKCS1V15
    header_protection: HeaderProtection = HeaderProtection.OFF
    floor: ContentEncryption = field(default=ContentEncryption.AES256_CBC, compare=False)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)


def choose_algorithms(
    chosen: Effective, partner: Partner, key_type: str, capabilities: Capabilities | None
) -> Algorithms:
    """Choose for one recipient; pure, never raises.

    What is set for the partner holds as it is. What is set for the sender is the floor:
    `capabilities`, what the recipient is known to read, may raise content encryption and key
    transport above it and never lower them. `key_type` is that of his certificate, "" for none.
    """
    floor = _as_set(chosen, partner)
    if key_type != "rsa":
        sources = {**floor.sources, "key_transport": NOT_RSA}
        floor = replace(floor, key_transport=None, sources=sources)
    if capabilities is None:
        return floor
    raised: dict[str, str] = {}
    content_encryption, key_transport = floor.content_encryption, floor.key_transport
    if partner.rule.content_encryption is None:
        content_encryption = _best(capabilities, floor.content_encryption)
        if content_encryption is not floor.content_encryption:
            raised["content_encryption"] = CAPABILITIES
    if (
        partner.rule.key_transport is None
        and key_transport is KeyTransport.RSAES_PKCS1V15
        and _reads_oaep(capabilities)
    ):
        key_transport = KeyTransport.RSAES_OAEP
        raised["key_transport"] = CAPABILITIES
    return replace(
        floor,
        content_encryption=content_encryption,
        key_transport=key_transport,
        sources={**floor.sources, **raised},
    )


def readable(capabilities: Capabilities | None) -> tuple[str, ...]:
    """Name what of it matters here, as reports do, in the order in which it was said."""
    if capabilities is None:
        return ()
    names = {oid: one.value for oid, one in _CONTENT_ENCRYPTIONS.items()}
    if _reads_oaep(capabilities):
        names[RSAES_OAEP.oid] = KeyTransport.RSAES_OAEP.value
    found = (names.get(oid) for oid, _ in capabilities.identifiers)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _as_set(chosen: Effective, partner: Partner) -> Algorithms:
    """Give what the settings say: partner over account over domain over default."""
    values: dict[str, object] = {}
    sources: dict[str, str] = {}
    for name in (
        "signature",
        "opaque",
        "content_encryption",
        "key_transport",
        "header_protection",
    ):
        value, source = getattr(partner.rule, name), partner.sources.get(name, "")
        if value is None:
            value, source = getattr(chosen.policy, name), chosen.sources.get(name, f"policy.{name}")
        values[name], sources[name] = value, source
    values["floor"] = values["content_encryption"]
    return Algorithms(**values, sources=sources)  # type: ignore[arg-type] # names and types match


def _best(capabilities: Capabilities, floor: ContentEncryption) -> ContentEncryption:
    """Give the strongest the recipient reads that is weaker than the floor in nothing.

    Of equally strong ones it is the one he names first (RFC 8551 2.7.1).
    """
    read = (_CONTENT_ENCRYPTIONS.get(oid) for oid, _ in capabilities.identifiers)
    better = [found for found in read if found is not None and found.is_at_least(floor)]
    strongest = max(better, key=lambda found: found.strength, default=floor)
    return floor if strongest.strength == floor.strength else strongest


def _reads_oaep(capabilities: Capabilities) -> bool:
    """Tell whether OAEP as it is written here is read: SHA-256 for both, or no hash named.

    RFC 3560 5: the parameters name the hash and that of MGF1; an empty SEQUENCE is SHA-1 for both.
    """
    return any(
        oid == RSAES_OAEP.oid and (not parameters or parameters.count(_SHA256) == 2)  # noqa: PLR2004 - the two hashes
        for oid, parameters in capabilities.identifiers
    )
