"""Name constraints: which names the authorities of a path may give to whom is below them.

RFC 5280 4.2.1.10 and 6.1.3 (b), (c); RFC 9598 6 (SmtpUTF8Mailbox); RFC 5937 (those of the anchor).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from cryptography import x509

from smime_proxy.address import AddressError, fold_domain, parse_mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.extensions import SMTP_UTF8_MAILBOX
from smime_proxy.certs.names import relative_name_keys

MAX_COMPARISONS = 100_000  # of names with subtrees in one path: some milliseconds; real ones ten
MAX_SUBTREES = 2_000  # of one certificate; the largest of public authorities has about 100

Relative = tuple[bytes, ...]  # the keys of the RDNs of a name, outermost first


class ConstraintFault(Exception):  # noqa: N818 - what is wrong with a path, no error of ours
    """A name is not one that the authorities above may give; the text is one line."""


class Form(Enum):
    """The forms of names that are held against constraints."""

    MAIL = "address"
    DIRECTORY = "directory name"
    DNS = "DNS name"
    URI = "URI"
    OTHER = "name"


@dataclass(frozen=True, slots=True)
class Subtrees:
    """The constraints of one certificate by form; a form that is absent is not constrained."""

    permitted: tuple[tuple[Form, object], ...]
    excluded: tuple[tuple[Form, object], ...]


@dataclass(slots=True)
class Constraints:
    """The constraints gathered on the way down, and what comparing may still cost."""

    gathered: list[Subtrees]
    left: int = MAX_COMPARISONS

    def add(self, constraints: x509.NameConstraints | None) -> None:
        """Take the constraints of an issuer along (RFC 5280 6.1.4 (g))."""
        if constraints is not None:
            self.gathered.append(_subtrees(constraints))

    def check(self, certificate: Certificate, names: Sequence[x509.GeneralName]) -> None:
        """Hold subject and subjectAltName against all constraints; raises `ConstraintFault`.

        An address in the subject is one too, whatever the subjectAltName has: mail may be judged
        by it (RFC 5280 4.2.1.10, RFC 8550 3).
        """
        if not self.gathered:
            return
        for form, name in _names(certificate, names):
            for subtrees in self.gathered:
                self._hold(form, name, subtrees)

    def _hold(self, form: Form, name: object, subtrees: Subtrees) -> None:
        permitted = [base for kind, base in subtrees.permitted if kind is form]
        excluded = [base for kind, base in subtrees.excluded if kind is form]
        self.left -= len(subtrees.permitted) + len(subtrees.excluded)
        if self.left < 0:
            raise ConstraintFault("too many names and name constraints")
        if not permitted and not excluded:
            return
        if form is Form.OTHER or name is None:
            # A form nobody here can compare, or a name nobody can read.
            raise ConstraintFault(f"a {form.value} that name constraints cannot be held against")
        if permitted and not any(_within(form, name, base) for base in permitted):
            raise ConstraintFault(f"name constraints do not permit the {form.value}")
        if None in excluded:
            raise ConstraintFault(f"an excluded {form.value} that nobody can read")
        if any(_within(form, name, base) for base in excluded):
            raise ConstraintFault(f"name constraints exclude the {form.value}")


def _subtrees(constraints: x509.NameConstraints) -> Subtrees:
    permitted = constraints.permitted_subtrees or []
    excluded = constraints.excluded_subtrees or []
    if len(permitted) + len(excluded) > MAX_SUBTREES:
        raise ConstraintFault(f"more than {MAX_SUBTREES} name constraints")
    return Subtrees(tuple(map(_base, permitted)), tuple(map(_base, excluded)))


def _base(name: x509.GeneralName) -> tuple[Form, object]:
    match name:
        case x509.RFC822Name(value=value):
            return Form.MAIL, _mail_base(value)
        case x509.DirectoryName(value=value):
            return Form.DIRECTORY, relative_name_keys(value.public_bytes())
        case x509.DNSName(value=value):
            return Form.DNS, value.lower().lstrip(".")
        case x509.UniformResourceIdentifier(value=value):
            return Form.URI, value.lower()
        case _:
            return Form.OTHER, None


def _mail_base(text: str) -> str | None:
    """Fold a constraint: an address, a host, or with a dot before it all below a domain.

    Empty for all addresses; None for what is nothing of it, which permits nothing.
    """
    dot = "." if text.startswith(".") else ""
    try:
        if "@" in text:
            return parse_mailbox(text).key
        return dot + fold_domain(text.removeprefix(".")) if text else ""
    except AddressError:
        return None


def _names(
    certificate: Certificate, names: Iterable[x509.GeneralName]
) -> Iterator[tuple[Form, object]]:
    subject = relative_name_keys(certificate.subject_der)
    if subject is None or subject:
        yield Form.DIRECTORY, subject
    for mailbox in certificate.dn_mailboxes:
        yield Form.MAIL, mailbox.key
    for name in names:
        match name:
            case x509.RFC822Name(value=value):
                yield Form.MAIL, _mail_name(value)
            case x509.OtherName(type_id=kind) if kind == SMTP_UTF8_MAILBOX:
                continue  # those that are mailboxes are below, the others are no identities
            case x509.DirectoryName(value=value):
                yield Form.DIRECTORY, relative_name_keys(value.public_bytes())
            case x509.DNSName(value=value):
                yield Form.DNS, value.lower()
            case x509.UniformResourceIdentifier(value=value):
                yield Form.URI, _host(value)
            case _:
                yield Form.OTHER, None
    for mailbox in certificate.mailboxes:
        if not mailbox.is_ascii:
            yield Form.MAIL, mailbox.key


def _mail_name(text: str) -> str | None:
    try:
        return parse_mailbox(text).key
    except AddressError:
        return text.lower() if "@" in text else None


def _host(uri: str) -> str | None:
    """Give the host of a URI; None without one that is a name (RFC 5280 4.2.1.10)."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    if not host or ":" in host or host.replace(".", "").isdigit():
        return None
    return host.lower()


def _within(form: Form, name: object, base: object) -> bool:
    """Tell whether a name lies in a subtree (RFC 5280 4.2.1.10); unreadable bases hold nothing."""
    match form, name, base:
        case Form.DIRECTORY, tuple(), tuple():
            return name[: len(base)] == base
        case Form.MAIL, str(), str():
            return _mail_within(name, base)
        case Form.DNS, str(), str():
            return not base or name == base or name.endswith("." + base)
        case Form.URI, str(), str():
            return name.endswith(base) if base.startswith(".") else name == base
        case _:
            return False


def _mail_within(name: str, base: str) -> bool:
    host = name.rpartition("@")[2]
    if "@" in base:
        return name == base
    if base.startswith("."):
        return host.endswith(base)
    return not base or host == base
