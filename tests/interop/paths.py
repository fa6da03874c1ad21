"""Chains that RFC 5280 and RFC 8550 say are good or bad, for others to judge too.

RFC 5280 6.1 (path validation), 4.2.1.10 (name constraints), RFC 9598 6, RFC 8550 4.4 (S/MIME).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.authority import general_name
from smime_proxy.certs.building import MAX_PATH
from smime_proxy.certs.certificate import Certificate
from tests import pki
from tests.pki import Identity

ADDRESS = "alice@example.test"
THEN = datetime(2025, 1, 1, tzinfo=UTC)
POLICY, OTHER_POLICY = "1.3.6.1.4.1.32473.1", "1.3.6.1.4.1.32473.2"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.9"), b"\x05\x00")
DISCRETE = "DSA proves nothing here, whatever its length: RFC 8551 2.2 has it as historic"


@dataclass(frozen=True)
class Chain:
    """A leaf with all above it, the last is the anchor; what the RFCs say of it, and who differs.

    `ours` and `theirs` say why we or OpenSSL judge otherwise, the latter in versions before
    `until`. `explicit`: POLICY must hold.
    """

    says: str
    leaf: Callable[[], Identity]
    good: bool
    ours: str = ""
    theirs: str = ""
    until: tuple[int, int] = (99, 0)
    explicit: bool = False
    options: tuple[str, ...] = ()


def root(name: str = "Paths", **declared: object) -> Identity:
    """Make an anchor."""
    return pki.root(name, **{"kind": "p256", **declared})  # type: ignore[arg-type]


def below(name: str = "Between", *, above: Identity | None = None, **declared: object) -> Identity:
    """Make an authority between."""
    issuer = above or root()
    return under(issuer, pki.intermediate(issuer, name, **{"kind": "p256", **declared}))


def under(issuer: Identity, made: Identity) -> Identity:
    """Give it with all above it, the anchor too."""
    return replace(made, chain=(issuer.certificate, *issuer.chain))


def leaf(issuer: Identity, *mailboxes: str, **declared: object) -> Identity:
    """Make an end entity."""
    return under(
        issuer, pki.person(issuer, *mailboxes or (ADDRESS,), **{"kind": "p256", **declared})
    )


def of_kind(kind: str) -> Identity:
    """Make a chain of three with keys of one kind."""
    between = below(f"Between {kind}", above=root(f"Root {kind}", kind=kind), kind=kind)
    return leaf(between, kind=kind)


def within(
    *permitted: x509.GeneralName,
    excluded: tuple[x509.GeneralName, ...] = (),
    mailbox: str = ADDRESS,
    **declared: object,
) -> Identity:
    """Make a leaf below an authority with name constraints."""
    constraints = x509.NameConstraints(permitted or None, excluded or None)
    return leaf(below(name_constraints=constraints), mailbox, **declared)


def mail(text: str) -> x509.RFC822Name:
    """Give a constraint for addresses."""
    return x509.RFC822Name(text)


def directory(*names: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    """Give a constraint for subjects."""
    return x509.DirectoryName(x509.Name([x509.NameAttribute(*name) for name in names]))


def subject(organisation: str) -> x509.Name:
    """Give a subject in an organisation."""
    parts = ((NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, "Alice"))
    return x509.Name([x509.NameAttribute(*part) for part in parts])


def policies(*oids: str) -> tuple[x509.ExtensionType, bool]:
    """Give the extension that states policies."""
    stated = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return x509.CertificatePolicies(stated), False


def stating(*oids: str, above: tuple[tuple[x509.ExtensionType, bool], ...]) -> Identity:
    """Make a leaf that states policies below an authority with such extensions."""
    return leaf(below(extra=above), extra=[policies(*oids)] if oids else [])


def mapping(issuer: str, own: str) -> tuple[x509.ExtensionType, bool]:
    """Give the extension that says which policies of two domains are one (RFC 5280 4.2.1.5)."""
    pair = asn1_x509.PolicyMapping({"issuer_domain_policy": issuer, "subject_domain_policy": own})
    der = asn1_x509.PolicyMappings([pair]).dump()
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), der), True


def of_version_1(identity: Identity) -> Certificate:
    """Give a certificate as it was before there were extensions; its signature is off."""
    return Certificate.from_der(pki.of_version_1(identity.der))


def anchored(identity: Identity, *above: Certificate) -> Identity:
    """Give it another way up."""
    return replace(identity, chain=above)


def shouting() -> Identity:
    """Give a chain whose names differ in case and blanks only."""
    loud = root("Paths   LOUD", label="Paths loud")
    return anchored(leaf(root("paths loud", label="Paths loud")), loud.certificate)


def crossed() -> Identity:
    """Give a chain with two ways up, the expired one named first."""
    old = below("Crossed", label="Crossed", not_after=THEN).certificate
    new = below("Crossed", label="Crossed")
    return anchored(leaf(new), old, new.certificate, root().certificate)


def forged() -> Identity:
    """Give a chain whose issuer has the name of a trusted one and another key."""
    return anchored(
        leaf(below(above=root(label="forger"), label="forged")),
        below().certificate,
        root().certificate,
    )


def with_pss() -> Identity:
    """Give a chain whose authority signs with RSASSA-PSS (RFC 4055 3.1)."""
    above, own = pki.root("Root PSS"), pki.person(None, ADDRESS, kind="p256")
    assert isinstance(above.key, rsa.RSAPrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own.certificate.x509().subject)
        .issuer_name(above.certificate.x509().subject)
        .public_key(own.certificate.x509().public_key())
        .serial_number(0x7FFF)
        .not_valid_before(pki.NOT_BEFORE)
        .not_valid_after(pki.NOT_AFTER)
        .add_extension(x509.SubjectAlternativeName([general_name_of(ADDRESS)]), critical=False)
    )
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    signed = builder.sign(above.key, hashes.SHA256(), rsa_padding=scheme)
    made = Certificate.from_der(signed.public_bytes(Encoding.DER))
    return Identity(made, own.key, (above.certificate,))


def general_name_of(address: str) -> x509.GeneralName:
    """Give an address as certificates have it."""
    return general_name(parse_mailbox(address))


def misnamed() -> Identity:
    """Give a chain whose leaf names another key of its issuer (RFC 5280 4.2.1.1)."""
    hint = x509.AuthorityKeyIdentifier(b"another", None, None)
    return leaf(below(), identifiers=False, extra=[(hint, False)])


def deep(length: int) -> Identity:
    """Give a chain of so many certificates."""
    issuer = root()
    for number in range(length - 2):
        issuer = below(f"Deep {number}", above=issuer)
    return leaf(issuer)


HOST, DOMAIN = mail("example.test"), mail(".test")
TLS = ExtendedKeyUsageOID.SERVER_AUTH
ANY = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)])

CHAINS = (
    Chain("RSA", lambda: of_kind("rsa"), good=True),
    Chain("P-521", lambda: of_kind("p521"), good=True),
    Chain("brainpool", lambda: of_kind("brainpool"), good=True),
    Chain("brainpool of 512 bits", lambda: of_kind("brainpool512"), good=True),
    Chain("Ed25519", lambda: of_kind("ed25519"), good=True),
    Chain("Ed448", lambda: of_kind("ed448"), good=True),
    Chain(
        "ML-DSA", lambda: of_kind("mldsa65"), good=True, theirs="not known to it yet", until=(3, 5)
    ),
    Chain("RSASSA-PSS", with_pss, good=True),
    Chain("DSA leaf", lambda: leaf(below(), kind="dsa"), good=True, ours=DISCRETE),
    Chain("RSA of 1024 bits", lambda: leaf(below(), kind="rsa1024"), good=False),
    Chain(
        "authority with RSA of 1024 bits",
        lambda: leaf(below("Short", kind="rsa1024")),
        good=False,
    ),
    Chain(
        "signed with SHA-1",
        lambda: leaf(pki.root("Root SHA-1"), kind="rsa", weak_digest="sha1"),
        good=False,
    ),
    Chain("expired", lambda: leaf(below(), not_after=THEN), good=False),
    Chain("not yet valid", lambda: leaf(below(), not_before=pki.NOT_AFTER), good=False),
    Chain("expired authority", lambda: leaf(below("Gone", not_after=THEN)), good=False),
    Chain("expired root", lambda: leaf(root("Gone root", not_after=THEN)), good=False),
    Chain("two ways, one expired", crossed, good=True),
    Chain("forged issuer", forged, good=False),
    Chain("names that differ in case and blanks", shouting, good=True),
    Chain(
        "another key identifier",
        misnamed,
        good=True,
        theirs="takes the hint for a condition (RFC 4158 3.5.12 says it is none)",
    ),
    Chain("as deep as allowed", lambda: deep(MAX_PATH), good=True),
    Chain(
        "deeper",
        lambda: deep(MAX_PATH + 1),
        good=True,
        ours=f"more than {MAX_PATH} certificates: mail has up to five",
    ),
    Chain("permitted host", lambda: within(HOST), good=True),
    Chain("another host", lambda: within(mail("example.org")), good=False),
    Chain("a host is not what is below it", lambda: within(mail("test")), good=False),
    Chain("permitted domain", lambda: within(DOMAIN), good=True),
    Chain("permitted address", lambda: within(mail(ADDRESS)), good=True),
    Chain("another address", lambda: within(mail("bob@example.test")), good=False),
    Chain("excluded host", lambda: within(excluded=(HOST,)), good=False),
    Chain("excluded within permitted", lambda: within(DOMAIN, excluded=(HOST,)), good=False),
    Chain("another host excluded", lambda: within(excluded=(mail("x.test"),)), good=True),
    Chain(
        "address in the subject outside",
        lambda: within(HOST, dn_address="alice@example.org"),
        good=False,
    ),
    Chain("international, permitted", lambda: within(HOST, mailbox="ü@example.test"), good=True),
    Chain("international, outside", lambda: within(HOST, mailbox="ü@example.org"), good=False),
    Chain(
        "permitted organisation",
        lambda: within(
            directory((NameOID.ORGANIZATION_NAME, "Example")), subject=subject("EXAMPLE")
        ),
        good=True,
    ),
    Chain(
        "another organisation",
        lambda: within(directory((NameOID.ORGANIZATION_NAME, "Example")), subject=subject("Other")),
        good=False,
    ),
    Chain(
        "constraints of the anchor",
        lambda: leaf(
            root("Limited", name_constraints=x509.NameConstraints([mail("example.org")], None))
        ),
        good=False,
    ),
    Chain(
        "DNS name outside",
        lambda: within(x509.DNSName("example.org"), raw_names=[x509.DNSName("example.test")]),
        good=False,
    ),
    Chain("path length kept", lambda: leaf(below("Last", path_length=0)), good=True),
    Chain(
        "path length exceeded",
        lambda: leaf(below("Further", above=below("Last", path_length=0))),
        good=False,
    ),
    Chain(
        "path length, self-issued",
        lambda: leaf(below("Last", above=below("Last", path_length=0), label="Last, new key")),
        good=True,
    ),
    Chain(
        "path length of the anchor",
        lambda: leaf(below("Too many", above=root("Shortest", path_length=0))),
        good=False,
    ),
    Chain("no authority between", lambda: leaf(below("Nobody", ca=False)), good=False),
    Chain(
        "authority that may not sign certificates",
        lambda: leaf(below("No signer", usage=("crl_sign",))),
        good=False,
    ),
    Chain("authority for servers only", lambda: leaf(below("Web", eku=(TLS,))), good=False),
    Chain("leaf for servers only", lambda: leaf(below(), eku=(TLS,)), good=False),
    Chain("leaf without uses", lambda: leaf(below(), eku=None, usage=None), good=True),
    Chain(
        "leaf for any use",
        lambda: leaf(below(), eku=(pki.ANY_PURPOSE,)),
        good=True,
        theirs="does not count anyExtendedKeyUsage for mail (RFC 8550 4.4.4 does)",
    ),
    Chain("leaf that only encrypts", lambda: leaf(below(), usage=("key_agreement",)), good=False),
    Chain("leaf for commitments", lambda: leaf(below(), usage=("content_commitment",)), good=True),
    Chain(
        "authority as leaf",
        lambda: leaf(below(), ca=True, usage=("key_cert_sign", "digital_signature")),
        good=True,
        ours="whoever may issue certificates signs no mail, unless pinned",
    ),
    Chain("unknown critical", lambda: leaf(below(), extra=[(UNKNOWN, True)]), good=False),
    Chain("unknown, not critical", lambda: leaf(below(), extra=[(UNKNOWN, False)]), good=True),
    Chain(
        "unknown critical above",
        lambda: leaf(below("Strange", extra=[(UNKNOWN, True)])),
        good=False,
    ),
    Chain(
        "anchor of version 1",
        lambda: anchored(leaf(root()), of_version_1(root())),
        good=True,
    ),
    Chain(
        "authority of version 1",
        lambda: anchored(leaf(below()), of_version_1(below()), root().certificate),
        good=False,
    ),
    Chain(
        "an authority as anchor",
        lambda: anchored(leaf(below()), below().certificate),
        good=True,
        options=("-partial_chain",),
    ),
    Chain(
        "policy that holds", lambda: stating(POLICY, above=(policies(POLICY),)), True, explicit=True
    ),
    Chain(
        "policy of the leaf alone",
        lambda: stating(POLICY, above=(policies(OTHER_POLICY),)),
        good=False,
        explicit=True,
    ),
    Chain("no policy", lambda: stating(above=(policies(POLICY),)), good=False, explicit=True),
    Chain("any policy above", lambda: stating(POLICY, above=((ANY, False),)), True, explicit=True),
    Chain(
        "any policy inhibited",
        lambda: leaf(
            below(
                above=below("Strict", extra=[policies(POLICY), (x509.InhibitAnyPolicy(0), True)]),
                extra=[(ANY, False)],
            ),
            extra=[policies(POLICY)],
        ),
        good=False,
        explicit=True,
    ),
    Chain(
        "mapped policy",
        lambda: stating(OTHER_POLICY, above=(policies(POLICY), mapping(POLICY, OTHER_POLICY))),
        good=True,
        explicit=True,
    ),
    Chain(
        "an authority that asks for a policy",
        lambda: stating(above=((x509.PolicyConstraints(0, None), True), policies(POLICY))),
        good=False,
    ),
)
