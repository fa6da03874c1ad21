"""Key files (RFC 7292, RFC 7468, RFC 5958); rows E83, M17."""

import base64

import pytest
from asn1crypto import core
from asn1crypto import keys as asn1_keys
from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from smime_proxy.certs.definite import encoded
from smime_proxy.certs.errors import KeyFileError
from smime_proxy.certs.keybags import without_keys
from smime_proxy.certs.pkcs12 import MAX_KEY_FILE_OCTETS, KeyBundle, read_key_file
from tests import pki
from tests.unit.certs.seeds import both, encrypted, in_form, seed_form

ROOT = pki.root()
ISSUING = pki.intermediate(ROOT)
ALICE = pki.person(ISSUING, "alice@example.test")
BOB = pki.person(ISSUING, "bob@example.test")
ELLA = pki.person(ISSUING, "ella@example.test", kind="p256")


def assert_is(bundle: KeyBundle, owner: pki.Identity) -> None:
    assert bundle.certificate == owner.certificate
    assert bundle.private_key.public_key() == owner.key.public_key()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("owner", [ALICE, ELLA], ids=["rsa", "ec"])
def test_pkcs12_gives_key_certificate_and_chain(owner: pki.Identity, legacy: bool) -> None:
    bundle = read_key_file(owner.pkcs12(b"secret", legacy=legacy), b"secret")
    assert_is(bundle, owner)
    assert bundle.chain == (ISSUING.certificate,)
    assert bundle.others == ()


@pytest.mark.parametrize(
    "kind",
    [
        "brainpool",
        "brainpool512",
        "ed25519",
        "ed448",
        "x25519",
        "x448",
        "mldsa44",
        "mldsa87",
        "mlkem768",
        "mlkem1024",
    ],
)
def test_keys_of_every_kind_are_read(kind: str) -> None:
    owner = pki.person(ISSUING, "kind@example.test", kind=kind)
    assert_is(read_key_file(owner.key_pem(b"secret") + owner.chain_pem(), b"secret"), owner)
    if kind.startswith(("brainpool", "ed")):
        assert_is(read_key_file(owner.pkcs12(b"secret"), b"secret"), owner)


def by_hand(owner: pki.Identity, password: bytes) -> bytes:
    """Make a PKCS #12 file without MAC of a kind of key the library writes into none."""
    protection = serialization.BestAvailableEncryption(password)
    certificates = [link.x509() for link in owner.chain]
    raw = pkcs12.serialize_key_and_certificates(
        b"test", None, owner.certificate.x509(), certificates, protection
    )
    pfx = asn1_pkcs12.Pfx.load(without_keys(raw))
    safe = asn1_pkcs12.AuthenticatedSafe.load(bytes(pfx["auth_safe"]["content"]))
    key = owner.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, protection
    )
    kind = core.ObjectIdentifier("1.2.840.113549.1.12.10.1.2").dump()
    bag = encoded(0x30, kind + encoded(0xA0, key))
    safe.append({"content_type": "data", "content": encoded(0x30, bag)})
    pfx["auth_safe"]["content"] = safe.dump()
    return bytes(pfx.dump(force=True))


@pytest.mark.parametrize("kind", ["x25519", "x448", "mlkem768", "mlkem1024", "mldsa65"])
def test_pkcs12_gives_keys_of_kinds_the_library_keeps_out_of_it(kind: str) -> None:
    owner = pki.person(ISSUING, "kind@example.test", kind=kind)
    bundle = read_key_file(by_hand(owner, b"secret"), b"secret")
    assert_is(bundle, owner)
    assert bundle.chain == (ISSUING.certificate,)
    with pytest.raises(KeyFileError):
        read_key_file(by_hand(owner, b"secret"), b"wrong")


@pytest.mark.parametrize("password", [None, b""])
def test_a_file_without_password_opens_with_none_or_an_empty_one(password: bytes | None) -> None:
    """E83."""
    assert_is(read_key_file(ALICE.pkcs12(None), password), ALICE)


