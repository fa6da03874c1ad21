"""Ways from a certificate to a trust anchor, looked for within a fixed budget.

RFC 4158 (path building), RFC 5280 6.1; the budget answers path bombs, where libraries hang.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.pool import MAX_SIGNATURE_CHECKS, ByName, Effort
from smime_proxy.certs.profile import MAIL, Profile
from smime_proxy.certs.signature import is_signed_by

MAX_PATH = 8  # certificates from leaf to anchor; the longest seen in mail has five


@dataclass(slots=True)
class PathSearch:
    """One search; `obstacles` collects in one line each why a way ended.

    `asked` are the names (`Certificate.subject_key`) that issuers were looked for.
    """

    anchors: ByName
    profile: Profile = MAIL
    obstacles: list[str] = field(default_factory=list)
    asked: set[bytes] = field(default_factory=set)
    effort: Effort = field(default_factory=Effort)

    def paths(self, leaf: Certificate, pool: ByName) -> Iterator[tuple[Certificate, ...]]:
        """Yield paths (leaf first, anchor last) whose signatures hold, likelier ones first.

        Nothing else is judged but strength of the issuers' keys and whether they may issue.
        """
        yield from self._extend((leaf,), pool)

    def _extend(
        self, path: tuple[Certificate, ...], pool: ByName
    ) -> Iterator[tuple[Certificate, ...]]:
        last = path[-1]
        if len(path) == MAX_PATH:
            self.obstacles.append(f"a chain of more than {MAX_PATH} certificates")
            return
        self.asked.add(last.issuer_key)
        anchored = self.anchors.named(last.issuer_key)
        named = dict.fromkeys((*anchored, *pool.named(last.issuer_key)))
        candidates = [issuer for issuer in named if issuer not in path]
        if not candidates:
            self.obstacles.append(_lack(last))
        # RFC 4158 3.5.12 and RFC 5280 4.2.1.1: the key identifier is a hint, not a condition.
        for issuer in sorted(candidates, key=lambda issuer: last.aki != issuer.ski):
            if self.effort.left <= 0:
                self.obstacles.append(f"gave up after {MAX_SIGNATURE_CHECKS} signatures")
                return
            if not self._accepts(last, issuer, anchored=issuer in anchored):
                continue
            if issuer in anchored:
                yield (*path, issuer)
            else:
                yield from self._extend((*path, issuer), pool)

    def _unfit(self, issuer: Certificate, *, anchored: bool) -> str:
        if issuer.weak_key and not self.profile.unsafe_weak:
            return issuer.weak_key
        # An anchor of version 1 has no extensions to say it in; somebody decided to trust it.
        old = issuer.version == 1 and anchored
        return "" if issuer.may_issue or old else "may not issue certificates for mail"

    def _accepts(self, child: Certificate, issuer: Certificate, *, anchored: bool) -> bool:
        # Oversized keys are not even tried: each try would cost what the attacker likes.
        unfit = self._unfit(issuer, anchored=anchored)
        if unfit:
            self.obstacles.append(f"{issuer.subject}: {unfit}")
            return False
        self.effort.spend()
        if not is_signed_by(child, issuer, unsafe_weak=self.profile.unsafe_weak):
            self.obstacles.append(
                f"the signature of {issuer.subject} over {child.subject} cannot be verified"
                + (f" ({child.weak})" if child.weak else "")
            )
            return False
        return True


def _lack(last: Certificate) -> str:
    """Say what would lead further; nothing is fetched that nobody vouches for (docs/adr/0020)."""
    issuer = last.issuer or "without a name"
    if last.is_self_signed:
        return f"no trusted issuer {issuer}"
    return (
        f"issuer certificate missing: {issuer}; neither the message nor the store has it, cert"
        " import of a file with the whole chain brings it in, or trust add"
    )
