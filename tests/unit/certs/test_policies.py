"""The policy graph of RFC 9618: what holds for a whole path, and what a bomb of mappings costs."""

import itertools

import pytest
from asn1crypto import core
from cryptography import x509

from smime_proxy.certs.policies import (
    MAX_POLICIES,
    POLICY_MAPPINGS,
    Policies,
    PolicyFault,
    PolicyGraph,
    read_policies,
)
from smime_proxy.certs.profile import ANY_POLICY, MAIL, Profile

ONE, TWO, THREE = "1.2.1", "1.2.2", "1.2.3"
EXPLICIT = Profile(explicit_policy=True)


def said(*stated: str, **more: object) -> Policies:
    return Policies(frozenset(stated), **more)  # type: ignore[arg-type]


def held(*path: Policies, profile: Profile = MAIL) -> frozenset[str]:
    """Process certificates, nearest the anchor first."""
    graph = PolicyGraph(profile, len(path))
    for policies in path:
        graph.take(policies, self_issued=False)
    return graph.held()


def test_what_every_certificate_says_holds() -> None:
    assert held(said(ONE, TWO), said(ONE, THREE)) == {ONE}
    assert held(said(ONE), said(TWO)) == frozenset()
    assert held(Policies(), said(ONE)) == frozenset()


def test_any_policy_stands_for_all_until_it_is_inhibited() -> None:
    assert held(said(ANY_POLICY), said(ONE)) == {ONE}
    assert held(said(ONE), said(ANY_POLICY)) == {ONE}
    assert held(said(ANY_POLICY, inhibit_any=0), said(ANY_POLICY)) == frozenset()
    assert held(said(ANY_POLICY, inhibit_any=1), said(ANY_POLICY), said(ANY_POLICY)) == frozenset()
    inhibited = Profile(inhibit_any_policy=True)
    assert held(said(ANY_POLICY), said(ONE), profile=inhibited) == frozenset()


def test_a_self_issued_certificate_does_not_use_up_the_counts() -> None:
    """RFC 5280 6.1.4 (h) and 6.1.3 (d)(2)."""
    graph = PolicyGraph(MAIL, 3)
    graph.take(said(ANY_POLICY, inhibit_any=0), self_issued=False)
    graph.take(said(ANY_POLICY), self_issued=True)
    graph.take(said(ONE), self_issued=False)
    assert graph.held() == {ONE}


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        ((Policies(), said(ONE)), EXPLICIT),
        ((said(ONE, require_explicit=0), said(TWO)), MAIL),
        ((said(ONE), Policies(require_explicit=0)), MAIL),
        ((said(ONE), said(ONE)), Profile(policies=frozenset({TWO}), explicit_policy=True)),
        ((said(ONE, mappings=((ONE, ANY_POLICY),)), said(ONE)), MAIL),
        ((said(ONE, mappings=((ANY_POLICY, ONE),)), said(ONE)), MAIL),
        (
            (said(ONE, mappings=((ONE, TWO),)), said(TWO)),
            Profile(inhibit_mapping=True, explicit_policy=True),
        ),
    ],
)
def test_a_policy_that_is_demanded_and_does_not_hold_is_a_fault(
    path: tuple[Policies, ...], profile: Profile
) -> None:
    with pytest.raises(PolicyFault):
        held(*path, profile=profile)


def test_a_mapped_policy_goes_by_the_name_of_the_subject() -> None:
    mapping = said(ONE, mappings=((ONE, TWO), (ONE, THREE)))
    assert held(mapping, said(TWO)) == {TWO}
    assert held(mapping, said(ONE)) == frozenset()
    assert held(said(ANY_POLICY, mappings=((ONE, TWO),)), said(TWO)) == {TWO}
    one = Profile(policies=frozenset({ONE}), explicit_policy=True)
    assert held(mapping, said(TWO), profile=one) == {TWO}
    with pytest.raises(PolicyFault):
        held(mapping, said(TWO), profile=Profile(policies=frozenset({TWO}), explicit_policy=True))


def test_a_count_that_a_certificate_lowers_is_not_raised_by_another() -> None:
    path = (said(ONE, require_explicit=1), said(ONE, require_explicit=9), Policies())
    with pytest.raises(PolicyFault):
        held(*path)


def test_a_bomb_of_mappings_costs_no_more_than_its_size() -> None:
    """RFC 9618 1: the tree of RFC 5280 would have 16 to the power of 20 nodes here."""
    names = [f"1.2.{number}" for number in range(16)]
    all_to_all = tuple(itertools.product(names, names))
    graph = PolicyGraph(MAIL, 21)
    for _ in range(20):
        graph.take(said(*names, mappings=all_to_all), self_issued=False)
    assert graph.levels is not None
    assert sum(map(len, graph.levels)) <= 16 * 21
    graph.take(said(names[0]), self_issued=False)
    assert graph.held() == {names[0]}


def extensions(*values: x509.ExtensionType) -> x509.Extensions:
    return x509.Extensions([x509.Extension(value.oid, True, value) for value in values])


def mappings(*pairs: tuple[str, str]) -> x509.UnrecognizedExtension:
    class Pair(core.SequenceOf):  # type: ignore[misc]  # untyped library
        _child_spec = core.ObjectIdentifier

    class Pairs(core.SequenceOf):  # type: ignore[misc]  # same
        _child_spec = Pair

    return x509.UnrecognizedExtension(POLICY_MAPPINGS, bytes(Pairs(list(map(list, pairs))).dump()))


def test_the_extensions_are_read() -> None:
    read = read_policies(
        extensions(
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(ONE), None)]),
            x509.PolicyConstraints(require_explicit_policy=2, inhibit_policy_mapping=None),
            x509.InhibitAnyPolicy(3),
            mappings((ONE, TWO), (TWO, THREE)),
        )
    )
    assert read == Policies(frozenset({ONE}), ((ONE, TWO), (TWO, THREE)), 2, None, 3)
    assert read_policies(extensions()) == Policies()


@pytest.mark.parametrize(
    "der", [b"", b"\x30\x02\x30", b"\x31\x00", b"\x30\x02\x30\x00", b"\x30\x00\x00"]
)
def test_unreadable_mappings_are_a_fault(der: bytes) -> None:
    with pytest.raises(PolicyFault):
        read_policies(extensions(x509.UnrecognizedExtension(POLICY_MAPPINGS, der)))


def test_more_policies_than_anybody_has_are_a_fault() -> None:
    many = [
        x509.PolicyInformation(x509.ObjectIdentifier(f"1.2.{number}"), None)
        for number in range(MAX_POLICIES + 1)
    ]
    with pytest.raises(PolicyFault, match="more than"):
        read_policies(extensions(x509.CertificatePolicies(many)))
    pairs = [(ONE, TWO)] * (MAX_POLICIES + 2)
    with pytest.raises(PolicyFault, match="more than"):
        read_policies(extensions(mappings(*pairs)))
