"""A token for tests: SoftHSM in a directory of its own, which can go away and come back."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11 import Attribute, MechanismFlag
from pkcs11.util.ec import decode_ec_private_key
from pkcs11.util.rsa import decode_rsa_private_key

from smime_proxy.tokens.source import TokenKeys
from smime_proxy.tokens.token import Token
from tests.peers import require
from tests.pki import PrivateKey

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
LABEL, PIN = "smime-proxy-test", "canary-of-the-token"
_SETTINGS = "SOFTHSM2_CONF"


@dataclass(frozen=True)
class SoftHsm:
    """A token with the tools that put keys onto it."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find the token."""
        return {_SETTINGS: str(self.folder / "softhsm2.conf")}

    def toml(self) -> str:
        """Write the table of the settings file that names it."""
        pin = self.folder / "pin"
        pin.write_text(f"{PIN}\n")
        return f'[pkcs11]\nmodule = "{MODULE}"\ntoken = "{LABEL}"\npin_file = "{pin}"\n'

    def open(self, pin: str = PIN) -> TokenKeys:
        """Open it in this process."""
        return TokenKeys(Token(MODULE, LABEL, pin))

    def put(self, key: PrivateKey, label: str, usage: MechanismFlag) -> str:
        """Put a private key there with these rights and no others; gives its URI."""
        der = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        template = (
            decode_rsa_private_key(der)
            if isinstance(key, rsa.RSAPrivateKey)
            else decode_ec_private_key(der)
        )
        library = pkcs11.lib(str(MODULE))
        library.reinitialize()
        with library.get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            template |= {Attribute.LABEL: label, Attribute.TOKEN: True, Attribute.PRIVATE: True}
            session.create_object(
                template
                | {
                    Attribute.SIGN: bool(usage & MechanismFlag.SIGN),
                    Attribute.DECRYPT: bool(usage & MechanismFlag.DECRYPT),
                    Attribute.DERIVE: bool(usage & MechanismFlag.DERIVE),
                    Attribute.UNWRAP: bool(usage & MechanismFlag.UNWRAP),
                }
            )
        return f"pkcs11:token={LABEL};object={label}"

    def make_master_key(self, label: str) -> str:
        """Make an AES key there; gives its URI."""
        self._tool("--keygen", "--key-type", "AES:32", "--label", label)
        return f"pkcs11:token={LABEL};object={label}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the token away for a while."""
        here, gone = self.folder / "tokens", self.folder / "gone"
        here.rename(gone)
        try:
            yield
        finally:
            gone.rename(here)

    def _tool(self, *arguments: str) -> None:
        line = ["pkcs11-tool", "--module", str(MODULE), "--token-label", LABEL, "--login"]
        self._run([*line, "--pin", PIN, *arguments])

    def _run(self, line: list[str]) -> None:
        done = subprocess.run(
            line,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def present(folder: Path) -> Iterator[SoftHsm]:
    """Make an empty token in an empty folder, found by this process and those it starts."""
    made = make(folder)
    before = os.environ.get(_SETTINGS)
    os.environ.update(made.environment)  # read when a process begins to use the module
    try:
        yield made
    finally:
        del os.environ[_SETTINGS]
        if before is not None:
            os.environ[_SETTINGS] = before


def make(folder: Path) -> SoftHsm:
    """Make an empty token in an empty folder."""
    require("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    hsm = SoftHsm(folder)
    so_pin = ["--so-pin", "12345678", "--pin", PIN]
    hsm._run(["softhsm2-util", "--init-token", "--free", "--label", LABEL, *so_pin])
    return hsm
