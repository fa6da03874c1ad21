"""The chart of deploy/helm, rendered by Helm and held against API, settings and its own schema."""

import json
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from smime_proxy import __version__
from smime_proxy.policy.rules import Sign
from smime_proxy.settings import Settings
from tests.deploy import checks
from tests.deploy.helm import CHART, Answer, Request, lint, render
from tests.deploy.objects import NAME, OLDEST, Rendering, faults, read, rendering

Values = dict[str, Any]

RELAY: Values = {
    "use": "relay",
    "hostname": "smtp.example.com",
    "upstream": {"url": "smtp://relay.example.com:587"},
    "tls": {"existingSecret": "smtp-tls"},
    "accounts": {
        "invoices@example.com": {"keyFile": "invoices.p12", "passwordFile": "invoices.password"}
    },
}
MX: Values = {
    "use": "mx",
    "hostname": "smime.example.com",
    "upstream": {"url": "lmtp://dovecot"},
    "listener": {"domains": ["example.com", "example.net"]},
    "accounts": {
        "team@example.com": {"keyFile": "team.pem", "kind": "team", "sign": "never"},
        "alice@example.com": {
            "keyFile": "alice-2027.p12",
            "formerKeyFiles": ["alice-2026.p12", "alice-2025.p12"],
            "passwordFile": "alice.password",
            "aliases": ["a@example.com"],
            "logins": ["alice"],
            "encrypt": "required",
        },
    },
}
SIDECAR: Values = {
    "use": "sidecar",
    "hostname": "app.example.com",
    "upstream": {"url": "smtps://relay.example.com", "username": "a", "passwordFile": "relay"},
    "accounts": {"app@example.com": {"keyFile": "app.p12"}},
}
GOOD: Mapping[str, Values] = {
    "relay": RELAY,
    "relay of pods without passwords": RELAY
    | {"listener": {"auth": "none", "trustedNetworks": ["10.0.0.0/8"], "accounts": ["*@a.org"]}}
    | {"tls": {"existingSecret": ""}, "replicas": 1, "revocation": {"mode": "off"}},
    "relay in front of the cluster": RELAY
    | {"service": {"type": "LoadBalancer", "port": 465}, "image": {"tag": "1.2.3"}}
    | {"upstream": {"url": "smtp://relay.example.com:25", "caConfigMap": "relay-ca"}}
    | {"extraSettings": '[policy]\nsign = "on_request"\n', "nodeSelector": {"disk": "none"}}
    | {"env": {"SMIME_PROXY_LIMITS__SESSIONS": "20"}},
    "mx": MX,
    "mx with anchors": MX
    | {"anchors": {"existingConfigMap": "anchors", "ownFiles": ["our-root.pem"]}},
    "mx without a volume": MX | {"persistence": {"enabled": False}, "replicas": 3},
    "mx by smtp": MX
    | {"listener": {"protocol": "smtp", "domains": ["a.org"]}, "networkPolicy": {"enabled": False}},
}
BAD: Mapping[str, Values] = {
    "no hostname": RELAY | {"hostname": ""},
    "no upstream": RELAY | {"upstream": {}},
    "an upstream that is none": RELAY | {"upstream": {"url": "http://relay.example.com"}},
    "a use that is none": RELAY | {"use": "gateway"},
    "a misspelt value": RELAY | {"replica": 3},
    "a misspelt value further in": RELAY | {"listener": {"authentication": "none"}},
    "passwords in clear text": RELAY | {"tls": {"existingSecret": ""}},
    "a relay that trusts nobody": RELAY | {"listener": {"auth": "none"}},
    "an mx without domains": MX | {"listener": {"domains": []}},
    "an account without a key": RELAY | {"accounts": {"a@example.com": {}}},
    "an account that is no address": RELAY | {"accounts": {"alice": {"keyFile": "alice.p12"}}},
    "a key outside of the Secret": RELAY | {"accounts": {"a@a.org": {"keyFile": "../a.p12"}}},
    "a key in the values": RELAY | {"accounts": {"a@a.org": {"key": "MIIE", "keyFile": "a.p12"}}},
    "a password for clear text": RELAY
    | {"upstream": SIDECAR["upstream"] | {"tls": "never", "url": "smtp://relay"}},
    "a variable that is no text": RELAY | {"env": {"SMIME_PROXY_LIMITS__SESSIONS": 20}},
    "no pods": RELAY | {"replicas": 0},
}


