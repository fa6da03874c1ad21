from pathlib import Path

import pytest

from smime_proxy.gateway.modes import Mode
from smime_proxy.settings import Settings, SettingsError, load
from smime_proxy.settings.fields import Bind
from smime_proxy.settings.loading import validate

WORKING = """
[service]
hostname = "mail.example.com"
[upstreams.relay]
url = "smtp://relay.example.com"
[listeners.submission]
role = "outbound"
bind = "127.0.0.1:2525"
upstream = "relay"
"""


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    directory = tmp_path / "secrets"
    directory.mkdir()
    return directory


def loaded(tmp_path: Path, text: str, **variables: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    named = {f"SMIME_PROXY_{name}": value for name, value in variables.items()}
    return load(path, {"SMIME_PROXY_SECRETS": str(tmp_path), **named})


def refused(tmp_path: Path, text: str, **variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text, **variables)
    return str(caught.value).splitlines()


def test_a_working_file_loads(tmp_path: Path) -> None:
    settings = loaded(tmp_path, WORKING)
    assert settings.service.hostname == "mail.example.com"
    assert settings.listeners["submission"].bind == Bind("127.0.0.1", 2525)
    assert settings.upstreams["relay"].url.port == 25


def test_environment_wins_over_secrets_over_file_over_defaults(
    tmp_path: Path, secrets: Path
) -> None:
    text = '[service]\nhostname = "file.example"\nauthserv_id = "file"\nworkers = 3\n'
    (tmp_path / "s.toml").write_text(text)
    (secrets / "SMIME_PROXY_SERVICE__HOSTNAME").write_text("secret.example\n")
    (secrets / "SMIME_PROXY_SERVICE__AUTHSERV_ID").write_text("secret\n")
    environment = {
        "SMIME_PROXY_SECRETS": str(secrets),
        "SMIME_PROXY_SERVICE__HOSTNAME": "environment.example",
    }
    service = load(tmp_path / "s.toml", environment).service
    assert service.hostname == "environment.example"
    assert service.authserv_id == "secret"
    assert service.workers == 3
    assert service.mode is Mode.ENFORCE


def test_every_kind_of_value_can_come_from_a_variable(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        WORKING,
        SERVICE__WORKERS="4",
        LISTENERS__SUBMISSION__ENVELOPE_MATCH="false",
        LISTENERS__SUBMISSION__TRUSTED_NETWORKS='["10.0.0.0/8"]',
        LISTENERS__SUBMISSION__ACCOUNTS="a@example.com,*@example.org",
        ADMIN__BIND="",
        POLICY__ENCRYPT="required",
    )
    assert settings.service.workers == 4
    assert not settings.listeners["submission"].envelope_match
    assert [str(one) for one in settings.listeners["submission"].relaying_networks] == [
        "10.0.0.0/8"
    ]
    assert settings.listeners["submission"].accounts == ("a@example.com", "*@example.org")
    assert settings.admin.bind is None
    assert settings.policy.encrypt.value == "required"


def test_a_variable_alone_can_make_a_listener_whole(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "",
        UPSTREAMS='{"relay": {"url": "maildir:///srv/out"}}',
        LISTENERS__OUT__ROLE="outbound",
        LISTENERS__OUT__BIND="127.0.0.1:25",
        LISTENERS__OUT__UPSTREAM="relay",
    )
    assert list(settings.listeners) == ["out"]


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        ("[service]\nhostnam = 1", "service.hostnam: unknown key"),
        ("[servise]\nx = 1", "servise: unknown key"),
        ("service = 1", "service: must be a table"),
        ("[service]\nworkers = -1", "service.workers: must be greater than or equal to 0, not -1"),
        ('[service]\nworkers = "x"', "service.workers: must be a valid integer"),
        ('[service]\nhostname = "a b"', "service.hostname: must be a host name, not 'a b'"),
        ('[service]\nauthserv_id = "a b"', "service.authserv_id: must be short and of"),
        ('[service]\nmax_message_size = "big"', "service.max_message_size: must be a size such"),
        ('[service]\nmode = "lax"', "service.mode: must be enforce, soft or observe, not 'lax'"),
        ('[store]\nurl = "postgresql://a:pw@b/c"', "store.url: postgresql:// is not supported"),
        ('[store]\nurl = "mysql://a:pw@b/c"', "store.url: must be sqlite"),
        ('[log]\nlevel = "loud"', "log.level: must be debug or info or warning or error, not"),
        ('[status]\nbind = "8026"', "status.bind: must be host:port"),
        ('[policy]\nsign = "maybe"', "policy.sign: must be always, on_request or never, not"),
        ('[policy]\nharvest = "all"', "policy.harvest: must be ask, trusted or never, not 'all'"),
        (
            '[policy]\nminimum_source = "smimea"',
            "policy.minimum_source: must be discovered, harvested, verified or manual, not",
        ),
        ('[policy]\nunwrap = ["clear"]', "policy.unwrap: must be opaque or meetings, not 'clear'"),
        (
            '[policy]\nsignature = "rsa"',
            "policy.signature: must be rsassa_pkcs1v15 or rsassa_pss, not 'rsa'",
        ),
        (
            '[partners."b.org"]\nkey_transport = "ecdh"',
            'partners."b.org".key_transport: must be rsaes_pkcs1v15 or rsaes_oaep, not',
        ),
        ("[policy]\nheader_protection = true", "policy.header_protection: must be off or baseline"),
        ('[policy]\nsent_copy = "imap://x"', "policy.sent_copy: must be upstream:NAME or"),
        ('[policy]\nsent_copy = "upstream:x"', "policy.sent_copy: there is no upstream 'x'"),
        ('[domains."a b"]\nsign = "never"', 'domains."a b": must be a domain'),
        ('[domains."a.b"]\nharvest = "ask"', 'domains."a.b".harvest: not supported in this'),
        ('[partners."a@b@c d"]\nsign = "never"', 'partners."a@b@c d": must be'),
        ('[partners."b.org"]\nopaque = "x"', 'partners."b.org".opaque: must be a valid boolean'),
        ('[domains."a.b"]\nunwrap = []', 'domains."a.b".unwrap: not supported in this'),
        ('[partners."b.org"]\nx = true', 'partners."b.org".x: unknown key'),
        ('[partners."B.org"]\n[partners."b.org"]', "partners: holds 'B.org' and 'b.org'"),
        ('[accounts."a@b.org"]\nkind = "team"', 'accounts."a@b.org".key_file: must be set'),
        ('[accounts."a b"]\nkey_file = "/x"', 'accounts."a b": must be an address'),
        ('[accounts."a@b.c"]\nkey_file = "/x"\nkind = "x"', 'accounts."a@b.c".kind: must be'),
        ('[upstreams.x]\ntls = "never"', "upstreams.x.url: must be set"),
        ('[upstreams."a b"]\nurl = "smtp://x"', 'upstreams."a b": must be short and of letters'),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(tmp_path: Path, addition: str, line: str) -> None:
    lines = refused(tmp_path, addition)
    assert len(lines) == 1
    assert lines[0].startswith(line)
    assert ":pw@" not in lines[0]


@pytest.mark.parametrize(
    ("addition", "line"),
    [
        ('protocol = "uucp"', "listeners.x.protocol: must be smtp or smtps or lmtp"),
        ('trusted_networks = ["10.0.0.1/8"]', "listeners.x.trusted_networks: must be an IP"),
        ('accounts = ["nobody"]', "listeners.x.accounts: must be an address"),
        ('domains = ["a b"]', "listeners.x.domains: must be a domain"),
        ("bind = 25", "listeners.x.bind: must be host:port"),
    ],
)
def test_a_fault_of_a_listener_names_it(tmp_path: Path, addition: str, line: str) -> None:
    table = {"role": '"outbound"', "bind": '"127.0.0.1:1"', "upstream": '"relay"'}
    table |= dict([addition.split(" = ", 1)])
    text = "\n".join(f"{key} = {value}" for key, value in table.items())
    lines = refused(tmp_path, f"{WORKING}[listeners.x]\n{text}")
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = WORKING.replace('"relay"', '"elsewhere"') + "[policy]\nsign = 1\nsing = 2\n"
    lines = refused(tmp_path, text, SERVICE__WORKER="1")
    assert sorted(line.partition(":")[0] for line in lines) == [
        "SMIME_PROXY_SERVICE__WORKER",
        "listeners.submission.upstream",
        "policy.sign",
        "policy.sing",
    ]


def test_a_fault_is_not_followed_by_those_it_causes(tmp_path: Path) -> None:
    lines = refused(
        tmp_path,
        WORKING + "[listeners.mx]\n"
        'role = "inbound"\nbind = "127.0.0.1:3"\nupstream = "relay"\ndomains = 5\n',
    )
    assert [line.partition(":")[0] for line in lines] == ["listeners.mx.domains"]


def test_a_fault_in_a_variable_names_the_variable(tmp_path: Path) -> None:
    assert refused(tmp_path, "", SERVICE__WORKERS="x")[0].endswith(
        "(from SMIME_PROXY_SERVICE__WORKERS)"
    )


def test_accounts_come_whole_in_a_variable_laid_over_the_file(tmp_path: Path) -> None:
    text = '[accounts."a@b.org"]\nkey_file = "/file"\naliases = ["c@b.org"]\n'
    said = '{"a@b.org": {"key_file": "/variable"}, "d@b.org": {"key_file": "/d", "logins": ["x"]}}'
    accounts = loaded(tmp_path, text, ACCOUNTS=said).accounts
    assert accounts["a@b.org"].key_file == Path("/variable")
    assert accounts["a@b.org"].aliases == ("c@b.org",)
    assert accounts["d@b.org"].logins == ("x",)


def test_a_fault_in_declared_accounts_does_not_show_their_content(tmp_path: Path) -> None:
    said = '{"a@b.org": {"key_file": "/x", "password": "hunter2"}}'
    (line,) = refused(tmp_path, "", ACCOUNTS=said)
    assert line == 'accounts."a@b.org".password: unknown key (from SMIME_PROXY_ACCOUNTS)'
    assert "hunter2" not in refused(tmp_path, "", ACCOUNTS='{"a@b.org": "hunter2"}')[0]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().service.workers = 2  # type: ignore[misc]


def test_no_text_holds_a_nul() -> None:
    tree = {
        "accounts": {"a@example.com": {"key_file": "/x\0y", "former_key_files": ["/a", "/b\0"]}},
        "listeners": {"out\0": {"bind": "127.0.0.1:2525"}},
    }
    settings, faults = validate(tree)
    assert settings is None
    assert [fault.path for fault in faults] == [
        ("accounts", "a@example.com", "key_file"),
        ("accounts", "a@example.com", "former_key_files"),
        ("listeners",),
    ]
