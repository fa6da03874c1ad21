"""What docs/kubernetes.md and docs/dovecot.md tell to do is done, and what they say is so."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from smime_proxy.settings import load
from tests.deploy.helm import CHART, Request, render
from tests.deploy.objects import read, rendering
from tests.deploy.pods import place, put, run
from tests.deploy.test_kubernetes import FOLDER, KUBECTL, ROOT, kustomize
from tests.peers import require
from tests.tls_files import make_tls_files

KUBERNETES, DOVECOT = (ROOT / "docs" / f"{name}.md" for name in ("kubernetes", "dovecot"))
SECTIONS = {"sidecar": "## Sidecar", "relay": "## Relay", "mx": "## MX hook"}


def blocks(page: Path, language: str, below: str = "") -> list[str]:
    """Give the code of a page in one language, below a heading where one is named."""
    text = page.read_text(encoding="utf-8")
    if below:
        text = text[text.index(f"\n{below}") + 1 :].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_a_trial_key_is_made_and_taken_as_described(tmp_path: Path) -> None:
    require("openssl")
    (script,) = blocks(KUBERNETES, "sh", "## Before the first")
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True, capture_output=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "keys").iterdir()}
    sidecar = place(rendering(read(kustomize(FOLDER / "overlays" / "sidecar"))), tmp_path, {})
    put(tmp_path / "mounts" / "keys", files | {"relay.password": b"hush\n"})
    code, _, said = run(sidecar, "check-config")
    assert (code, said) == (0, "")
    assert "invoices@example.com" in run(sidecar, "account", "list")[1]


@pytest.mark.parametrize("use", SECTIONS)
def test_what_is_created_by_hand_is_what_the_pods_mount(use: str, tmp_path: Path) -> None:
    found = rendering(read(kustomize(FOLDER / "overlays" / use)))
    wanted = {
        volume["secret"]["secretName"] for volume in found.spec["volumes"] if "secret" in volume
    }
    wanted |= {
        volume["configMap"]["name"] for volume in found.spec["volumes"] if "configMap" in volume
    } - {found.settings_name}
    (script,) = blocks(KUBERNETES, "sh", SECTIONS[use])
    assert f"apply -k deploy/kubernetes/overlays/{use}\n" in script
    (tmp_path / "keys").mkdir()
    pair = make_tls_files(tmp_path)
    pair.certificate.rename(tmp_path / "tls.pem")
    pair.key.rename(tmp_path / "tls.key")
    (tmp_path / "keys" / "invoices.p12").touch()
    (tmp_path / "anchors.pem").touch()
    created = [created_by(line, tmp_path) for line in script.splitlines() if " create " in line]
    assert {one["metadata"]["name"] for one in created} == wanted
    services = {one["metadata"]["name"] for one in found.kind("Service")}
    assert set(re.findall(r"service/(\S+)", script)) == services


def created_by(line: str, folder: Path) -> dict[str, dict[str, str]]:
    """Give the object a `kubectl create` makes, for a cluster that is not here."""
    done = subprocess.run(
        [KUBECTL, *line.split()[1:], "--dry-run=client", "--output=yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, str]] = yaml.safe_load(done.stdout)
    return found


def test_values_of_the_page_install() -> None:
    (values,) = (yaml.safe_load(text) for text in blocks(KUBERNETES, "yaml", "## Helm"))
    (answer,) = render([Request(str(CHART), values)])
    assert answer.refusal == ""


def test_settings_for_dovecot_load(tmp_path: Path) -> None:
    (text,) = blocks(DOVECOT, "toml")
    file = tmp_path / "smime-proxy.toml"
    file.write_text(text)
    settings = load(file, {})
    port = settings.upstreams["mailstore"].url.port
    assert f"port = {port}\n" in (ROOT / "deploy/dovecot/smime-proxy.conf").read_text()


def test_files_named_for_dovecot_are_there() -> None:
    (script,) = blocks(DOVECOT, "sh")
    named = re.findall(r"deploy/\S+", script)
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert len(named) == 2


def test_the_table_of_flags_is_that_of_the_script() -> None:
    rows = re.findall(r"^\|(.*)\| `(\w+)` \| (.*) \|$", DOVECOT.read_text(), re.MULTILINE)
    described = [(value, re.findall(r"`(\S+)`", flags)) for _field, value, flags in rows]
    script = (ROOT / "deploy/dovecot/smime-proxy.sieve").read_text()
    rules = re.findall(r'"(green|yellow|red)" \{[^}]*?addflag ([^;]+);', script)
    done = [(value, re.findall(r'"([^"]+)"', flags)) for value, flags in rules]
    assert described == [
        (value, [flag.replace("\\\\", "\\") for flag in flags]) for value, flags in done
    ]
    assert len(done) == 6
