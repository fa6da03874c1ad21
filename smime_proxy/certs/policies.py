"""Which certificate policies hold for a whole path: the policy graph, never the policy tree.

RFC 9618 5 (which replaces the tree of RFC 5280 6.1), RFC 5280 4.2.1.4, 4.2.1.5, 4.2.1.11, 4.2.1.14.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from asn1crypto import core
from cryptography import x509

from smime_proxy.certs.names import read_element
from smime_proxy.certs.profile import ANY_POLICY, Profile

MAX_POLICIES = 256  # of one certificate, mapped ones too; real ones have up to ten
POLICY_MAPPINGS = x509.ObjectIdentifier("2.5.29.33")

_SEQUENCE = 0x30


class PolicyFault(Exception):  # noqa: N818 - what is wrong with a path, no error of ours
    """The policies of a path do not hold; the text is one line."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What one certificate says of policies; None where it has no such extension.

    `mappings` are pairs of an issuer's policy and a subject's; the numbers are skip counts.
    """

    stated: frozenset[str] | None = None
    mappings: tuple[tuple[str, str], ...] = ()
    require_explicit: int | None = None
    inhibit_mapping: int | None = None
    inhibit_any: int | None = None


@dataclass(slots=True)
class _Node:
    """A policy at one depth: what the next certificate may call it, and what led here."""

    expected: frozenset[str]
    parents: frozenset[str]


@dataclass(slots=True)
class PolicyGraph:
    """The graph as it grows with each certificate, nearest the anchor first (RFC 9618 5.1)."""

    profile: Profile
    length: int
    levels: list[dict[str, _Node]] | None = field(
        default_factory=lambda: [{ANY_POLICY: _Node(frozenset({ANY_POLICY}), frozenset())}]
    )
    explicit: int = 0
    mapping: int = 0
    any_policy: int = 0
    taken: int = 0

    def __post_init__(self) -> None:
        """Set the counts of RFC 5280 6.1.2 (d) to (f)."""
        skip = self.length + 1
        self.explicit = 0 if self.profile.explicit_policy else skip
        self.mapping = 0 if self.profile.inhibit_mapping else skip
        self.any_policy = 0 if self.profile.inhibit_any_policy else skip

    def take(self, policies: Policies, *, self_issued: bool) -> None:
        """Process one certificate's policies, and prepare for the next if one follows.

        Raises `PolicyFault` (RFC 5280 6.1.3 (d) to (f), 6.1.4 (a), (b), (h) to (j), 6.1.5).
        """
        self.taken += 1
        last = self.taken == self.length
        self._grow(policies.stated, any_allowed=self.any_policy > 0 or (not last and self_issued))
        if self.explicit == 0 and self.levels is None:
            raise PolicyFault("no certificate policy holds for the whole chain")
        if last:
            self._finish(policies)
            return
        self._map(policies.mappings)
        if not self_issued:
            self.explicit, self.mapping, self.any_policy = (
                max(0, count - 1) for count in (self.explicit, self.mapping, self.any_policy)
            )
        self.explicit = _least(self.explicit, policies.require_explicit)
        self.mapping = _least(self.mapping, policies.inhibit_mapping)
        self.any_policy = _least(self.any_policy, policies.inhibit_any)

    def held(self) -> frozenset[str]:
        """Give the policies, as the end entity calls them, that hold for the whole path."""
        if self.levels is None:
            return frozenset()
        return frozenset(self.levels[-1])

    def _grow(self, stated: frozenset[str] | None, *, any_allowed: bool) -> None:
        """RFC 9618 5.3: one more level of the graph, or no graph any more."""
        if stated is None or self.levels is None:
            self.levels = None
            return
        above = self.levels[-1]
        expecting: dict[str, set[str]] = {}
        for name, node in above.items():
            for policy in node.expected:
                expecting.setdefault(policy, set()).add(name)
        made: dict[str, _Node] = {}
        for policy in stated - {ANY_POLICY}:
            parents = expecting.get(policy) or ({ANY_POLICY} if ANY_POLICY in above else None)
            if parents:
                made[policy] = _Node(frozenset({policy}), frozenset(parents))
        if ANY_POLICY in stated and any_allowed:
            for policy, parents in expecting.items():
                if policy not in made:
                    made[policy] = _Node(frozenset({policy}), frozenset(parents))
        self.levels.append(made)
        self._prune()

    def _map(self, mappings: Sequence[tuple[str, str]]) -> None:
        """RFC 9618 5.4 (b): what the next certificate may call the policies of this one."""
        if any(ANY_POLICY in pair for pair in mappings):
            raise PolicyFault("a policy mapping names anyPolicy")
        if self.levels is None or not mappings:
            return
        level, mapped = self.levels[-1], dict[str, set[str]]()
        for of_issuer, of_subject in mappings:
            mapped.setdefault(of_issuer, set()).add(of_subject)
        if self.mapping == 0:
            for policy in mapped:
                level.pop(policy, None)
            self._prune()
            return
        for policy, subjects in mapped.items():
            if policy in level:
                level[policy].expected = frozenset(subjects)
            elif ANY_POLICY in level:
                level[policy] = _Node(frozenset(subjects), frozenset({ANY_POLICY}))

    def _finish(self, policies: Policies) -> None:
        """RFC 5280 6.1.5 (a), (b), (g): whether what the user asks for is among what holds."""
        self.explicit = max(0, self.explicit - 1)
        if policies.require_explicit == 0:
            self.explicit = 0
        if self.explicit == 0 and not self._asked_for():
            raise PolicyFault("no certificate policy that is asked for holds for the whole chain")

    def _asked_for(self) -> bool:
        # What hangs from anyPolicy is named in the words of the anchor, as the user does.
        if self.levels is None:
            return False
        of_anchor = {
            name
            for level in self.levels[1:]
            for name, node in level.items()
            if ANY_POLICY in node.parents and name != ANY_POLICY
        }
        if ANY_POLICY in self.profile.policies:
            return bool(self.levels[-1])
        return ANY_POLICY in self.levels[-1] or not of_anchor.isdisjoint(self.profile.policies)

    def _prune(self) -> None:
        """Delete nodes that lead nowhere, from the deepest up (RFC 9618 5.3 (d)(3))."""
        if self.levels is None:
            return
        for depth in range(len(self.levels) - 1, 0, -1):
            wanted = {parent for node in self.levels[depth].values() for parent in node.parents}
            above = self.levels[depth - 1]
            for name in [name for name in above if name not in wanted]:
                del above[name]
        if not self.levels[0]:
            self.levels = None


def read_policies(extensions: x509.Extensions) -> Policies:
    """Read the extensions that speak of policies; raises `PolicyFault` for unreadable ones."""
    found: dict[str, object] = {}
    for extension in extensions:
        match extension.value:
            case x509.CertificatePolicies() as stated:
                _limit(len(stated))
                found["stated"] = frozenset(p.policy_identifier.dotted_string for p in stated)
            case x509.PolicyConstraints() as constraints:
                found["require_explicit"] = constraints.require_explicit_policy
                found["inhibit_mapping"] = constraints.inhibit_policy_mapping
            case x509.InhibitAnyPolicy(skip_certs=skip):
                found["inhibit_any"] = skip
            case x509.UnrecognizedExtension(oid=oid, value=value) if oid == POLICY_MAPPINGS:
                found["mappings"] = _mappings(value)
            case _:
                pass
    return Policies(**found)  # type: ignore[arg-type]  # each is set with its field's type


def _mappings(der: bytes) -> tuple[tuple[str, str], ...]:
    """Read PolicyMappings (RFC 5280 4.2.1.5): SEQUENCE OF SEQUENCE of two OIDs."""
    pairs: list[tuple[str, str]] = []
    try:
        tag, at, end = read_element(der, 0)
        if tag != _SEQUENCE or end != len(der):
            raise PolicyFault("unreadable policy mappings")
        while at < end:
            _limit(len(pairs))
            _, first, after = read_element(der, at)
            _, _, second = read_element(der, first)
            pairs.append((_oid(der[first:second]), _oid(der[second:after])))
            at = after
    except (ValueError, IndexError):
        raise PolicyFault("unreadable policy mappings") from None
    return tuple(pairs)


def _oid(der: bytes) -> str:
    return str(core.ObjectIdentifier.load(der, strict=True).dotted)


def _limit(count: int) -> None:
    if count > MAX_POLICIES:
        raise PolicyFault(f"more than {MAX_POLICIES} certificate policies")


def _least(count: int, skip: int | None) -> int:
    return count if skip is None else min(count, skip)
