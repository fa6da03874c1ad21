"""Files for other people's programs are read back, by ourselves and by OpenSSL."""

import base64
import subprocess

import pytest

from smime_proxy.address import parse_mailbox
from smime_proxy.certs.certificate import read_certificates
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.public_file import Form, public_file
from tests import pki

ALICE = parse_mailbox("alice@example.com")
ISSUER = pki.intermediate(pki.root(kind="p256"), kind="p256")
ONE = pki.person(ISSUER, "alice@example.com", kind="p256").certificate
TWO = pki.person(ISSUER, "alice@example.com", kind="p256", label="two").certificate


@pytest.mark.parametrize("form", [Form.PEM, Form.P7C])
def test_certificates_and_chain_come_back(form: Form) -> None:
    raw = public_file(form, ALICE, [ONE, TWO], [ISSUER.certificate])
    assert set(read_certificates(raw)) == {ONE, TWO, ISSUER.certificate}


def test_in_pem_the_own_certificate_comes_first() -> None:
    raw = public_file(Form.PEM, ALICE, [ONE], [ISSUER.certificate])
    assert read_certificates(raw) == (ONE, ISSUER.certificate)


def test_openssl_reads_pkcs7() -> None:
    raw = public_file(Form.P7C, ALICE, [ONE], [ISSUER.certificate])
    command = ["openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout"]
    said = subprocess.run(command, input=raw, capture_output=True, check=True).stdout.decode()
    assert said.count("subject=") == 2


def test_der_has_one_alone() -> None:
    assert public_file(Form.DER, ALICE, [ONE], [ISSUER.certificate]) == ONE.der
    with pytest.raises(CertificateError, match="has 2 certificates, and DER holds one"):
        public_file(Form.DER, ALICE, [ONE, TWO], [])


def test_a_vcard_has_the_address_and_the_certificates_on_folded_lines() -> None:
    raw = public_file(Form.VCARD, ALICE, [ONE, TWO], [ISSUER.certificate])
    assert max(map(len, raw.split(b"\r\n"))) <= 75
    assert raw.count(b"\n") == raw.count(b"\r\n")
    lines = raw.decode().replace("\r\n ", "").splitlines()
    assert lines[:2] == ["BEGIN:VCARD", "VERSION:3.0"]
    assert lines[-1] == "END:VCARD"
    assert "EMAIL;TYPE=INTERNET:alice@example.com" in lines
    keys = [line.partition(":")[2] for line in lines if line.startswith("KEY;TYPE=X509;ENCODING=b")]
    assert [base64.b64decode(key) for key in keys] == [ONE.der, TWO.der]


def test_special_characters_of_an_address_are_escaped() -> None:
    odd = parse_mailbox('"a;b,c"@example.com')
    raw = public_file(Form.VCARD, odd, [ONE], [])
    assert b'EMAIL;TYPE=INTERNET:"a\\;b\\,c"@example.com\r\n' in raw
    umlaut = parse_mailbox("jürgen@example.com")
    assert "FN:jürgen@example.com\r\n".encode() in public_file(Form.VCARD, umlaut, [ONE], [])
