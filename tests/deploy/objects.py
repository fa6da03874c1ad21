"""Kubernetes objects as tests read them: held against the API, and what a pod is made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import yaml

from smime_proxy.settings import Settings, load

Object = dict[str, Any]

OLDEST = "1.30"  # preStop.sleep without a feature gate; docs/kubernetes.md and Chart.yaml say it
VERSIONS = (OLDEST, "1.37")
NAME = "smime-proxy"
# What Kubernetes sets in pods for a Service named smime-proxy, unless enableServiceLinks is false.
SERVICE_LINKS = {
    "SMIME_PROXY_SERVICE_HOST": "10.96.12.7",
    "SMIME_PROXY_SERVICE_PORT": "587",
    "SMIME_PROXY_SERVICE_PORT_MAIL": "587",
    "SMIME_PROXY_PORT": "tcp://10.96.12.7:587",
    "SMIME_PROXY_PORT_587_TCP": "tcp://10.96.12.7:587",
    "SMIME_PROXY_PORT_587_TCP_ADDR": "10.96.12.7",
    "SMIME_PROXY_PORT_587_TCP_PORT": "587",
    "SMIME_PROXY_PORT_587_TCP_PROTO": "tcp",
}


def read(text: str) -> list[Object]:
    """Read a stream of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]


def faults(found: Object) -> list[str]:
    """Hold an object against the schemas of the API; fields it does not know are faults."""
    told = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(found, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(str(part) for part in error.path)
            told.append(f"{version} {found['kind']} {path}: {error.message[:200]}")
    return told


@dataclass(frozen=True)
class Rendering:
    """All objects of one use, and the pod our container is in."""

    objects: tuple[Object, ...]
    pod: Object  # metadata and spec
    settings_name: str

    @property
    def spec(self) -> Object:
        return cast("Object", self.pod["spec"])

    @property
    def container(self) -> Object:
        """The container that serves, as a sidecar too."""
        return next(one for one in self.containers() if one["args"] == ["serve"])

    def containers(self) -> list[Object]:
        """Give all of ours."""
        every = [*self.spec.get("initContainers", []), *self.spec["containers"]]
        return [one for one in every if one.get("command") == [NAME]]

    def kind(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one["kind"] == kind]

    def toml(self) -> str:
        """Give the settings file of the ConfigMap that the pod mounts."""
        (found,) = (
            one for one in self.kind("ConfigMap") if one["metadata"]["name"] == self.settings_name
        )
        return cast("str", found["data"]["smime-proxy.toml"])

    def settings(self, folder: Path) -> Settings:
        """Load them as the program would, in a pod with a Service of our name."""
        file = folder / "smime-proxy.toml"
        file.write_text(self.toml(), encoding="utf-8")
        given = {one["name"]: one["value"] for one in self.container.get("env", [])}
        return load(file, SERVICE_LINKS | given)

    def port(self, name: str) -> int | None:
        """Give the number of a named port of the container."""
        ports = {one["name"]: one["containerPort"] for one in self.container["ports"]}
        return cast("int | None", ports.get(name))

    def mounts(self) -> dict[str, Object]:
        """Give the volumes of the container that serves, by the path they are mounted at."""
        volumes = {one["name"]: one for one in self.spec["volumes"]}
        return {one["mountPath"]: volumes[one["name"]] for one in self.container["volumeMounts"]}


def rendering(objects: list[Object]) -> Rendering:
    """Find our pod among the objects of a use."""
    (pod,) = (one["spec"]["template"] for one in objects if one["kind"] == "Deployment")
    found = Rendering(tuple(objects), pod, "")
    return Rendering(found.objects, pod, found.mounts()["/etc/smime-proxy"]["configMap"]["name"])


def selectors(one: Object) -> Iterator[dict[str, str]]:
    """Give the labels by which an object chooses our pods."""
    spec = one.get("spec", {})
    match one["kind"]:
        case "Service":
            yield spec["selector"]
        case "NetworkPolicy":
            yield spec["podSelector"]["matchLabels"]
        case "PodDisruptionBudget":
            yield spec["selector"]["matchLabels"]
        case "Deployment":
            yield spec["selector"]["matchLabels"]
            for spread in spec["template"]["spec"].get("topologySpreadConstraints", []):
                yield spread["labelSelector"]["matchLabels"]
