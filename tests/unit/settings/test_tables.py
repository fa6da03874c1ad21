import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from smime_proxy.settings import Settings
from smime_proxy.settings.accounts import AccountTable
from smime_proxy.settings.connections import Listener, Upstream
from smime_proxy.settings.discovery import DiscoveryTable, LdapTable
from smime_proxy.settings.loading import validate
from smime_proxy.settings.policy import DomainTable, PartnerTable, PolicyTable
from smime_proxy.settings.tables import Service

DOCUMENTED = Path(__file__).resolve().parents[3] / "config" / "smime-proxy.toml"
_COMMENTED = re.compile(
    r"# (\w+ = .*|\[(?:upstreams|listeners|domains|partners|accounts|discovery)\..*\])"
)


def uncommented() -> str:
    lines = DOCUMENTED.read_text(encoding="utf-8").splitlines()
    return "\n".join(
        line.removeprefix("# ") for line in lines if _COMMENTED.fullmatch(line) or line[:1] == "["
    )


def fields(model: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str]]:
    for name, field in model.model_fields.items():
        yield model, name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation)


def test_the_file_as_shipped_changes_nothing() -> None:
    tree = tomllib.loads(DOCUMENTED.read_text(encoding="utf-8"))
    assert Settings.model_validate(tree) == Settings()


def test_the_documented_values_are_the_defaults() -> None:
    tree = tomllib.loads(uncommented())
    settings, faults = validate(tree)
    assert faults == []
    assert settings is not None
    tables = {"upstreams", "listeners", "domains", "partners", "accounts", "discovery"}
    for name in Settings.model_fields.keys() - tables:
        assert getattr(settings, name) == getattr(Settings(), name), name
    corp = settings.discovery.ldap["corp"]
    assert settings.discovery == DiscoveryTable(ldap={"corp": LdapTable(url=corp.url)})
    said = settings.accounts["invoices@example.com"]
    left_out = AccountTable(key_file=said.key_file)
    assert said.model_copy(update={"sign": None, "encrypt": None, "sent_copy": None}) == left_out
    upstream = settings.upstreams["relay"]
    assert upstream == Upstream(url=upstream.url)
    listener = settings.listeners["submission"]
    assert listener == Listener(
        role=listener.role,
        bind=listener.bind,
        upstream=listener.upstream,
        trusted_networks=Listener.model_fields["trusted_networks"].default
        or listener.relaying_networks,
    )
    policy = PolicyTable().model_dump()
    assert settings.domains["example.com"].model_dump().items() <= policy.items()


@pytest.mark.parametrize(
    ("table", "model"),
    [
        *(
            ((name,), Settings.model_fields[name].annotation)
            for name in ("service", "store", "keys", "admin", "status", "log", "policy")
        ),
        (("policy", "subject_words"), PolicyTable.model_fields["subject_words"].annotation),
        (("upstreams", "relay"), Upstream),
        (("domains", "example.com"), DomainTable),
        (("partners", "example.org"), PartnerTable),
        (("accounts", "invoices@example.com"), AccountTable),
    ],
)
def test_every_key_is_documented(table: tuple[str, ...], model: type[BaseModel]) -> None:
    tree = tomllib.loads(uncommented())
    for name in table:
        tree = tree[name]
    assert set(tree) == set(model.model_fields)


def test_every_key_of_a_listener_is_documented() -> None:
    listeners = tomllib.loads(uncommented())["listeners"]
    assert set(listeners["submission"]) | set(listeners["mx"]) == set(Listener.model_fields)


def test_every_key_has_its_text() -> None:
    models = (Settings, Upstream, Listener, DomainTable, PartnerTable, AccountTable)
    silent = [
        f"{model.__name__}.{name}"
        for top in models
        for model, name in fields(top)
        if not model.model_fields[name].description
    ]
    assert silent == []


def test_an_empty_hostname_is_the_name_of_the_machine() -> None:
    assert Service(hostname="").hostname == Service().hostname != ""


def test_the_authserv_id_defaults_to_the_hostname() -> None:
    assert Service(hostname="mx.example").effective_authserv_id == "mx.example"
    assert Service(authserv_id="ours").effective_authserv_id == "ours"


@pytest.mark.parametrize("budget", [20.5, -1, float("nan"), float("inf")])
def test_mail_waits_for_answers_about_revocation_within_bounds(budget: float) -> None:
    _, faults = validate({"revocation": {"budget": budget}})
    assert any("revocation.budget" in str(fault) for fault in faults)
    assert validate({"revocation": {"budget": 20}})[1] == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("languages", [], "at least one"),
        ("languages", ["de", "de"], "each once"),
        ("languages", ["fr"], "en or de"),
        ("contact", "a\nb", "one line"),
        ("contact", "Почта", "ASCII"),
        ("contact", "x" * 101, "at most 100"),
    ],
)
def test_what_people_cannot_be_told_is_one_clear_error(key: str, value: object, said: str) -> None:
    _, faults = validate({"texts": {key: value}})
    assert len(faults) == 1
    assert said in str(faults[0])
