"""Name constraints: which names the authorities of a path may give to whom is below them.

RFC 5280 4.2.1.10 and 6.1.3 (b), (c); RFC 9598 6 (SmtpUTF8Mailbox); RFC 5937 (those of the anchor).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from cryptography import x509

from smime_proxy.address import AddressError, fold_domain, parse_mailbox
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.extensions import MAX_NAMES, SMTP_UTF8_MAILBOX
from smime_proxy.certs.names import relative_name_keys

MAX_DEPTH = 64  # RDNs of a constraint; real names have up to ten
MAX_SUBTREES = 500  # of all certificates of a path; the largest of public authorities has about 100


class ConstraintFault(Exception):  # noqa: N818 - what is wrong with a path, no error of ours
    """A name is not one that the authorities above may give; the text is one line."""


class Form(Enum):
    """The forms of names that are held against constraints."""

    MAIL = "address"
    DIRECTORY = "directory name"
    DNS = "DNS name"
    URI = "URI"
    OTHER = "name"


# The bases of subtrees by form; a form that is absent is not constrained, a permitted base that
# nobody can read is left out and holds nothing.
Bases = Mapping[Form, AbstractSet[object]]


@dataclass(frozen=True, slots=True)
class Subtrees:
    """The constraints of one certificate."""

    permitted: Bases
    excluded: Bases


@dataclass(slots=True)
class Constraints:
    """The constraints gathered on the way down.

    What each name costs depends on how deep it is, never on how many constraints there are;
    `left` is how many may still come.
    """

    gathered: list[Subtrees]
    left: int = MAX_SUBTREES

    def add(self, constraints: x509.NameConstraints | None) -> None:
        """Take the constraints of an issuer along (RFC 5280 6.1.4 (g))."""
        if constraints is None:
            return
        permitted = constraints.permitted_subtrees or []
        excluded = constraints.excluded_subtrees or []
        self.left -= len(permitted) + len(excluded)
        if self.left < 0:
            raise ConstraintFault(f"more than {MAX_SUBTREES} name constraints")
        self.gathered.append(Subtrees(_bases(permitted), _bases(excluded, is_whole=True)))

    def check(self, certificate: Certificate, names: Sequence[x509.GeneralName]) -> None:
        """Hold subject and subjectAltName against all constraints; raises `ConstraintFault`.

        An address in the subject is one too, whatever the subjectAltName has: mail may be judged
        by it (RFC 5280 4.2.1.10, RFC 8550 3).
        """
        if not self.gathered:
            return
        if len(names) > MAX_NAMES:
            raise ConstraintFault(f"more than {MAX_NAMES} names")
        for form, name in _names(certificate, names):
            for subtrees in self.gathered:
                _hold(form, name, subtrees)


def _hold(form: Form, name: object, subtrees: Subtrees) -> None:
    permitted, excluded = subtrees.permitted.get(form), subtrees.excluded.get(form)
    if permitted is None and excluded is None:
        return
    if form is Form.OTHER or name is None:
        # A form nobody here can compare, or a name nobody can read.
        raise ConstraintFault(f"a {form.value} that name constraints cannot be held against")
    if permitted is not None and not _is_within(form, name, permitted):
        raise ConstraintFault(f"name constraints do not permit the {form.value}")
    if excluded is not None and _is_within(form, name, excluded):
        raise ConstraintFault(f"name constraints exclude the {form.value}")


def _bases(names: Iterable[x509.GeneralName], *, is_whole: bool = False) -> Bases:
    """Read the bases; with `is_whole` one that nobody can read is a fault, not left out."""
    bases: dict[Form, set[object]] = {}
    for form, base in map(_base, names):
        known = bases.setdefault(form, set())
        if base is not None:
            known.add(base)
        elif is_whole and form is not Form.OTHER:
            raise ConstraintFault(f"an excluded {form.value} that nobody can read")
    return bases


def _base(name: x509.GeneralName) -> tuple[Form, object]:
    match name:
        case x509.RFC822Name(value=value):
            return Form.MAIL, _mail_base(value)
        case x509.DirectoryName(value=value):
            relative = relative_name_keys(value.public_bytes())
            deep = relative is not None and len(relative) > MAX_DEPTH
            return Form.DIRECTORY, None if deep else relative
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
    except AddressError:  # nobody's identity, but who knows whose name it is
        return None


def _host(uri: str) -> str | None:
    """Give the host of a URI; None without one that is a name (RFC 5280 4.2.1.10)."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:
        return None
    if not host or ":" in host or host.replace(".", "").isdigit():
        return None
    return host.lower()


def _is_within(form: Form, name: object, bases: AbstractSet[object]) -> bool:
    """Tell whether a name lies in one of the subtrees (RFC 5280 4.2.1.10)."""
    match form, name:
        case Form.DIRECTORY, tuple():
            above = range(min(len(name), MAX_DEPTH) + 1)
            return not bases.isdisjoint(name[:length] for length in above)
        case Form.MAIL, str():
            host = name.rpartition("@")[2]
            return not bases.isdisjoint((name, host, *_from_each_dot(host), ""))
        case Form.DNS, str():
            below = (ending[1:] for ending in _from_each_dot(name))
            return not bases.isdisjoint((name, *below, ""))
        case Form.URI, str():
            return not bases.isdisjoint((name, *_from_each_dot(name)))
        case _:
            return False


def _from_each_dot(host: str) -> list[str]:
    """Give all endings of a host name that begin with a dot, as constraints name domains."""
    return [host[at:] for at, character in enumerate(host) if character == "."]
