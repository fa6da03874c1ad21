"""URIs of keys: what may be said is read and written the same, what may not is refused."""

import pytest

from smime_proxy.tokens.uri import MAX_URI, KeyUri, UriError, parse_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("pkcs11:object=alice", KeyUri("alice")),
        ("pkcs11:id=%01%ff", KeyUri(id=b"\x01\xff")),
        ("pkcs11:token=A%20b;object=c;type=private", KeyUri("c", token="A b")),
        ("pkcs11:serial=12;object=m%C3%BCller;", KeyUri("müller", serial="12")),
    ],
)
def test_what_names_a_key_is_read_and_written_the_same(text: str, uri: KeyUri) -> None:
    assert parse_uri(text) == uri
    assert parse_uri(str(uri)) == uri


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("object=alice", "begins with"),
        ("pkcs11:token=a", "names no key"),
        ("pkcs11:", "names no key"),
        ("pkcs11:object=a?pin-value=1234", "in the URI"),
        ("pkcs11:object=a;object=b", "twice"),
        ("pkcs11:object", "no value"),
        ("pkcs11:object=a;slot-id=1", "only token"),
        ("pkcs11:object=%ff", "not UTF-8"),
        ("pkcs11:object=%f", "hexadecimal"),
        ("pkcs11:object=a;type=cert", "not that of a private"),
        ("pkcs11:object=" + "a" * MAX_URI, "begins with"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(UriError, match=why):
        parse_uri(text)
