"""Sum the layers of a message up: one signature result, badge, lock, and what encryption was.

RFC 8601 2.7.1 and RFC 7281 (result words); verdicts V1-V30; the contract's first row that fits.
"""

from dataclasses import dataclass

from smime_proxy.cms.algorithms import Strength
from smime_proxy.cms.ciphers import cipher_strength
from smime_proxy.smime.classify import ENCRYPTED, Protection
from smime_proxy.smime.layers import Layer
from smime_proxy.smime.verify import Signer

_SIGNED = frozenset({Protection.CLEAR_SIGNED, Protection.SIGNED_DATA})
PASSED = "pass"
# Worst first; what several signatures of a message come to (E17: all must hold).
_ORDER = ("fail", "neutral", "permerror", "temperror", "policy", PASSED)
_BADGES = {"none": "none", "fail": "red", PASSED: "green"}
AROUND_CIPHERTEXT = "the signature is only around a ciphertext"


@dataclass(frozen=True, slots=True)
class Report:
    """What the recipient is told. `signature` is an RFC 8601 word, `reason` one short line.

    `signer` is the signature the result rests on. `encryption`: decrypted, undecryptable, none.
    `doubt` is what keeps even a good signature from `pass`.
    """

    layers: tuple[Layer, ...]
    signature: str
    reason: str
    signer: Signer | None
    badge: str
    encryption: str
    algorithm: str
    authenticated: bool
    lock: str
    doubt: str = ""


def summarise(layers: tuple[Layer, ...], *, doubt: str = "", remark: str = "") -> Report:
    """Sum up; a message without S/MIME has no layers and gives `none` everywhere.

    `doubt` is what keeps even a good signature from `pass`, `remark` is only told.
    """
    whole = tuple(layer for layer in layers if not layer.partial)
    signature, reason, signer = _signature(whole)
    if doubt and signature == PASSED:
        signature = "policy"
    reason = reason or doubt or remark
    ciphertexts = [layer for layer in whole if layer.protection in ENCRYPTED]
    encryption, lock = _encryption(ciphertexts)
    last = ciphertexts[-1].enveloped if ciphertexts else None
    return Report(
        layers,
        signature,
        reason,
        signer,
        _BADGES.get(signature, "yellow"),
        encryption,
        last.content_encryption if last else "",
        last is not None and last.authenticated and encryption == "decrypted",
        lock,
        doubt,
    )


def _signature(layers: tuple[Layer, ...]) -> tuple[str, str, Signer | None]:
    last_ciphertext = max(
        (number for number, layer in enumerate(layers) if layer.protection in ENCRYPTED),
        default=-1,
    )
    outer = _worst(layers[: last_ciphertext + 1])
    inner = _worst(layers[last_ciphertext + 1 :])
    if inner[0] == "none":
        # V18: whoever signs a ciphertext need not know, let alone have written, what is in it.
        if outer[0] == PASSED:
            return "policy", AROUND_CIPHERTEXT, outer[2]
        return outer
    if outer[0] == "fail":
        return outer  # one broken signature is a broken signature, whatever is below it
    return inner


def _worst(layers: tuple[Layer, ...]) -> tuple[str, str, Signer | None]:
    found: list[tuple[str, str, Signer | None]] = []
    for layer in layers:
        if layer.protection is Protection.MALFORMED or (
            layer.protection in _SIGNED and not layer.signers
        ):
            found.append(("neutral", layer.problem or "nobody signed", None))
        found += [(signer.result, _reason(signer), signer) for signer in layer.signers]
    if not found:
        return "none", "", None
    return min(found, key=lambda item: _ORDER.index(item[0]))


def _reason(signer: Signer) -> str:
    return signer.reasons[0] if signer.reasons else ""


def _encryption(ciphertexts: list[Layer]) -> tuple[str, str]:
    if not ciphertexts:
        return "none", "none"
    if not all(layer.decrypted for layer in ciphertexts):
        return "undecryptable", "red"
    names = [layer.enveloped.content_encryption for layer in ciphertexts if layer.enveloped]
    # Whoever breaks the weakest layer of several still has the others before him.
    strong = any(cipher_strength(name) is Strength.STRONG for name in names)
    return "decrypted", "green" if strong else "yellow"
