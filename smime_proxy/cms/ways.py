"""By which digest and which scheme a signerInfo says it was signed, as far as that can count.

RFC 5652 5.3, RFC 5754 2 and 3, RFC 4056 3, RFC 8419 3.1, RFC 9882 3.3.
"""

from typing import NamedTuple

from smime_proxy.cms import algorithms
from smime_proxy.cms.algorithms import Digest, KeyKind, SignatureAlgorithm, Strength
from smime_proxy.cms.errors import CmsError, UnsupportedAlgorithm
from smime_proxy.cms.pss import PssParameters, read_pss_parameters
from smime_proxy.cms.signature import fits
from smime_proxy.cms.signed_data import SignerInfo


class Way(NamedTuple):
    """How a signature may have been made: over octets themselves where `digest` is None."""

    kind: KeyKind
    digest: Digest | None
    pss: PssParameters | None = None


def content_digest(signer: SignerInfo) -> Digest | None:
    """The digest of the content; None where the key signed the content itself.

    EdDSA and ML-DSA do so without signed attributes, and what is named is not looked at. Raises
    UnsupportedAlgorithm, and CmsError for a digest that binds nobody.
    """
    algorithm = algorithms.SIGNATURES.get(signer.signature_algorithm)
    signs_octets = (
        algorithm is not None and algorithm.key is not None and algorithm.key.signs_octets
    )
    if signer.signed_attributes is None and signs_octets:
        return None
    digest = algorithms.read_digest(signer.digest, signer.digest_parameters)
    if digest is None:
        raise UnsupportedAlgorithm(signer.digest, "unsupported digest")
    return _binding(digest)


def ways(signer: SignerInfo, digest: Digest | None) -> list[Way]:
    """How the signature may have been made, `digest` the content's; never empty.

    Raises UnsupportedAlgorithm, and CmsError for what no signature may be made by.
    """
    algorithm = algorithms.SIGNATURES.get(signer.signature_algorithm)
    if algorithm is None or algorithm.key is None:
        name = algorithms.signature_name(signer.signature_algorithm)
        raise UnsupportedAlgorithm(name, "unsupported signature algorithm")
    if digest is None or algorithm.key.signs_octets:
        return [Way(algorithm.key, None)]
    if algorithm.oid == algorithms.RSASSA_PSS:
        return [Way(algorithm.key, digest, _pss(signer, digest))]
    return _of_digests(algorithm, algorithm.key, digest)


def _of_digests(algorithm: SignatureAlgorithm, kind: KeyKind, digest: Digest) -> list[Way]:
    # The algorithm's own digest, then the signer's, for those who mislabel.
    own = _binding(algorithms.DIGESTS_BY_NAME.get(algorithm.digest, digest))
    digests = [own] if own is digest else [own, digest]
    fitting = [Way(kind, one) for one in digests if fits(kind, one)]
    if not fitting:
        raise UnsupportedAlgorithm(own.name, f"unsupported digest for {algorithm.name}")
    return fitting


def _pss(signer: SignerInfo, digest: Digest) -> PssParameters:
    parameters = read_pss_parameters(signer.signature_parameters)
    # RFC 4056 3 makes them the same; OpenSSL refuses others too.
    if parameters.digest is not digest:
        raise CmsError(f"RSASSA-PSS with {parameters.digest.name} over a {digest.name} digest")
    return parameters


def _binding(digest: Digest) -> Digest:
    if digest.strength is Strength.BROKEN:
        raise CmsError(f"weak digest {digest.name}")
    return digest
