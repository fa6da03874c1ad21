"""Every PKCS #12 file of the collections imported with its password.

RFC 7292; files of NSS, Windows, macOS, GnuTLS, gpgsm and OpenSSL, old and new, are among them.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smime_proxy.certs.errors import KeyFileError
from smime_proxy.certs.pkcs12 import read_key_file
from tests.conformance.facts import HERE

SUFFIXES = ("*.p12", "*.pfx")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file, its password, and how it is to be refused, with the reason; empty: imported."""

    file: str
    password: str
    refused: str
    why: str


def listed() -> Iterator[KeyFile]:
    """Give what `key_files.toml` says."""
    read = tomllib.loads((HERE / "key_files.toml").read_text(encoding="utf-8"))
    for row in read["passwords"]:
        for file in row["files"]:
            yield KeyFile(file, row["password"], row.get("refused", ""), row.get("why", ""))


def present(root: Path) -> set[str]:
    """Give the files there are."""
    return {str(path.relative_to(root)) for suffix in SUFFIXES for path in root.rglob(suffix)}


def refusal(root: Path, key_file: KeyFile) -> str:
    """Import a file; give what is said against it, or an empty text."""
    try:
        read_key_file((root / key_file.file).read_bytes(), key_file.password.encode() or None)
    except KeyFileError as error:
        return str(error)
    return ""
