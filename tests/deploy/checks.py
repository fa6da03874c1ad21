"""What must hold of every use, however it was rendered; each check gives the faults it finds."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from smime_proxy.settings import Settings
from smime_proxy.smtp.service import ServiceOptions
from smime_proxy.smtp.workers import KILL_SECONDS
from tests.deploy.objects import Object, Rendering, selectors

UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
GRACE_SECONDS = ServiceOptions.__dataclass_fields__["grace"].default


def octets(quantity: str) -> int:
    """Read a quantity of the API."""
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def port_faults(found: Rendering, settings: Settings) -> Iterator[str]:
    """Hold ports of probes, Service and policy against those of the settings."""
    status = settings.status.bind
    if status is None or status.is_loopback:
        yield "the kubelet asks from outside the pod, and status is bound to the loopback"
        return
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = found.container[probe]["httpGet"]
        if found.port(asked["port"]) != status.port:
            yield f"{probe} asks port {asked['port']}, status is {status.port}"
        if asked["path"] not in {"/livez", "/readyz"}:
            yield f"{probe} asks {asked['path']}"
    if found.container["livenessProbe"]["httpGet"]["path"] != "/livez":
        yield "liveness must not ask whether it is ready"
    (listener,) = settings.listeners.values()
    exposed = None if listener.bind.is_loopback else listener.bind.port
    if found.port("mail") != exposed:
        yield f"the listener is {listener.bind}, the container's port {found.port('mail')}"
    for service in found.kind("Service"):
        for port in service["spec"]["ports"]:
            if found.port(port["targetPort"]) != listener.bind.port:
                yield f"the Service leads to {port['targetPort']}"


def policy_faults(found: Rendering, settings: Settings) -> Iterator[str]:
    """Hold the NetworkPolicy against the settings: nothing needed is closed, nothing else open."""
    for policy in found.kind("NetworkPolicy"):
        spec = policy["spec"]
        if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield "leaves one direction open"
        let_in = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
        if sorted(let_in) != sorted(one["name"] for one in found.container["ports"]):
            yield f"lets in to {let_in}, the container has {found.container['ports']}"
        if not all(rule.get("from") for rule in spec["ingress"]):
            yield "lets everybody in"
        opened = {port["port"] for rule in spec["egress"] for port in rule["ports"]}
        wanted = {53} | {one.url.port for one in settings.upstreams.values()}
        if settings.revocation.mode.value != "off":
            wanted |= {80, 443}
        if opened != wanted:
            yield f"lets out to {sorted(opened)}, and {sorted(wanted)} are needed"
        if not all(rule.get("to") for rule in spec["egress"]):
            yield "lets out to everywhere"
        yield from _peer_faults(spec)


def _peer_faults(spec: Object) -> Iterator[str]:
    """Find peers that were narrowed to pods of ours."""
    ours = spec["podSelector"]["matchLabels"].items()
    for rule in (*spec["ingress"], *spec["egress"]):
        for peer in rule.get("from", rule.get("to", [])):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            if labels.items() & ours:
                yield f"{labels} are our own pods"


def selector_faults(found: Rendering) -> Iterator[str]:
    """Hold every selector against the labels of the pod."""
    labels = found.pod["metadata"]["labels"]
    for one in found.objects:
        for wanted in selectors(one):
            if not wanted or not wanted.items() <= labels.items():
                yield f"{one['kind']} chooses {wanted}, the pod has {labels}"


def volume_faults(found: Rendering, settings: Settings) -> Iterator[str]:
    """Hold paths of the settings against what is mounted, and mounts against volumes."""
    volumes = [one["name"] for one in found.spec["volumes"]]
    used = {mount["name"] for one in found.containers() for mount in one["volumeMounts"]}
    if sorted(used) != sorted(volumes):
        yield f"mounts {sorted(used)}, volumes {sorted(volumes)}"
    mounts = found.mounts()
    for path in named_files(settings.model_dump()):
        volume = next((mounts[str(one)] for one in path.parents if str(one) in mounts), {})
        if "secret" not in volume and "configMap" not in volume:
            yield f"{path} is in no Secret and no ConfigMap"
    state = PurePosixPath(settings.service.state_dir)
    if str(state.parent) not in mounts:
        yield f"{state} is not below a volume"
    memory = mounts.get(str(state.parent), {}).get("emptyDir")
    if memory and settings.revocation.max_store_size * 2 > octets(memory["sizeLimit"]):
        yield "what is kept of revocations does not fit the state in memory"
    if memory and memory["medium"] != "Memory":
        yield "the state goes to the node's disk"


def named_files(value: Any) -> Iterator[PurePosixPath]:
    """Give every path the settings name, but that of the state."""
    match value:
        case dict():
            for key, below in value.items():
                if key != "state_dir":
                    yield from named_files(below)
        case list() | tuple():
            for below in value:
                yield from named_files(below)
        case PurePosixPath() if value.is_absolute():
            yield value


def security_faults(found: Rendering) -> Iterator[str]:
    """Hold our containers against the restricted profile of Pod Security, and more."""
    pod = found.spec.get("securityContext", {})
    if found.spec.get("automountServiceAccountToken") is not False:
        yield "a service account token is mounted"
    for one in found.containers():
        context = pod | one["securityContext"]
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{one['name']} may run as root"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{one['name']} may write to its image"
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{one['name']} may gain privileges"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{one['name']} has capabilities"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{one['name']} has no seccomp profile"
        if "memory" not in one["resources"].get("limits", {}):
            yield f"{one['name']} may take all memory"
        if {"cpu", "memory"} - one["resources"].get("requests", {}).keys():
            yield f"{one['name']} asks for no resources"


def ending_faults(found: Rendering) -> Iterator[str]:
    """Hold the time a pod has to end against the time the program takes."""
    pre_stop = found.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    needed = pre_stop.get("seconds", 0) + GRACE_SECONDS + KILL_SECONDS
    if found.spec["terminationGracePeriodSeconds"] < needed:
        yield f"has {found.spec['terminationGracePeriodSeconds']} s to end, and takes {needed}"
    if found.kind("Service") and not pre_stop:
        yield "closes its port while the Service still leads there"


def all_faults(found: Rendering, settings: Settings) -> list[str]:
    """Give what every check finds."""
    return [
        *port_faults(found, settings),
        *policy_faults(found, settings),
        *selector_faults(found),
        *volume_faults(found, settings),
        *security_faults(found),
        *ending_faults(found),
    ]
