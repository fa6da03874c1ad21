"""The compose files are valid, give away no more than they must, and fit their settings."""

import ipaddress

import pytest

from tests.deploy.compose import FOLDER, SERVICE, USES, resolved, service, settings
from tests.deploy.engine import IMAGE

DRAIN_SECONDS = 55  # the grace, and what workers that do not end are given behind it


def test_there_is_a_file_for_each_use_with_its_settings_beside_it() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(USES)
    assert {path.parent.name for path in FOLDER.glob("*/smime-proxy.toml")} == set(USES)
    assert IMAGE.startswith(f"localhost/{SERVICE}:")


@pytest.mark.parametrize("use", USES)
def test_the_service_may_do_nothing_it_does_not_need(use: str) -> None:
    one = service(use)
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["user"] == "10001:10001"
    assert {"mem_limit", "cpus", "pids_limit"} <= set(one)
    assert not {"ports", "privileged", "cap_add", "devices", "environment"} & set(one)
    assert all(volume.endswith(":ro") or volume.startswith("state:") for volume in one["volumes"])


@pytest.mark.parametrize("use", USES)
def test_the_service_is_watched_and_has_time_to_end(use: str) -> None:
    one = service(use)
    assert one["healthcheck"]["test"] == ["CMD", "smime-proxy", "healthcheck"]
    assert int(one["stop_grace_period"].removesuffix("s").replace("1m0", "60")) > DRAIN_SECONDS
    assert one["restart"] == "unless-stopped"


def test_a_sidecar_listens_on_the_loopback_it_shares() -> None:
    assert service("sidecar")["network_mode"] == "service:application"
    (listener,) = settings("sidecar")["listeners"].values()
    assert listener["bind"].startswith("127.0.0.1:")


def test_a_relay_trusts_the_containers_of_its_network_and_not_the_host() -> None:
    (network,) = resolved("relay")["networks"]["mail"]["ipam"]["config"]
    (listener,) = settings("relay")["listeners"].values()
    assert listener["trusted_networks"] == [network["ip_range"]]
    assert ipaddress.ip_address(network["gateway"]) not in ipaddress.ip_network(network["ip_range"])
    assert resolved("relay")["networks"]["mail"]["internal"] is True


def test_only_the_mta_of_an_mx_has_a_port_of_the_host_and_decrypted_mail_stays_inside() -> None:
    project = resolved("mx")
    assert [name for name, one in project["services"].items() if "ports" in one] == ["mta"]
    on_store = {name for name, one in project["services"].items() if "store" in one["networks"]}
    assert on_store == {SERVICE, "mailstore"}
    assert project["networks"]["store"]["internal"] is True
