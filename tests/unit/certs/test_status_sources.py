"""Where a certificate says that it can be asked about is read, and not more of it than is sane."""

from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from smime_proxy.certs.status_sources import (
    MAX_URL,
    MAX_URLS,
    StatusSources,
    ocsp_name,
    ocsp_request,
    status_sources,
)
from tests import pki

ROOT = pki.root(kind="p256")


def access(*urls: str) -> tuple[x509.ExtensionType, bool]:
    issuers = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://i.test/")
    )
    found = [
        x509.AccessDescription(
            AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
        )
        for url in urls
    ]
    return x509.AuthorityInformationAccess([issuers, *found]), False


def points(*urls: str) -> tuple[x509.ExtensionType, bool]:
    made = [
        x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
        for url in urls
    ]
    return x509.CRLDistributionPoints(made), False


def person(*extra: tuple[x509.ExtensionType, bool]) -> pki.Identity:
    return pki.person(ROOT, "a@x.y", kind="p256", extra=extra)


def test_responders_and_lists_are_read_in_order() -> None:
    made = person(
        access("http://o.test/1", "http://o.test/2"), points("http://l.test/1", "HTTPS://l.test/2")
    )
    expected = StatusSources(
        ("http://o.test/1", "http://o.test/2"), ("http://l.test/1", "HTTPS://l.test/2")
    )
    assert status_sources(made.certificate) == expected
    assert status_sources(person().certificate) == StatusSources()


def test_no_more_of_them_than_anybody_has() -> None:
    many = [f"http://l.test/{number}" for number in range(50)]
    found = status_sources(person(access(*many), points(*many)).certificate)
    assert (len(found.ocsp), len(found.lists)) == (MAX_URLS, MAX_URLS)


def test_only_what_is_fetched_counts() -> None:
    """Answers are kept by their URLs, beside others that have names of another kind."""
    names = ["own:1", "ocsp:" + "0" * 64, "ldap://l.test/", "", "http:", "file:///etc/passwd"]
    too_long = f"http://l.test/{'x' * MAX_URL}"
    found = status_sources(
        person(access(*names, too_long), points(*names, too_long, "http://l.test/")).certificate
    )
    assert found == StatusSources((), ("http://l.test/",))


def test_a_request_names_the_certificate_and_is_the_same_for_everybody() -> None:
    made = person()
    request = ocsp_request(made.certificate, ROOT.certificate)
    assert ocsp.load_der_ocsp_request(request).serial_number == made.certificate.serial
    assert ocsp_request(made.certificate, ROOT.certificate) == request


def test_an_answer_is_kept_by_certificate_and_issuer() -> None:
    made, other = person().certificate, pki.root("Other", kind="p256").certificate
    assert ocsp_name(made, ROOT.certificate).startswith("ocsp:")
    assert ocsp_name(made, ROOT.certificate) != ocsp_name(made, other)
