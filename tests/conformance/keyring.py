"""All private keys of the collections, imported as `inspect --key` imports them.

RFC 7468 (PEM), RFC 5958. A key that is refused is counted under the reason given.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from smime_proxy.certs.errors import KeyFileError
from smime_proxy.certs.pem import pem_blocks
from smime_proxy.certs.pkcs12 import read_key_file
from smime_proxy.cms.certificate_fields import read_certificate
from smime_proxy.cms.decrypt import DecryptionKey, PrivateKey


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys, each once, from how many files, and why others were refused.

    `certificates` are those of all key files, by issuer and serial number, as a store has them.
    """

    keys: tuple[DecryptionKey, ...]
    files: int
    refused: Counter[str]
    certificates: Mapping[tuple[bytes, int], bytes]

    def known(self, issuer: bytes, serial: int) -> tuple[bytes, ...]:
        """Give certificates for signatures that bring none (E58)."""
        found = self.certificates.get((issuer, serial))
        return () if found is None else (found,)


def read_keyring(root: Path) -> Keyring:
    """Read each `_keys/NN.key.pem` together with its certificate."""
    found: dict[tuple[bytes, int, bytes | None], DecryptionKey] = {}
    refused: Counter[str] = Counter()
    certificates: dict[tuple[bytes, int], bytes] = {}
    files = sorted(root.glob("*/_keys/*.key.pem"))
    for path in files:
        raw = path.with_name(path.name.replace(".key.", ".crt.")).read_bytes()
        der = next(pem_blocks(raw)).decode()
        fields = read_certificate(der)
        certificates[fields.issuer, fields.serial] = der
        try:
            pairs = read_key_file(raw + path.read_bytes(), None).pairs
        except KeyFileError as error:
            refused[str(error)] += 1
            continue
        for pair in pairs:
            if isinstance(pair.private_key, PrivateKey):  # others only sign
                key = DecryptionKey.build(pair.private_key, pair.certificate.der)
                found[key.issuer_der, key.serial, key.ski] = key
    return Keyring(tuple(found.values()), len(files), refused, certificates)
