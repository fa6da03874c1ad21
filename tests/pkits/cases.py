"""The cases of PKITS 1.0: which certificate ends each path, what is asked of it, what is expected.

NIST "Conformance Testing of Relying Party Client Certificate Path Processing Logic", sections 4.1
to 4.16. A case is named by its end entity; the names tell whether the path is valid.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from smime_proxy.certs.profile import ANY_POLICY, Profile

PLAIN = Profile(for_mail=False, unsafe_weak=True)  # RSA-1024, DSA and SHA-1, and no word of mail
TRUST_ANCHOR = "TrustAnchorRootCertificate"

_END = re.compile(r"Test\d+EE$")
# What a section is about, by what the names of its cases say; the first that fits.
_SECTIONS = (
    (
        "4.14",
        "distribution points",
        r"distributionPoint|issuingDist|onlyContains|onlySome|indirect|cRLIssuer",
    ),
    ("4.15", "delta CRLs", r"deltaCRL"),
    ("4.5", "self-issued certificates", r"BasicSelfIssued"),
    ("4.4", "revocation", r"CRL|Revoked|SerialNumber"),
    ("4.7", "key usage", r"keyUsage"),
    ("4.6", "basic constraints", r"basicConstraints|cAFalse|pathLen"),
    ("4.11", "inhibited policy mapping", r"inhibitPolicyMapping"),
    ("4.12", "inhibited anyPolicy", r"inhibitAnyPolicy"),
    ("4.9", "explicit policy", r"requireExplicitPolicy"),
    ("4.10", "policy mapping", r"Mapping"),
    ("4.8", "certificate policies", r"Polic|Qualifier"),
    ("4.13", "name constraints", r"nameConstraints"),
    ("4.16", "private extensions", r"CertificateExtension"),
    ("4.3", "name chaining", r"Name|RFC3280|UTF8|Rollover"),
    ("4.2", "validity", r"not(?:Before|After)"),
    ("4.1", "signatures", r"Signature|CertificatePath|DSA"),
)
_POLICY = "2.16.840.1.101.3.2.1.48."  # NIST-test-policy-1 to -6
# Paths that are not valid though their names do not say so: no policy is common to all of them.
_NO_COMMON_POLICY = frozenset(f"DifferentPoliciesTest{number}EE" for number in (4, 5, 7, 8, 9, 12))


@dataclass(frozen=True, slots=True)
class Case:
    """One path: `asked` says in words what differs from the default inputs."""

    section: str
    name: str
    profile: Profile
    asked: str
    valid: bool

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.name} ({self.asked})" if self.asked else self.name


def sections() -> dict[str, str]:
    """Give the sections in their order with what each is about."""
    titles = {number: title for number, title, _ in _SECTIONS}
    return {number: titles[number] for number in sorted(titles, key=_order)}


def cases(names: Iterable[str]) -> Iterator[Case]:
    """Give the cases for the certificates of the suite: each by itself, then with other inputs."""
    for name in sorted(names):
        if _END.search(name):
            section = _section(name)
            valid = not (name.startswith("Invalid") or name in _NO_COMMON_POLICY)
            yield Case(section, name, PLAIN, "", valid)
            for asked, profile, expected in _variants(name):
                yield Case(section, name, profile, asked, expected)


def is_end_entity(name: str) -> bool:
    """Tell whether a certificate ends a path; the others are authorities'."""
    return _END.search(name) is not None


def _section(name: str) -> str:
    return next(number for number, _, words in _SECTIONS if re.search(words, name))


def _order(section: str) -> int:
    return int(section.partition(".")[2])


def _policies(numbers: str, *, explicit: bool = False) -> Profile:
    named = frozenset(_POLICY + number for number in numbers.split()) or frozenset({ANY_POLICY})
    return Profile(for_mail=False, unsafe_weak=True, policies=named, explicit_policy=explicit)


# Sections 4.8, 4.10 and 4.12: what is asked, and whether the path is valid then.
_BY_POLICY = {
    "ValidCertificatePathTest1EE": (("+ ", True), ("+1", True), ("+2", False), ("+1 2", True)),
    "AllCertificatesNoPoliciesTest2EE": (("+", False),),
    "DifferentPoliciesTest3EE": (("+", False), ("+1 2", False)),
    "OverlappingPoliciesTest6EE": (("1", True), ("2", False)),
    "AllCertificatesSamePoliciesTest10EE": (("1", True), ("2", True)),
    "AllCertificatesanyPolicyTest11EE": (("1", True),),
    "AllCertificatesSamePoliciesTest13EE": (("1", True), ("2", True), ("3", True)),
    "AnyPolicyTest14EE": (("1", True), ("2", False)),
    "ValidPolicyMappingTest1EE": (("1", True), ("2", False)),
    "ValidPolicyMappingTest3EE": (("1", False), ("2", True)),
    "ValidPolicyMappingTest5EE": (("1", True), ("6", False)),
    "ValidPolicyMappingTest6EE": (("1", True), ("6", False)),
    "ValidPolicyMappingTest12EE": (("1", True), ("2", True)),
}


def _variants(name: str) -> Iterator[tuple[str, Profile, bool]]:
    for text, expected in _BY_POLICY.get(name, ()):
        numbers = text.removeprefix("+").strip()
        explicit = text.startswith("+")
        words = [f"policies {numbers}"] if numbers else []
        words += ["explicit policy"] if explicit else []
        yield ", ".join(words), _policies(numbers, explicit=explicit), expected
    if name in {"ValidPolicyMappingTest1EE", "InvalidPolicyMappingTest2EE"}:
        inhibited = Profile(for_mail=False, unsafe_weak=True, inhibit_mapping=True)
        yield "mapping inhibited", inhibited, False
    if name == "inhibitAnyPolicyTest3EE":
        inhibited = Profile(for_mail=False, unsafe_weak=True, inhibit_any_policy=True)
        yield "anyPolicy inhibited", inhibited, False
