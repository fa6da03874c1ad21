"""What a path is held against besides RFC 5280: the use of mail, strength, and policies asked for.

RFC 5280 6.1.1 (inputs of path validation), RFC 8550 4.4 (S/MIME).
"""

from dataclasses import dataclass

ANY_POLICY = "2.5.29.32.0"  # RFC 5280 4.2.1.4


@dataclass(frozen=True, slots=True)
class Profile:
    """The inputs of RFC 5280 6.1.1 that are not the path, the time and the anchor.

    `for_mail` asks for what S/MIME asks of issuers and end entities; `unsafe_weak` lets keys and
    digests pass that anybody may forge: for test suites of their time only. `policies` is the
    user-initial-policy-set.
    """

    for_mail: bool = True
    unsafe_weak: bool = False
    policies: frozenset[str] = frozenset({ANY_POLICY})
    explicit_policy: bool = False
    inhibit_mapping: bool = False
    inhibit_any_policy: bool = False


MAIL = Profile()
