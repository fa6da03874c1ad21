from .conftest import Cli


def test_the_authority_is_trusted_from_the_start(cli: Cli) -> None:
    (anchor,) = cli.done("trust", "list", "--json").json
    assert anchor["domains"] == []
    assert "everywhere" in cli.done("trust", "list").out


def test_an_authority_can_be_limited_to_domains(cli: Cli) -> None:
    root = cli.file("root.pem", cli.done("ca", "init").out)
    cli.done("trust", "add", root, "--for", "Example.org", "--for", "example.net")
    (anchor,) = cli.done("trust", "list", "--json").json
    assert anchor["domains"] == ["example.net", "example.org"]
    assert "warning: " in cli.done("trust", "add", root).err


def test_a_person_is_no_authority(cli: Cli) -> None:
    alice = cli.file("alice.pem", cli.done("ca", "issue", "alice@example.test").out)
    assert "cert import --trust" in cli.refused("trust", "add", alice)


def test_an_authority_is_trusted_no_more(cli: Cli) -> None:
    (anchor,) = cli.done("trust", "list", "--json").json
    cli.done("trust", "remove", anchor["certificate"]["fingerprint"][:12])
    assert cli.done("trust", "list", "--json").json == []
    assert "no trust anchor" in cli.refused("trust", "remove", "00000000")


def test_a_limit_that_is_no_domain_is_refused(cli: Cli) -> None:
    root = cli.file("root.pem", cli.done("ca", "init").out)
    assert "--for takes a domain" in cli.refused("trust", "add", root, "--for", "a b")
