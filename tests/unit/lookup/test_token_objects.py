"""The reader of PKCS #11 modules on modules nobody here wrote, and on files that are none."""

import json
import subprocess
import sys
from ctypes.util import find_library

import pytest

from smime_proxy.lookup import token_objects
from tests.peers import require

NSS_MODULE = "libnssckbi.so"


def read(module: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", token_objects.__file__, module]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)


def test_nss_gives_a_trust_object_for_every_certificate() -> None:
    require("nss-roots")
    done = read(NSS_MODULE)
    assert (done.returncode, done.stderr) == (0, "")
    about, *objects = map(json.loads, done.stdout.splitlines())
    assert about["kind"] == "module"
    assert about["manufacturer"] == "Mozilla Foundation"
    assert about["version"].split(".")[0].isdigit()
    certificates = [one for one in objects if one["kind"] == "certificate"]
    trusts = [one for one in objects if one["kind"] in {"trust", "nss-trust"}]
    assert len(certificates) > 50
    assert len(trusts) >= len(certificates)
    assert {len(one["email"]) for one in trusts} == {16}  # CK_ULONG in hexadecimal
    assert all(one["der"].startswith("30") for one in certificates)


def test_another_programs_token_is_read_or_refused_in_one_line() -> None:
    """SoftHSM's slots take no session before they are initialized."""
    require("softhsm")
    done = read("/usr/lib/softhsm/libsofthsm2.so")
    assert json.loads(done.stdout.splitlines()[0])["manufacturer"] == "SoftHSM"
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["/etc/passwd", "/nonexistent.so", find_library("c") or ""])
def test_what_is_no_module_is_refused_in_one_line(module: str) -> None:
    done = read(module)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
