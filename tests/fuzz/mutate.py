"""Makes a mutant of a kind out of seeds of that kind: by structure mostly, by octets sometimes."""

from collections.abc import Sequence
from random import Random

from smime_proxy.message.errors import MessageError
from smime_proxy.message.header import HeaderBlock
from smime_proxy.message.parse import parse
from smime_proxy.smime.protected_headers import protect_encrypted
from tests.fuzz import ber_tree, mail_shape, octets, seeds
from tests.fuzz.seeds import Kind

_BY_STRUCTURE = {
    Kind.MAIL: mail_shape.mutated,
    Kind.CMS: ber_tree.mutated,
    Kind.CERTIFICATE: ber_tree.mutated,
    Kind.KEY_FILE: ber_tree.mutated,
}
_STEPS = (1, 1, 1, 2, 2, 3, 5, 8)
_AMPLIFIED = 1 / 300  # of all; they cost as much as hundreds of others
_SEALED = 1 / 12  # of mail: whoever attacks can encrypt to those he writes to


def mutant(rng: Random, kind: Kind, pool: Sequence[bytes]) -> bytes:
    """Change one of the pool a few times."""
    raw = rng.choice(pool)
    for _ in range(rng.choice(_STEPS)):
        raw = _changed(rng, kind, raw, rng.choice(pool))[: octets.MAX_OCTETS]
    if kind is Kind.MAIL and rng.random() < _SEALED:
        raw = _wrapped(rng, raw)
    if rng.random() < _AMPLIFIED:
        raw = octets.amplify(rng, raw)
    return raw


def _changed(rng: Random, kind: Kind, raw: bytes, other: bytes) -> bytes:
    by_structure = _BY_STRUCTURE.get(kind)
    chance = rng.random()
    if by_structure and chance < 0.7:
        return by_structure(rng, raw, other)
    if chance < 0.8:
        words = mail_shape.WORDS if kind is Kind.MAIL else ber_tree.OIDS
        return octets.place(rng, raw, words)
    if chance < 0.85:
        return octets.splice(rng, raw, other)
    return rng.choice(octets.ANY)(rng, raw)


def _wrapped(rng: Random, raw: bytes) -> bytes:
    """Encrypt or compress what is below the header, as anyone can."""
    try:
        entity = parse(raw)
    except MessageError:
        return raw
    inside = [field for field in entity.header.fields if field.name.lower().startswith("content-")]
    body = b"".join(field.raw for field in inside) + b"\r\n" + entity.body
    outer = bytes(entity.header.remove(lambda field: field.name.lower().startswith("content-")))
    match rng.randrange(4):
        case 0:
            return outer + seeds.sealed(body)
        case 1:
            # Not what authenticated ciphertext of the seeds opens to, but only mail targets see it.
            return outer + seeds.sealed(body, "aes256_gcm")
        case 2:
            return outer + seeds.sealed(_covered(rng, body, entity.header))
        case _:
            return outer + seeds.compressed(body)


def _covered(rng: Random, body: bytes, header: HeaderBlock) -> bytes:
    """Put the whole header inside too, and change what it says there."""
    try:
        covered, _ = protect_encrypted(body, header)
    except MessageError:
        return body
    head, blank, text = covered.partition(b"\r\n\r\n")
    return mail_shape.mutated(rng, head, b"From: bob@example.test") + blank + text
