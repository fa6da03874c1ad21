"""The algorithms for one recipient: settings as the floor, capabilities above it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms.capabilities import Capabilities
from smime_proxy.message.parse import parse
from smime_proxy.policy.algorithms import (
    ContentEncryption,
    HeaderProtection,
    KeyTransport,
    Signature,
)
from smime_proxy.policy.choice import CAPABILITIES, Algorithms, choose_algorithms, readable
from smime_proxy.policy.effective import Partner, effective, partner_rule
from smime_proxy.policy.rules import Override, PartnerRule, Policy, Rules
from smime_proxy.smime.receive import receive
from tests.fakes import AT
from tests.unit.policy.cases import account, to
from tests.unit.smime.cases import clear, message, trust

AES = "2.16.840.1.101.3.4.1."
CBC = {256: AES + "42", 192: AES + "22", 128: AES + "2"}
GCM = {256: AES + "46", 192: AES + "26", 128: AES + "6"}
CHACHA20 = "1.2.840.113549.1.9.16.3.18"
OAEP, TRIPLE_DES = "1.2.840.113549.1.1.7", "1.2.840.113549.3.7"
SHA256 = bytes.fromhex("302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06")
OAEP_SHA256 = SHA256 + bytes.fromhex("096086480165030402010500")
OAEP_SHA1 = b"\x30\x00"  # RFC 3560 5
OAEP_SHA256_MGF1_SHA1 = bytes.fromhex("3011a00f300d06096086480165030402010500")


def reads(*oids: str, oaep: bytes | None = None) -> Capabilities:
    listed = tuple((oid, b"") for oid in oids)
    return Capabilities((*listed, *(((OAEP, oaep),) if oaep is not None else ())))


def chosen(
    capabilities: Capabilities | None,
    policy: Policy | None = None,
    partner: PartnerRule | None = None,
    key_type: str = "rsa",
) -> Algorithms:
    rules = Rules(policy or Policy(), partners={"y.org": partner} if partner else {})
    found = partner_rule(rules, to("x@y.org").mailbox)
    return choose_algorithms(effective(rules, None), found, key_type, capabilities)


def test_without_anything_said_it_is_what_everybody_reads() -> None:
    assert chosen(None) == Algorithms()
    assert chosen(reads()) == chosen(reads(TRIPLE_DES, "2.5.8.1.1")) == Algorithms()
    assert chosen(None).sources == {
        name: f"policy.{name}"
        for name in (
            "signature",
            "opaque",
            "content_encryption",
            "key_transport",
            "header_protection",
        )
    }


@pytest.mark.parametrize(
    ("floor", "listed", "wanted"),
    [
        ("aes256_cbc", [CBC[256], GCM[256]], "aes256_gcm"),
        ("aes256_cbc", [CBC[256], CHACHA20], "chacha20_poly1305"),
        ("aes256_cbc", [CHACHA20, GCM[256]], "chacha20_poly1305"),
        ("aes256_cbc", [GCM[256], CHACHA20], "aes256_gcm"),
        ("aes256_cbc", [GCM[128], GCM[192]], "aes256_cbc"),
        ("aes256_cbc", [CBC[128], TRIPLE_DES], "aes256_cbc"),
        ("aes128_cbc", [GCM[128]], "aes128_gcm"),
        ("aes128_cbc", [CBC[192]], "aes192_cbc"),
        ("aes128_cbc", [GCM[128], GCM[256], CBC[256]], "aes256_gcm"),
        ("aes256_gcm", [CBC[256], CHACHA20], "aes256_gcm"),
        ("aes128_gcm", [CBC[256]], "aes128_gcm"),
        ("chacha20_poly1305", [GCM[256]], "chacha20_poly1305"),
    ],
)
def test_e85_capabilities_raise_the_cipher_and_never_lower_it(
    floor: str, listed: list[str], wanted: str
) -> None:
    """E85."""
    policy = Policy(content_encryption=ContentEncryption(floor))
    found = chosen(reads(*listed), policy)
    assert found.content_encryption.value == wanted
    source = found.sources["content_encryption"]
    assert source == ("policy.content_encryption" if wanted == floor else CAPABILITIES)


@pytest.mark.parametrize(
    ("parameters", "raised"),
    [
        (None, False),
        (b"", True),
        (OAEP_SHA256, True),
        (OAEP_SHA1, False),
        (OAEP_SHA256_MGF1_SHA1, False),
    ],
)
def test_who_reads_oaep_as_it_is_written_here_gets_it(
    parameters: bytes | None, raised: bool
) -> None:
    found = chosen(reads(oaep=parameters))
    wanted = KeyTransport.RSAES_OAEP if raised else KeyTransport.RSAES_PKCS1V15
    assert found.key_transport is wanted
    source = CAPABILITIES if raised else "policy.key_transport"
    assert found.sources["key_transport"] == source


def test_no_capability_takes_oaep_away() -> None:
    policy = Policy(key_transport=KeyTransport.RSAES_OAEP)
    for said in (None, reads(), reads(oaep=OAEP_SHA256)):
        found = chosen(said, policy)
        assert found.key_transport is KeyTransport.RSAES_OAEP
        assert found.sources["key_transport"] == "policy.key_transport"


def test_what_is_set_for_the_partner_holds_whatever_he_says() -> None:
    everything = reads(GCM[256], oaep=OAEP_SHA256)
    partner = PartnerRule(
        signature=Signature.RSASSA_PSS,
        key_transport=KeyTransport.RSAES_PKCS1V15,
        content_encryption=ContentEncryption.AES128_CBC,
        opaque=True,
        header_protection=HeaderProtection.BASELINE,
    )
    found = chosen(everything, partner=partner)
    assert found == Algorithms(
        Signature.RSASSA_PSS,
        True,
        ContentEncryption.AES128_CBC,
        KeyTransport.RSAES_PKCS1V15,
        HeaderProtection.BASELINE,
    )
    assert set(found.sources.values()) == {f'partners."y.org".{name}' for name in found.sources}
    # The rest of what he reads still counts.
    only_transport = chosen(
        everything, partner=PartnerRule(key_transport=KeyTransport.RSAES_PKCS1V15)
    )
    assert only_transport.content_encryption is ContentEncryption.AES256_GCM
    assert only_transport.key_transport is KeyTransport.RSAES_PKCS1V15


def test_a_partner_may_be_told_to_switch_off_what_the_sender_has_on() -> None:
    policy = Policy(opaque=True, header_protection=HeaderProtection.BASELINE)
    partner = PartnerRule(opaque=False, header_protection=HeaderProtection.OFF)
    assert chosen(None, policy, partner) == Algorithms()


def test_partner_over_account_over_domain_over_default() -> None:
    rules = Rules(
        Policy(signature=Signature.RSASSA_PSS),
        {"x.test": Override(opaque=True, key_transport=KeyTransport.RSAES_OAEP)},
        {"y.org": PartnerRule(key_transport=KeyTransport.RSAES_PKCS1V15)},
    )
    sender = account("a@x.test", opaque=False, content_encryption=ContentEncryption.AES128_GCM)
    partner = partner_rule(rules, to("b@y.org").mailbox)
    found = choose_algorithms(effective(rules, sender), partner, "rsa", None)
    assert found == Algorithms(
        Signature.RSASSA_PSS, False, ContentEncryption.AES128_GCM, KeyTransport.RSAES_PKCS1V15
    )
    assert found.sources == {
        "signature": "policy.signature",
        "opaque": 'accounts."a@x.test".opaque',
        "content_encryption": 'accounts."a@x.test".content_encryption',
        "key_transport": 'partners."y.org".key_transport',
        "header_protection": "policy.header_protection",
    }


def test_other_keys_have_their_own_key_transport() -> None:
    demanded = PartnerRule(key_transport=KeyTransport.RSAES_OAEP)
    for key_type in ("ec", "x25519", ""):
        found = chosen(reads(GCM[256], oaep=b""), partner=demanded, key_type=key_type)
        assert found.key_transport is None
        assert found.content_encryption is ContentEncryption.AES256_GCM


def test_what_our_own_signatures_say_is_understood() -> None:
    report = receive(parse(message(clear())), (), trust(), AT).report
    assert report.signer is not None
    found = chosen(report.signer.report.capabilities)
    assert found.key_transport is KeyTransport.RSAES_OAEP
    assert found.content_encryption.strength[1] == 256


def test_nothing_written_for_a_partner_is_nothing() -> None:
    assert choose_algorithms(effective(Rules(), None), Partner(), "rsa", None) == Algorithms()


def test_what_somebody_reads_is_named_in_his_order_and_once() -> None:
    assert readable(None) == ()
    said = reads(GCM[256], TRIPLE_DES, CBC[128], GCM[256], oaep=OAEP_SHA256)
    assert readable(said) == ("aes256_gcm", "aes128_cbc", "rsaes_oaep")
    assert readable(reads(CHACHA20, oaep=OAEP_SHA1)) == ("chacha20_poly1305",)


LISTED = st.lists(
    st.tuples(
        st.sampled_from([*CBC.values(), *GCM.values(), CHACHA20, TRIPLE_DES, OAEP, "1.2.3"]),
        st.sampled_from([b"", OAEP_SHA1, OAEP_SHA256, b"\x05\x00"]),
    )
)


@given(LISTED, st.sampled_from(ContentEncryption), st.sampled_from(KeyTransport))
def test_e85_whatever_is_said_nothing_is_lowered_nor_made_unreadable(
    listed: list[tuple[str, bytes]], cipher: ContentEncryption, transport: KeyTransport
) -> None:
    """E85."""
    policy = Policy(content_encryption=cipher, key_transport=transport)
    found = chosen(Capabilities(tuple(listed)), policy)
    assert found.content_encryption.is_at_least(cipher)
    said = readable(Capabilities(tuple(listed)))
    assert found.content_encryption in {cipher} | {
        ContentEncryption(name) for name in said if name != "rsaes_oaep"
    }
    assert found.key_transport in {transport, KeyTransport.RSAES_OAEP}
    if found.key_transport is not transport:
        assert "rsaes_oaep" in said
    demanded = PartnerRule(content_encryption=cipher, key_transport=transport)
    held = chosen(Capabilities(tuple(listed)), partner=demanded)
    assert (held.content_encryption, held.key_transport) == (cipher, transport)