@pytest.fixture(scope="module")
def answers() -> Mapping[str, Answer]:
    """All renderings, by one process."""
    values = {**GOOD, **BAD, "sidecar": SIDECAR, "defaults": {}}
    done = render([Request(str(CHART), one) for one in values.values()])
    return dict(zip(values, done, strict=True))


@pytest.fixture(scope="module")
def schema() -> Values:
    found: Values = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return found


def effective(values: Values) -> Values:
    """Lay values over the chart's own, as Helm does."""
    return laid(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), values)


def laid(under: Values, over: Values) -> Values:
    """Lay one table over another."""
    return under | {
        key: laid(under[key], value) if isinstance(value, dict) and key in under else value
        for key, value in over.items()
    }


def found(answer: Answer) -> Rendering:
    """Read what was rendered."""
    assert not answer.refusal
    return rendering(read(answer.objects()))


@pytest.mark.parametrize("name", GOOD)
def test_the_api_knows_every_field(answers: Mapping[str, Answer], name: str) -> None:
    assert [fault for one in found(answers[name]).objects for fault in faults(one)] == []


@pytest.mark.parametrize("name", GOOD)
def test_settings_load_and_fit_the_objects_around_them(
    answers: Mapping[str, Answer], name: str, tmp_path: Path
) -> None:
    one = found(answers[name])
    settings = one.settings(tmp_path)
    assert set(settings.accounts) == set(GOOD[name]["accounts"])
    assert all(given(settings, address, GOOD[name]) for address in settings.accounts)
    assert settings.service.hostname == GOOD[name]["hostname"]
    assert checks.all_faults(one, settings) == []


def given(settings: Settings, address: str, values: Values) -> bool:
    """Tell whether an account of the settings has what the values say."""
    account, wanted = settings.accounts[address], values["accounts"][address]
    former = [f"/run/smime-proxy/keys/{name}" for name in wanted.get("formerKeyFiles", [])]
    return (
        account.key_file.name == wanted["keyFile"]
        and [str(file) for file in account.former_key_files] == former
        and list(account.aliases) == wanted.get("aliases", [])
        and list(account.logins) == wanted.get("logins", [])
        and account.kind.value == wanted.get("kind", "personal")
    )


@pytest.mark.parametrize("name", [*GOOD, "sidecar"])
def test_values_fit_the_schema(schema: Values, name: str) -> None:
    jsonschema.validate(effective({**GOOD, "sidecar": SIDECAR}[name]), schema)


@pytest.mark.parametrize("name", BAD)
def test_wrong_values_are_refused(answers: Mapping[str, Answer], schema: Values, name: str) -> None:
    assert "don't meet the specifications of the schema" in answers[name].refusal
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(effective(BAD[name]), schema)


def test_the_chart_alone_says_what_must_be_set(answers: Mapping[str, Answer]) -> None:
    assert "/hostname" in answers["defaults"].refusal
    assert "/upstream/url" in answers["defaults"].refusal


def test_every_value_is_in_the_schema(schema: Values) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert values.keys() == schema["properties"].keys() - {"global"}
    for name, value in values.items():
        if keys := schema["properties"][name].get("properties"):
            assert value.keys() <= keys.keys(), name


def test_helm_has_nothing_against_the_chart() -> None:
    assert lint(CHART, RELAY) == []


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert chart["kubeVersion"] == f">={OLDEST}.0-0"


def test_values_and_what_is_rendered_hold_no_secret(answers: Mapping[str, Answer]) -> None:
    assert [one for name in GOOD for one in found(answers[name]).kind("Secret")] == []


def test_anchors_are_files_of_the_config_map(answers: Mapping[str, Answer]) -> None:
    trust = tomllib.loads(found(answers["mx with anchors"]).toml())["trust"]
    folder = "/run/smime-proxy/anchors"
    assert trust == {
        "anchor_files": [f"{folder}/anchors.pem"],
        "own_anchor_files": [f"{folder}/our-root.pem"],
    }
    assert "trust" not in tomllib.loads(found(answers["mx"]).toml())


