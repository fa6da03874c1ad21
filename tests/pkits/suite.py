"""Runs the cases over the certificates of the suite, and says where we differ, and why.

RFC 5280 6.1; the suite's certificates are of 2001 and valid until 2011.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from smime_proxy.certs.anchors import Anchor
from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.ocsp import OcspAnswer
from smime_proxy.certs.path import ChainStatus, Purpose, validate
from smime_proxy.certs.pool import Issuers, Pool
from smime_proxy.certs.revocation import Revocation
from smime_proxy.certs.revocation_list import Crl
from smime_proxy.certs.revocation_mode import Mode
from tests.pkits.cases import TRUST_ANCHOR, Case, cases, is_end_entity

AT = datetime(2005, 1, 1, tzinfo=UTC)
# Why we differ, by the name of the case.
_EXPLANATIONS = {
    "ValidDSAParameterInheritanceTest5EE": "a DSA key that takes its parameters from its issuer is"
    " not read, so nobody is trusted by it",
}


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of the suite by the key of their issuer's name, and for everybody those of others.

    An indirect list is about certificates of several issuers, so all of these are offered.
    """

    by_issuer: Mapping[bytes, Sequence[Crl]]
    indirect: Sequence[Crl]

    @classmethod
    def of(cls, folder: Path) -> "Lists":
        """Read all lists of a folder."""
        found: defaultdict[bytes, list[Crl]] = defaultdict(list)
        for path in sorted(folder.glob("*.crl")):
            crl = Crl.from_der(path.read_bytes())
            found[crl.issuer_key].append(crl)
        indirect = [crl for some in found.values() for crl in some if crl.is_indirect]
        return cls(dict(found), indirect)

    @property
    def version(self) -> int:
        return 0

    def lists(self, certificate: Certificate, _issuer: Certificate) -> Sequence[Crl]:
        own = self.by_issuer.get(certificate.issuer_key, ())
        return list(dict.fromkeys((*own, *self.indirect)))

    def ocsp(self, _certificate: Certificate, _issuer: Certificate) -> Sequence[OcspAnswer]:
        return ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What we said of a case, and why if it is not what was expected."""

    case: Case
    valid: bool
    reason: str

    @property
    def agrees(self) -> bool:
        """Tell whether it is what was expected."""
        return self.valid is self.case.valid

    @property
    def explanation(self) -> str:
        """Say why we differ, ``""`` when nothing explains it."""
        return _EXPLANATIONS.get(self.case.name, "")


def run(folder: Path) -> tuple[Outcome, ...]:
    """Run all cases; `folder` holds `certs` of the suite."""
    files = {path.stem: path for path in sorted((folder / "certs").glob("*.crt"))}
    known = dict(_readable(files))
    anchor = Anchor(known[TRUST_ANCHOR])
    issuers = [certificate for name, certificate in known.items() if not is_end_entity(name)]
    pool = Issuers.of(issuers)
    revocation = Revocation(Mode.HARD, Lists.of(folder / "crls"))
    return tuple(_judge(case, known, pool, anchor, revocation) for case in cases(files))


def _readable(files: Mapping[str, Path]) -> Iterator[tuple[str, Certificate]]:
    for name, path in files.items():
        try:
            yield name, Certificate.from_der(path.read_bytes())
        except CertificateError:
            continue


def _judge(
    case: Case,
    known: Mapping[str, Certificate],
    pool: Issuers,
    anchor: Anchor,
    revocation: Revocation,
) -> Outcome:
    leaf = known.get(case.name)
    if leaf is None:
        return Outcome(case, valid=False, reason="not a readable certificate")
    found = validate(
        leaf,
        Pool.of((), pool),
        [anchor],
        AT,
        purpose=Purpose.SIGN,
        profile=case.profile,
        revocation=revocation,
    )
    return Outcome(case, found.status is ChainStatus.TRUSTED, found.reason)