def test_a_password_in_other_letters_opens() -> None:
    """E83."""
    password = "Пароль-ü".encode()
    assert_is(read_key_file(ALICE.pkcs12(password, legacy=True), password), ALICE)


@pytest.mark.parametrize(
    "raw",
    [
        ALICE.key_pem() + ALICE.chain_pem(),
        ALICE.chain_pem() + ALICE.key_pem(),
        ALICE.key_pem(b"secret") + ALICE.chain_pem(),
        ALICE.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        + ALICE.chain_pem(),
        ALICE.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.BestAvailableEncryption(b"secret"),
        )
        + ALICE.chain_pem(),
    ],
    ids=["pkcs8", "certificates first", "encrypted pkcs8", "pkcs1", "encrypted pkcs1"],
)
def test_pem_gives_key_certificate_and_chain(raw: bytes) -> None:
    bundle = read_key_file(raw, b"secret")
    assert_is(bundle, ALICE)
    assert bundle.chain == (ISSUING.certificate,)


def test_a_sec1_key_in_pem_opens() -> None:
    raw = ELLA.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert_is(read_key_file(raw + ELLA.pem(), None), ELLA)


def two_keys() -> bytes:
    """Make a PKCS #12 file with two unencrypted keys and their certificates (RFC 7292 4.2)."""
    bags = []
    for owner in (ALICE, BOB):
        pfx = asn1_pkcs12.Pfx.load(owner.pkcs12(None))
        for content in pfx.authenticated_safe:
            bags.extend(asn1_pkcs12.SafeContents.load(bytes(content["content"])))
    safe = asn1_pkcs12.SafeContents(bags).dump()
    content = {"content_type": "data", "content": safe}
    authenticated = asn1_pkcs12.AuthenticatedSafe([content]).dump()
    auth_safe = {"content_type": "data", "content": authenticated}
    return bytes(asn1_pkcs12.Pfx({"version": "v3", "auth_safe": auth_safe}).dump())


def test_further_keys_that_are_not_encrypted_open_whatever_the_password() -> None:
    bundle = read_key_file(two_keys(), b"not needed")
    assert {pair.certificate for pair in bundle.pairs} == {ALICE.certificate, BOB.certificate}


@pytest.mark.parametrize(
    "raw",
    [two_keys(), ALICE.key_pem() + BOB.key_pem() + BOB.pem() + ALICE.pem()],
    ids=["pkcs12", "pem"],
)
def test_several_keys_are_paired_by_public_key(raw: bytes) -> None:
    """E83: several keys, each with its certificate; the report says what went where."""
    bundle = read_key_file(raw, None)
    assert {pair.certificate for pair in bundle.pairs} == {ALICE.certificate, BOB.certificate}
    for pair in bundle.pairs:
        assert pair.private_key.public_key() == pair.certificate.public_key()
    assert [line.endswith("key and certificate") for line in bundle.report[:2]] == [True, True]


def test_the_newest_certificate_of_a_key_speaks_for_it() -> None:
    renewed = pki.person(ISSUING, "alice@example.test", not_before=pki.NOW)
    raw = ALICE.key_pem() + ALICE.pem() + renewed.pem()
    bundle = read_key_file(raw, None)
    assert bundle.certificate == renewed.certificate
    assert [pair.certificate for pair in bundle.others] == [ALICE.certificate]


def test_the_chain_is_put_in_order_and_strangers_come_last() -> None:
    raw = ALICE.key_pem() + BOB.pem() + ROOT.pem() + ISSUING.pem() + ALICE.pem()
    bundle = read_key_file(raw, None)
    assert bundle.chain == (ISSUING.certificate, ROOT.certificate, BOB.certificate)
    assert sum(line.endswith(": chain") for line in bundle.report) == 3


