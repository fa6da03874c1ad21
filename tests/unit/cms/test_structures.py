import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime_proxy.cms import der, oids
from smime_proxy.cms.errors import CmsError, MalformedCms
from smime_proxy.cms.structures import content_kind, parse_enveloped_data, parse_signed_data
from tests.unit.cms import made
from tests.unit.cms.parties import indefinite


@pytest.mark.parametrize(
    ("oid", "kind"),
    [
        (oids.DATA, "data"),
        (oids.ENVELOPED_DATA, "enveloped-data"),
        (oids.ENCRYPTED_DATA, "encrypted-data"),
        (oids.AUTHENTICATED_DATA, "authenticated-data"),
        (oids.COMPRESSED_DATA, "compressed-data"),
        (oids.AUTH_ENVELOPED_DATA, "auth-enveloped-data"),
    ],
)
def test_the_kind_is_told_from_the_content_type_alone(oid: str, kind: str) -> None:
    """E48; nothing behind the content type is looked at."""
    assert content_kind(b"\x30\x80" + der.object_identifier(oid) + b"\xa0\x80junk") == kind
    assert content_kind(b"\x30\x83\x01\x00\x00" + der.object_identifier(oid)) == kind


def test_signed_data_and_certificates_alone_are_told_apart() -> None:
    """V30."""
    assert content_kind(made.signed_data()) == "certs-only"
    info = made.signer_info([made.CONTENT_TYPE])
    assert content_kind(made.signed_data(info)) == "signed-data"
    assert content_kind(made.signed_data(content=b"unsigned")) == "signed-data"


def test_all_octets_are_asked_for_only_where_the_kind_depends_on_them() -> None:
    """RFC 8551 3.8: what is certs-only shows behind the content, at the end."""
    certs, sealed = made.signed_data(), made.wrap(oids.ENVELOPED_DATA, bytes(1000))

    def nothing() -> bytes:
        raise AssertionError

    assert content_kind(certs[:100], lambda: certs) == "certs-only"
    assert content_kind(sealed[:100], nothing) == "enveloped-data"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Content-Type: text/plain\r\n\r\n",
        der.element(der.SEQUENCE, der.object_identifier("1.2.3")),
        indefinite(0x30, der.object_identifier(oids.SIGNED_DATA)),
    ],
)
def test_what_is_no_cms_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedCms):
        content_kind(raw)


@given(st.binary(max_size=400))
def test_arbitrary_octets_raise_nothing_else(raw: bytes) -> None:
    for read in (content_kind, parse_signed_data, parse_enveloped_data):
        with pytest.raises(CmsError):
            read(raw)
