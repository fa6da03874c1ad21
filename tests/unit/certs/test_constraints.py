"""Names held against name constraints, each form by its own rule (RFC 5280 4.2.1.10); E73, E82."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from smime_proxy.certs.constraints import (
    MAX_DEPTH,
    MAX_SUBTREES,
    ConstraintFault,
    Constraints,
    Form,
    Subtrees,
)
from smime_proxy.certs.extensions import MAX_NAMES
from tests import pki

ROOT = pki.root(kind="p256")


def directory(*pairs: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(*pair) for pair in pairs]))


COMPANY = directory((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example"))
BELOW_COMPANY = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "de"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "EXAMPLE "),
        x509.NameAttribute(NameOID.COMMON_NAME, "Alice"),
    ]
)


def check(
    *mailboxes: str,
    permitted: list[x509.GeneralName] | None = None,
    excluded: list[x509.GeneralName] | None = None,
    raw_names: tuple[x509.GeneralName, ...] = (),
    **declared: object,
) -> None:
    leaf = pki.person(ROOT, *mailboxes, kind="p256", raw_names=raw_names, **declared).certificate
    constraints = Constraints([])
    constraints.add(x509.NameConstraints(permitted, excluded))
    names = [
        name
        for extension in leaf.x509().extensions
        if isinstance(extension.value, x509.SubjectAlternativeName)
        for name in extension.value
    ]
    constraints.check(leaf, names)


@pytest.mark.parametrize(
    ("base", "inside", "outside"),
    [
        ("example.test", "a@example.test", "a@sub.example.test"),
        ("EXAMPLE.test", "a@Example.TEST", "a@notexample.test"),
        (".example.test", "a@sub.example.test", "a@example.test"),
        ("a@example.test", "A@example.test", "b@example.test"),
        ("xn--mller-kva.test", "a@xn--mller-kva.test", "a@muller.test"),
    ],
)
def test_an_address_lies_in_a_host_a_domain_or_is_one(base: str, inside: str, outside: str) -> None:
    permitted: list[x509.GeneralName] = [x509.RFC822Name(base)]
    check(inside, permitted=permitted)
    with pytest.raises(ConstraintFault, match="do not permit the address"):
        check(outside, permitted=permitted)
    with pytest.raises(ConstraintFault, match="do not permit"):
        check(inside, outside, permitted=permitted)
    check(outside, excluded=permitted)
    with pytest.raises(ConstraintFault, match="exclude the address"):
        check(inside, excluded=permitted)


@pytest.mark.parametrize("base", ["@example.test", "example.test.", "*.example.test", "a b@x.test"])
def test_what_nobody_can_read_permits_nothing_and_may_exclude_anything(base: str) -> None:
    """A typing error of an authority must not let those in that it meant to keep out."""
    odd: list[x509.GeneralName] = [x509.RFC822Name(base)]
    with pytest.raises(ConstraintFault, match="do not permit"):
        check("a@example.test", permitted=odd)
    with pytest.raises(ConstraintFault, match="an excluded address that nobody can read"):
        check("a@example.test", excluded=odd)


def test_an_international_address_is_held_against_them_too() -> None:
    """E76, RFC 9598 6."""
    permitted: list[x509.GeneralName] = [x509.RFC822Name("example.test")]
    check("mü@example.test", permitted=permitted)
    with pytest.raises(ConstraintFault, match="do not permit"):
        check("mü@evil.test", permitted=permitted)


@pytest.mark.parametrize("mailboxes", [(), ("a@example.test",)])
def test_so_is_an_address_in_the_subject(mailboxes: tuple[str, ...]) -> None:
    """E73: whether there is another one or not."""
    permitted: list[x509.GeneralName] = [x509.RFC822Name("example.test")]
    check(*mailboxes, permitted=permitted, dn_address="b@example.test")
    with pytest.raises(ConstraintFault, match="do not permit"):
        check(*mailboxes, permitted=permitted, dn_address="b@evil.test")


def test_a_directory_name_lies_below_one_that_it_begins_with_by_value() -> None:
    permitted: list[x509.GeneralName] = [COMPANY]
    check("a@b.test", permitted=permitted, subject=BELOW_COMPANY)
    check("a@b.test", permitted=permitted, subject=COMPANY.value)
    with pytest.raises(ConstraintFault, match="do not permit the directory name"):
        check("a@b.test", permitted=permitted)
    with pytest.raises(ConstraintFault, match="exclude the directory name"):
        check("a@b.test", excluded=permitted, subject=BELOW_COMPANY)
    other = (directory((NameOID.COUNTRY_NAME, "FR")),)
    with pytest.raises(ConstraintFault, match="do not permit"):
        check("a@b.test", permitted=permitted, subject=BELOW_COMPANY, raw_names=other)


@pytest.mark.parametrize(
    ("base", "inside", "outside"),
    [
        (
            x509.DNSName("example.test"),
            x509.DNSName("a.Example.test"),
            x509.DNSName("xexample.test"),
        ),
        (
            x509.UniformResourceIdentifier(".example.test"),
            x509.UniformResourceIdentifier("http://a.example.test/x"),
            x509.UniformResourceIdentifier("http://example.test/"),
        ),
        (
            x509.UniformResourceIdentifier("example.test"),
            x509.UniformResourceIdentifier("http://u@example.test:80/"),
            x509.UniformResourceIdentifier("http://a.example.test"),
        ),
    ],
)
def test_other_forms_are_held_against_theirs(
    base: x509.GeneralName, inside: x509.GeneralName, outside: x509.GeneralName
) -> None:
    check("a@b.test", permitted=[base], raw_names=(inside,))
    with pytest.raises(ConstraintFault, match="do not permit"):
        check("a@b.test", permitted=[base], raw_names=(outside,))
    with pytest.raises(ConstraintFault, match="exclude"):
        check("a@b.test", excluded=[base], raw_names=(inside,))


def test_an_empty_base_holds_every_name_of_its_form() -> None:
    """RFC 5280 4.2.1.10: it is how authorities exclude a form."""
    for base, name in (
        (x509.RFC822Name._init_without_validation(""), x509.RFC822Name("a@b.test")),
        (x509.DNSName(""), x509.DNSName("b.test")),
    ):
        check(permitted=[base], raw_names=(name,))
        with pytest.raises(ConstraintFault, match="exclude"):
            check(excluded=[base], raw_names=(name,))


def test_an_address_that_is_none_is_refused_where_addresses_are_constrained() -> None:
    """E05; from x509-limbo."""
    for odd in ("a@evil.test@b.test", "a@b.test ", "b.test"):
        name = x509.RFC822Name._init_without_validation(odd)
        for declared in (
            {"permitted": [x509.RFC822Name("b.test")]},
            {"excluded": [x509.RFC822Name("c.test")]},
        ):
            with pytest.raises(ConstraintFault, match="cannot be held against"):
                check("a@b.test", raw_names=(name,), **declared)  # type: ignore[arg-type]
        check("a@b.test", permitted=[x509.DNSName("b.test")], raw_names=(name,))


def test_a_form_nobody_can_compare_is_refused_where_it_is_constrained() -> None:
    form = x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))
    check("a@b.test", permitted=[form])
    check("a@b.test", permitted=[x509.RFC822Name("b.test")], raw_names=(form,))
    with pytest.raises(ConstraintFault, match="cannot be held against"):
        check("a@b.test", permitted=[form], raw_names=(form,))


@pytest.mark.parametrize("uri", ["http://10.0.0.1/", "urn:x", "http://[::1]/", "http://["])
def test_a_uri_without_a_host_name_is_refused_where_uris_are_constrained(uri: str) -> None:
    """RFC 5280 4.2.1.10."""
    with pytest.raises(ConstraintFault, match="cannot be held against"):
        check(
            "a@b.test",
            excluded=[x509.UniformResourceIdentifier("example.test")],
            raw_names=(x509.UniformResourceIdentifier(uri),),
        )


def test_what_no_constraint_speaks_of_is_free() -> None:
    check("a@b.test", permitted=[x509.DNSName("example.test")])
    Constraints([]).check(pki.person(ROOT, "a@b.test", kind="p256").certificate, [])


def test_constraints_gather_on_the_way_down() -> None:
    constraints = Constraints([])
    constraints.add(x509.NameConstraints([x509.RFC822Name("example.test")], None))
    constraints.add(None)
    constraints.add(x509.NameConstraints([x509.RFC822Name(".test")], None))
    leaf = pki.person(ROOT, "a@example.test", kind="p256").certificate
    constraints.check(leaf, [x509.RFC822Name("a@example.test")])
    constraints.add(x509.NameConstraints(None, [x509.RFC822Name("a@example.test")]))
    with pytest.raises(ConstraintFault, match="exclude"):
        constraints.check(leaf, [x509.RFC822Name("a@example.test")])


def test_an_excluded_name_nobody_can_read_is_a_fault() -> None:
    name = directory(*[(NameOID.COMMON_NAME, "x")] * (MAX_DEPTH + 1))
    with pytest.raises(ConstraintFault, match="that nobody can read"):
        Constraints([]).add(x509.NameConstraints(None, [name]))
    constraints = Constraints([])
    constraints.add(x509.NameConstraints([name], None))
    with pytest.raises(ConstraintFault, match="not permit the directory name"):
        constraints.check(pki.person(ROOT, "a@b.test", kind="p256").certificate, [])


def test_a_name_costs_the_same_however_many_constraints_there_are() -> None:
    """E82: a thousand constraints and five hundred names are half a million comparisons."""
    constraints = Constraints([])
    bases: list[x509.GeneralName] = [x509.RFC822Name(f"x{n}.test") for n in range(MAX_SUBTREES - 1)]
    constraints.add(x509.NameConstraints([*bases, x509.RFC822Name("b.test")], None))
    (subtrees,) = constraints.gathered
    counted = Counted(subtrees.permitted[Form.MAIL])
    constraints.gathered[0] = Subtrees({Form.MAIL: counted}, {})
    leaf = pki.person(ROOT, "a@b.test", kind="p256").certificate
    constraints.check(leaf, [x509.RFC822Name("a@b.test")] * MAX_NAMES)
    assert counted.asked <= 10 * MAX_NAMES
    with pytest.raises(ConstraintFault, match="more than 500 names"):
        constraints.check(leaf, [x509.RFC822Name("a@b.test")] * (MAX_NAMES + 1))


def test_more_constraints_than_anybody_has_are_a_fault() -> None:
    """Those of a whole path count together."""
    constraints = Constraints([])
    bases: list[x509.GeneralName] = [x509.RFC822Name(f"x{n}.test") for n in range(MAX_SUBTREES)]
    constraints.add(x509.NameConstraints(None, bases))
    with pytest.raises(ConstraintFault, match=f"more than {MAX_SUBTREES} name constraints"):
        constraints.add(x509.NameConstraints(bases[:1], None))


class Counted(AbstractSet[object]):
    """A set that counts what it is asked, and cannot be gone through."""

    def __init__(self, members: AbstractSet[object]) -> None:
        self.members, self.asked = members, 0

    def __contains__(self, member: object) -> bool:
        self.asked += 1
        return member in self.members

    def __iter__(self) -> Iterator[object]:
        raise AssertionError("nobody goes through all constraints")

    def __len__(self) -> int:
        return len(self.members)

    def isdisjoint(self, other: Iterable[object]) -> bool:
        return not any(member in self for member in other)