def test_two_issuers_of_one_name_are_told_apart_by_key_identifier() -> None:
    old = pki.intermediate(ROOT, label="old issuing key")
    raw = ALICE.key_pem() + ALICE.pem() + old.pem() + ISSUING.pem()
    assert read_key_file(raw, None).chain == (ISSUING.certificate, old.certificate)


def test_authorities_that_certify_each_other_end_the_chain() -> None:
    """E82: a loop among the certificates of a file."""
    one = pki.certify(ISSUING, name="Test Root", label="Test Root", ca=True)
    two = pki.certify(ROOT, name="Test Issuing CA", label="Test Issuing CA", ca=True)
    raw = ALICE.key_pem() + ALICE.pem() + one.pem() + two.pem()
    assert set(read_key_file(raw, None).chain) == {one.certificate, two.certificate}


def test_a_broken_certificate_beside_the_pair_is_left_out_and_reported() -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    bundle = read_key_file(ALICE.key_pem() + broken + ALICE.pem(), None)
    assert bundle.report[-1].startswith("a certificate was left out")


def armoured(raw: bytes) -> bytes:
    (begin, *_, end) = ROOT.pem().replace(b"CERTIFICATE", b"PKCS12").splitlines()
    return b"\n".join([begin, *base64.encodebytes(raw).splitlines(), end, b""])


def test_pkcs12_in_pem_armour_opens() -> None:
    assert_is(read_key_file(armoured(ALICE.pkcs12(b"secret")), b"secret"), ALICE)


ENCRYPTED_TRADITIONAL = ALICE.key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.BestAvailableEncryption(b"secret"),
)
DSA = pki.certify(ISSUING, name="dsa", kind="dsa")
KOBLITZ_KEY = ec.generate_private_key(ec.SECP256K1()).private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
NO_KEY = pkcs12.serialize_java_truststore(
    [pkcs12.PKCS12Certificate(ALICE.certificate.x509(), None)],
    serialization.BestAvailableEncryption(b"secret"),
)