def test_replicas_share_no_volume(answers: Mapping[str, Answer]) -> None:
    def deployed(name: str) -> tuple[int, str]:
        (one,) = found(answers[name]).kind("Deployment")
        return one["spec"]["replicas"], one["spec"].get("strategy", {}).get("type", "")

    assert deployed("mx") == (1, "Recreate")
    assert deployed("mx without a volume") == (3, "")
    assert found(answers["mx without a volume"]).kind("PersistentVolumeClaim") == []


def test_a_relay_of_one_pod_keeps_no_node_from_being_drained(
    answers: Mapping[str, Answer],
) -> None:
    assert found(answers["relay"]).kind("PodDisruptionBudget") != []
    assert found(answers["relay of pods without passwords"]).kind("PodDisruptionBudget") == []


def test_new_settings_make_new_pods(answers: Mapping[str, Answer]) -> None:
    sums = {
        found(answers[name]).pod["metadata"]["annotations"]["checksum/settings"]
        for name in ("relay", "relay in front of the cluster")
    }
    assert len(sums) == 2


def test_other_settings_are_taken_over(answers: Mapping[str, Answer], tmp_path: Path) -> None:
    settings = found(answers["relay in front of the cluster"]).settings(tmp_path)
    assert settings.policy.sign is Sign.ON_REQUEST
    assert settings.limits.sessions == 20


def test_notes_name_the_port_and_the_secret(answers: Mapping[str, Answer]) -> None:
    assert "acme-smime-proxy.mail.svc, port 587." in answers["relay"].notes()
    assert "acme-smime-proxy.mail.svc, port 24." in answers["mx"].notes()
    assert "create secret generic smime-proxy-keys" in answers["relay"].notes()
    assert "no signature that arrives will be green" in answers["mx"].notes()
    assert "no signature that arrives will be green" not in answers["mx with anchors"].notes()


APPLICATION = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  selector:
    matchLabels: {app: app}
  template:
    metadata:
      labels: {app: app}
@notes@
      containers:
        - name: app
          image: registry.example.com/app:1
"""


def application(folder: Path, notes: str) -> Path:
    """Make a chart that has ours as its sidecar, as the notes say."""
    lines = notes.partition("  template:\n")[2].partition("\n\n")[0].replace("    metadata:\n", "")
    pod = APPLICATION.replace("@notes@", lines)
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "deployment.yaml").write_text(pod)
    chart = {
        "apiVersion": "v2",
        "name": "app",
        "version": "1.0.0",
        "dependencies": [{"name": NAME, "version": __version__}],
    }
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
    shutil.copytree(CHART, folder / "charts" / NAME)
    return folder


def test_an_application_takes_the_sidecar_as_the_notes_say(
    answers: Mapping[str, Answer], tmp_path: Path
) -> None:
    chart = application(tmp_path / "app", answers["sidecar"].notes())
    trusting = SIDECAR | {"anchors": {"existingConfigMap": "anchors"}}
    for values in (SIDECAR, trusting):
        (answer,) = render([Request(str(chart), {NAME: values})])
        one = found(answer)
        assert [fault for each in one.objects for fault in faults(each)] == []
        assert one.container["restartPolicy"] == "Always"
        assert [each["name"] for each in one.spec["initContainers"]] == [NAME]
        assert one.spec["containers"][0]["name"] == "app"
        settings = one.settings(tmp_path)
        assert settings.listeners["submission"].bind.is_loopback
        assert checks.all_faults(one, settings) == []


def test_the_chart_says_the_same_as_the_overlays(answers: Mapping[str, Answer]) -> None:
    folder = CHART.parents[1] / "kubernetes" / "base"
    base = yaml.safe_load((folder / "deployment.yaml").read_text(encoding="utf-8"))
    pod, chart = base["spec"]["template"]["spec"], found(answers["relay"]).spec
    for key in ("terminationGracePeriodSeconds", "enableServiceLinks"):
        assert chart[key] == pod[key]
    ours, theirs = chart["containers"][0], pod["containers"][0]
    assert chart["securityContext"].items() <= pod["securityContext"].items()
    for key in ("runAsUser", "runAsGroup"):
        assert ours["securityContext"][key] == pod["securityContext"][key]
    for key in ("command", "args", "resources", "lifecycle"):
        assert ours[key] == theirs[key]
