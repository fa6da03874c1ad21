"""Writes what an image holds as CycloneDX 1.6: Debian's and Python's packages, as installed.

usage: sbom.py DATABASE (dpkg's directory). CycloneDX 1.6 (ECMA-424); package URLs.
Run by the Dockerfile with the interpreter of the image.
"""

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from urllib.parse import quote

SELF = "smime-proxy"


def python_packages() -> Iterator[dict[str, object]]:
    """Yield what is installed beside this interpreter."""
    for one in distributions():
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        yield component("library", name, one.version, f"pkg:pypi/{name}@{one.version}")


def debian_packages(database: str) -> Iterator[dict[str, object]]:
    """Yield what dpkg knows to be installed; `database` is its directory."""
    line = "${binary:Package}\t${Version}\t${Architecture}\n"
    listing = subprocess.run(  # noqa: S603
        ["/usr/bin/dpkg-query", f"--admindir={database}", "--show", f"--showformat={line}"],
        capture_output=True,
        text=True,
        check=True,
    )
    system = platform.freedesktop_os_release()
    distribution = f"{system['ID']}-{system['VERSION_ID']}"
    for row in listing.stdout.splitlines():
        package, version, architecture = row.split("\t")
        name = package.partition(":")[0]
        place = f"pkg:deb/{system['ID']}/{quote(name)}@{quote(version, safe=':')}"
        url = f"{place}?arch={architecture}&distro={distribution}"
        yield component("library", name, version, url)


def component(kind: str, name: str, version: str, url: str) -> dict[str, object]:
    """Describe one package."""
    return {"type": kind, "bom-ref": url, "name": name, "version": version, "purl": url}


def bill(database: str) -> dict[str, object]:
    """Describe the image; nothing in it depends on the time it is written."""
    python = {str(one["name"]): one for one in python_packages()}
    subject = python.pop(SELF) | {"type": "application"}
    debian = {str(one["bom-ref"]): one for one in debian_packages(database)}
    parts = [*(debian[ref] for ref in sorted(debian)), *(python[name] for name in sorted(python))]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject},
        "components": parts,
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1]), indent=1))
