"""Names of algorithms, as settings spell them and as people do."""

from enum import Enum

import pytest
from pydantic import BaseModel, ValidationError

from smime_proxy.policy.algorithms import ContentEncryption, KeyTransport, Signature
from smime_proxy.settings.algorithms import (
    ContentEncryptionName,
    HeaderProtectionName,
    KeyTransportName,
    SignatureName,
)


class Names(BaseModel):
    signature: SignatureName | None = None
    key_transport: KeyTransportName | None = None
    content_encryption: ContentEncryptionName | None = None
    header_protection: HeaderProtectionName | None = None


@pytest.mark.parametrize("name", Names.model_fields)
def test_the_one_name_of_each_is_read_and_shown(name: str) -> None:
    kinds: dict[str, type[Enum]] = {
        "signature": Signature,
        "key_transport": KeyTransport,
        "content_encryption": ContentEncryption,
    }
    for one in kinds.get(name, ()):
        read = Names.model_validate({name: one.value})
        assert getattr(read, name) is one
        assert read.model_dump(mode="json")[name] == one.value
        assert getattr(Names.model_validate({name: one}), name) is one


@pytest.mark.parametrize(
    ("name", "wanted", "spellings"),
    [
        (
            "signature",
            Signature.RSASSA_PSS,
            "pss PSS rsa_pss RSA-PSS RSASSA-PSS rsassa_pss rsaPss",
        ),
        (
            "signature",
            Signature.RSASSA_PKCS1V15,
            "pkcs1 PKCS1v15 rsassa-pkcs1v15 RSASSA-PKCS1-v1_5 rsa-pkcs1",
        ),
        ("key_transport", KeyTransport.RSAES_OAEP, "oaep OAEP rsa-oaep RSAES-OAEP rsaOaep"),
        (
            "key_transport",
            KeyTransport.RSAES_PKCS1V15,
            "pkcs1 pkcs1v15 RSAES-PKCS1-v1_5 rsaes-pkcs1v15",
        ),
        (
            "content_encryption",
            ContentEncryption.AES256_GCM,
            "AES-256-GCM aes-256-gcm aes256-gcm AES256_GCM aes_256_gcm",
        ),
        ("content_encryption", ContentEncryption.AES128_CBC, "AES-128-CBC aes128-cbc"),
        (
            "content_encryption",
            ContentEncryption.CHACHA20_POLY1305,
            "ChaCha20-Poly1305 chacha20poly1305 chacha20",
        ),
    ],
)
def test_common_spellings_mean_the_one_name(name: str, wanted: Enum, spellings: str) -> None:
    for spelling in spellings.split():
        assert getattr(Names.model_validate({name: spelling}), name) is wanted, spelling


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("signature", "ecdsa", "rsassa_pkcs1v15 or rsassa_pss"),
        ("key_transport", "pss", "rsaes_pkcs1v15 or rsaes_oaep"),
        ("content_encryption", "3des", "aes256_cbc or aes192_cbc or aes128_cbc or aes256_gcm or"),
        ("content_encryption", 256, "aes256_cbc or"),
        ("header_protection", "on", "off or baseline"),
    ],
)
def test_an_unknown_one_is_told_the_known_ones(name: str, value: object, known: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Names.model_validate({name: value})
    (error,) = caught.value.errors()
    assert f"must be {known}" in error["msg"]
    assert f"not {value!r}" in error["msg"]


def test_nothing_set_stays_nothing() -> None:
    assert set(Names.model_validate({"signature": None}).model_dump().values()) == {None}