@pytest.mark.parametrize(
    ("raw", "password", "message"),
    [
        (ALICE.pkcs12(b"secret"), b"wrong", "the password is wrong"),
        (ALICE.pkcs12(b"secret"), None, "the password is missing"),
        (ALICE.pkcs12(b"secret"), b"", "the password is missing"),
        (ALICE.key_pem(b"secret") + ALICE.pem(), b"wrong", "the password is wrong"),
        (ALICE.key_pem(b"secret") + ALICE.pem(), None, "the password is missing"),
        (ENCRYPTED_TRADITIONAL + ALICE.pem(), b"wrong", "the password is wrong"),
        (ENCRYPTED_TRADITIONAL + ALICE.pem(), None, "the password is missing"),
        (ALICE.pem(), None, "the file holds no private key"),
        (NO_KEY, b"secret", "the file holds no private key"),
        (ALICE.key_pem(), None, "the file holds no certificate that fits its private key"),
        (
            ALICE.key_pem() + BOB.pem(),
            None,
            "the file holds no certificate that fits its private key",
        ),
        (DSA.key_pem() + DSA.pem(), None, "a key of type DSA cannot be used"),
        (KOBLITZ_KEY + ALICE.pem(), None, "a key of type EC on secp256k1 cannot be used"),
        (b"", None, "the file is neither PEM nor PKCS #12"),
        (b"hello", b"x", "the file is neither PEM nor PKCS #12"),
        (ALICE.pkcs12(b"secret")[:-9], b"secret", "the file is neither PEM nor PKCS #12"),
        (bytes(MAX_KEY_FILE_OCTETS + 1), None, "a key file of more than 1000000 octets"),
        (
            b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n" + ALICE.pem(),
            None,
            "the private key is malformed or inconsistent",
        ),
        (
            b"-----BEGIN PRIVATE KEY-----\nM*A=\n-----END PRIVATE KEY-----\n",
            None,
            "the private key is malformed or inconsistent",
        ),
    ],
)
def test_each_fault_is_one_clear_line(raw: bytes, password: bytes | None, message: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        read_key_file(raw, password)
    assert str(caught.value) == message


def test_an_inconsistent_rsa_key_is_refused_at_import() -> None:
    """Keys are validated once, here; afterwards they are loaded without."""
    key = pki.rsa_key("alice@example.test")
    numbers = key.private_numbers()
    d = numbers.d.to_bytes(256, "big")
    changed = ALICE.key_der().replace(d[-8:], bytes(7) + b"\x01", 1)
    assert changed != ALICE.key_der()
    (begin, *_, end) = ALICE.key_pem().splitlines()
    raw = b"\n".join([begin, *base64.encodebytes(changed).splitlines(), end, b""])
    with pytest.raises(KeyFileError, match="malformed or inconsistent"):
        read_key_file(raw + ALICE.pem(), None)


def test_a_certificate_of_no_known_version_is_a_malformed_file() -> None:
    """E83: the library has an error of its own for it."""
    certificate = ROOT.certificate.x509()
    raw = pkcs12.serialize_key_and_certificates(
        None, None, None, [certificate], serialization.NoEncryption()
    )
    unsealed = without_keys(raw).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x42", 1)
    with pytest.raises(KeyFileError, match="malformed"):
        read_key_file(unsealed, None)


def test_keys_never_show() -> None:
    bundle = read_key_file(ALICE.key_pem() + ALICE.pem(), None)
    assert "PrivateKey object" not in repr(bundle) + repr(bundle.pairs)


@pytest.mark.parametrize("password", [None, b"secret"])
def test_a_key_with_its_seed_is_read_though_the_library_refuses_the_file(
    password: bytes | None,
) -> None:
    """RFC 9881 6; in PEM as OpenSSL 3.5 writes it, and in PKCS #12."""
    owner = pki.person(ISSUING, "mia@example.test", kind="mldsa65")
    assert isinstance(owner.key, MLDSA65PrivateKey)
    seed = seed_form(owner.key)
    more = in_form(seed, both(owner.key.private_bytes_raw()))
    label = b"PRIVATE KEY"
    if password is not None:
        seed, more, label = (
            encrypted(seed, password),
            encrypted(more, password),
            b"ENCRYPTED " + label,
        )
    pem = b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(more), label)
    assert_is(read_key_file(pem + owner.chain_pem(), password), owner)
    raw = key_file(owner, seed, password)
    with pytest.raises(ValueError, match="deserialize"):  # or `without_keys` is not needed any more
        pkcs12.load_key_and_certificates(raw, password)
    assert_is(read_key_file(raw, password), owner)


def key_file(owner: pki.Identity, der: bytes, password: bytes | None) -> bytes:
    """Make a PKCS #12 file with a key the library does not write; without a seal over it."""
    protection = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    held = [owner.certificate.x509(), ISSUING.certificate.x509()]
    pfx = asn1_pkcs12.Pfx.load(
        pkcs12.serialize_key_and_certificates(None, None, None, held, protection)
    )
    safe = asn1_pkcs12.AuthenticatedSafe.load(bytes(pfx["auth_safe"]["content"]))
    kind = asn1_keys.EncryptedPrivateKeyInfo if password else asn1_keys.PrivateKeyInfo
    bag = {
        "bag_id": "pkcs8_shrouded_key_bag" if password else "key_bag",
        "bag_value": kind.load(der),
    }
    keys = {"content_type": "data", "content": asn1_pkcs12.SafeContents([bag]).dump()}
    contents = asn1_pkcs12.AuthenticatedSafe([*safe, keys]).dump()
    inner = {"content_type": "data", "content": contents}
    return bytes(asn1_pkcs12.Pfx({"version": "v3", "auth_safe": inner}).dump())
