"""Runs the cases over the certificates of the suite, and says where we differ, and why.

RFC 5280 6.1; the suite's certificates are of 2001 and valid until 2011.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from smime_proxy.certs.certificate import Certificate
from smime_proxy.certs.errors import CertificateError
from smime_proxy.certs.path import Anchor, ChainStatus, Purpose, validate
from tests.pkits.cases import TRUST_ANCHOR, Case, cases, is_end_entity

AT = datetime(2005, 1, 1, tzinfo=UTC)
_INHERITED = "a DSA key that takes its parameters from its issuer is not read, so nobody is trusted"
_NO_STATUS = "refused for what a CRL says or does not say, which the path alone cannot tell"
# Sections whose cases ask for CRLs; of 4.5 and 4.7 those that are about who signs them.
_BY_CRL = frozenset({"4.4", "4.14", "4.15"})
_BY_CRL_TOO = frozenset(
    {
        "InvalidBasicSelfIssuedOldWithNewTest2EE",
        "InvalidBasicSelfIssuedNewWithOldTest5EE",
        "InvalidBasicSelfIssuedCRLSigningKeyTest7EE",
        "InvalidkeyUsageCriticalcRLSignFalseTest4EE",
        "InvalidkeyUsageNotCriticalcRLSignFalseTest5EE",
    }
)


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
        if self.case.name == "ValidDSAParameterInheritanceTest5EE":
            return _INHERITED
        by_crl = self.case.section in _BY_CRL or self.case.name in _BY_CRL_TOO
        return _NO_STATUS if by_crl and not self.case.valid else ""


def run(folder: Path) -> tuple[Outcome, ...]:
    """Run all cases; `folder` holds `certs` of the suite."""
    files = {path.stem: path for path in sorted((folder / "certs").glob("*.crt"))}
    known = dict(_readable(files))
    anchor = Anchor(known[TRUST_ANCHOR])
    pool = [certificate for name, certificate in known.items() if not is_end_entity(name)]
    return tuple(_judge(case, known, pool, anchor) for case in cases(files))


def _readable(files: Mapping[str, Path]) -> Iterator[tuple[str, Certificate]]:
    for name, path in files.items():
        try:
            yield name, Certificate.from_der(path.read_bytes())
        except CertificateError:
            continue


def _judge(
    case: Case, known: Mapping[str, Certificate], pool: list[Certificate], anchor: Anchor
) -> Outcome:
    leaf = known.get(case.name)
    if leaf is None:
        return Outcome(case, valid=False, reason="not a readable certificate")
    found = validate(leaf, pool, [anchor], AT, purpose=Purpose.SIGN, profile=case.profile)
    return Outcome(case, found.status is ChainStatus.TRUSTED, found.reason)
