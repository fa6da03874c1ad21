"""The overlays of deploy/kubernetes, rendered by kubectl and held against API and settings."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from smime_proxy import __version__
from tests.deploy import checks
from tests.deploy.objects import NAME, Rendering, faults, read, rendering

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUBECTL = Path(sys.executable).with_name("kubectl")
USES = ("relay", "mx", "sidecar")


def kustomize(folder: Path) -> str:
    """Build a kustomization."""
    line = [str(KUBECTL), "kustomize", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rendered() -> Mapping[str, Rendering]:
    return {use: rendering(read(kustomize(FOLDER / "overlays" / use))) for use in USES}


@pytest.mark.parametrize("use", USES)
def test_the_api_knows_every_field(rendered: Mapping[str, Rendering], use: str) -> None:
    assert [fault for one in rendered[use].objects for fault in faults(one)] == []


@pytest.mark.parametrize("use", USES)
def test_settings_load_and_fit_the_objects_around_them(
    rendered: Mapping[str, Rendering], use: str, tmp_path: Path
) -> None:
    settings = rendered[use].settings(tmp_path)
    assert settings.accounts
    assert checks.all_faults(rendered[use], settings) == []


def test_a_field_the_api_does_not_know_is_found(rendered: Mapping[str, Rendering]) -> None:
    (service,) = rendered["relay"].kind("Service")
    told = faults(service | {"spec": service["spec"] | {"sessionAfinity": "ClientIP"}})
    assert len(told) == 2
    assert all("sessionAfinity" in one for one in told)


@pytest.mark.parametrize("use", USES)
def test_the_image_is_ours_in_this_version(rendered: Mapping[str, Rendering], use: str) -> None:
    for one in rendered[use].containers():
        assert one["image"].rpartition("/")[2] == f"{NAME}:{__version__}"


def test_image_user_and_command_are_those_of_the_dockerfile(
    rendered: Mapping[str, Rendering],
) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f'org.opencontainers.image.title="{NAME}"' in dockerfile
    assert f'ENTRYPOINT ["{NAME}"]\n' in dockerfile
    (user,) = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    for use in USES:
        for one in rendered[use].containers():
            context = rendered[use].spec.get("securityContext", {}) | one["securityContext"]
            assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user


def test_a_sidecar_starts_before_the_application_and_is_its_pod_s_alone(
    rendered: Mapping[str, Rendering],
) -> None:
    found = rendered["sidecar"]
    assert found.container in found.spec["initContainers"]
    assert found.container["restartPolicy"] == "Always"
    assert found.container["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert found.kind("Service") == []
    (application,) = found.spec["containers"]
    assert {"name": "SMTP_URL", "value": "smtp://127.0.0.1:2525"} in application["env"]
    assert "volumeMounts" not in application  # the keys are not its


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job"])
def test_a_label_puts_the_sidecar_before_all_else(kind: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "components", tmp_path / "components")
    names = [{"name": name, "image": name} for name in ("migrate", "app")]
    spec = {"template": {"spec": {"initContainers": names[:1], "containers": names[1:]}}}
    labels = {"name": "app", "labels": {"smime-proxy.sidecar": "true"}}
    workload = {"apiVersion": "apps/v1", "kind": kind, "spec": spec, "metadata": labels}
    other = workload | {"metadata": {"name": "other"}}
    (tmp_path / "workloads.yaml").write_text(yaml.safe_dump_all([workload, other]))
    kustomization = {"resources": ["workloads.yaml"], "components": ["components/sidecar"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    found = {one["metadata"]["name"]: one for one in read(kustomize(tmp_path))}
    assert found["other"] == other
    pod = found["app"]["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == [NAME, "migrate"]
    assert [one["name"] for one in pod["containers"]] == ["app"]


def test_only_one_pod_of_a_relay_goes_at_a_time(rendered: Mapping[str, Rendering]) -> None:
    (budget,) = rendered["relay"].kind("PodDisruptionBudget")
    (deployment,) = rendered["relay"].kind("Deployment")
    assert deployment["spec"]["replicas"] > budget["spec"]["minAvailable"] >= 1
    topologies = [one["topologyKey"] for one in rendered["relay"].spec["topologySpreadConstraints"]]
    assert topologies == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_no_two_pods_share_the_volume_of_an_mx(rendered: Mapping[str, Rendering]) -> None:
    (deployment,) = rendered["mx"].kind("Deployment")
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (
        1,
        {"type": "Recreate"},
    )
    (claim,) = rendered["mx"].kind("PersistentVolumeClaim")
    volume = rendered["mx"].mounts()["/var/lib/smime-proxy"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_a_sidecar_is_held_as_close_as_the_other_pods(rendered: Mapping[str, Rendering]) -> None:
    alike = ("command", "args", "livenessProbe", "readinessProbe", "startupProbe")
    sidecar, relay = (rendered[use].container for use in ("sidecar", "relay"))
    for key in alike:
        assert str(sidecar[key]).replace("smime-status", "status") == str(relay[key])


def test_other_uses_can_live_in_one_namespace(rendered: Mapping[str, Rendering]) -> None:
    names = [
        (one["kind"], one["metadata"]["name"]) for use in USES for one in rendered[use].objects
    ]
    assert len(names) == len(set(names))


def test_no_secret_is_shipped(rendered: Mapping[str, Rendering]) -> None:
    assert [one for use in USES for one in rendered[use].kind("Secret")] == []


@pytest.mark.parametrize("use", USES)
def test_new_settings_make_new_pods(use: str, rendered: Mapping[str, Rendering]) -> None:
    settings_file = FOLDER / "overlays" / use / "smime-proxy.toml"
    assert rendered[use].toml() == settings_file.read_text(encoding="utf-8")
    plain = f"{NAME}-settings" if use == "sidecar" else f"{NAME}-settings-{use}"
    assert rendered[use].settings_name.startswith(f"{plain}-")  # and a hash of what is in it


def test_every_file_is_used() -> None:
    named: set[Path] = set()
    for file in FOLDER.rglob("kustomization.yaml"):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = [*document.get("resources", []), *document.get("components", [])]
        found += [one["path"] for one in document.get("patches", [])]
        found += [name for one in document.get("configMapGenerator", []) for name in one["files"]]
        named |= {(file.parent / name).resolve() for name in found} | {file}
    assert {file for file in FOLDER.rglob("*") if file.is_file()} - named == set()
