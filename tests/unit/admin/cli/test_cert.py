import pytest

from smime_proxy.certs.certificate import read_certificates

from .conftest import Cli


@pytest.fixture
def partner(cli: Cli) -> str:
    cli.done("cert", "import", cli.directory / "partner.pem")
    (view,) = cli.done("cert", "list", "--json").json
    return str(view["certificate"]["fingerprint"])


def test_an_imported_certificate_is_listed_with_its_standing(cli: Cli, partner: str) -> None:
    (view,) = cli.done("cert", "list", "partner@example.org", "--json").json
    assert (view["usable"], view["reason"], view["pinned"]) == (True, "", False)
    assert view["addresses"] == ["partner@example.org"]
    assert partner[:16] in cli.done("cert", "list").out
    assert cli.done("cert", "list", "nobody@example.org", "--json").json == []


def test_a_certificate_nobody_vouches_for_is_not_usable_unless_pinned(
    cli: Cli, partner: str
) -> None:
    (anchor,) = cli.done("trust", "list", "--json").json
    cli.done("trust", "remove", anchor["certificate"]["fingerprint"])
    shown = cli.done("cert", "show", partner, "--json").json
    assert shown["usable"] is False
    assert shown["reason"]
    cli.done("cert", "import", cli.directory / "partner.pem", "--trust")
    shown = cli.done("cert", "show", partner[:8], "--json").json
    assert (shown["usable"], shown["pinned"]) == (True, True)


def test_importing_says_what_hinders_the_use_of_a_certificate(cli: Cli) -> None:
    path = cli.directory / "partner.pem"
    assert cli.done("cert", "import", path).err == ""
    (anchor,) = cli.done("trust", "list", "--json").json
    cli.done("trust", "remove", anchor["certificate"]["fingerprint"])
    (view,) = cli.done("cert", "list", "--json").json
    line = f"warning: {view['certificate']['fingerprint'][:16]} is not used: {view['reason']}\n"
    assert cli.done("cert", "import", path).err == line
    many = cli.directory / "many"
    many.mkdir()
    (many / "one.pem").write_bytes(path.read_bytes())
    (many / "two.pem").write_bytes(path.read_bytes())
    assert cli.done("cert", "import", many).err.endswith(line)
    assert cli.done("cert", "import", path, "--trust").err == ""


def test_a_certificate_can_be_bound_to_another_address(cli: Cli) -> None:
    cli.done("cert", "import", cli.directory / "partner.pem", "--address", "x@example.net")
    shown = cli.done("cert", "show", "x@example.net", "--json").json
    assert shown[0]["addresses"] == ["partner@example.org", "x@example.net"]


def test_what_is_exported_is_what_was_imported(cli: Cli, partner: str) -> None:
    exported = cli.done("cert", "export", "partner@example.org").out.encode()
    assert read_certificates(exported)[0].fingerprint == partner


def test_a_certificate_is_removed(cli: Cli, partner: str) -> None:
    cli.done("cert", "remove", partner[:16])
    assert cli.done("cert", "list", "--json").json == []
    assert "fingerprint" in cli.refused("cert", "show", partner)
    assert "no certificate for" in cli.refused("cert", "show", "partner@example.org")


def test_people_are_shown_every_field(cli: Cli, partner: str) -> None:
    shown = cli.done("cert", "show", partner).out
    assert f"fingerprint: {partner}\n" in shown
    assert "usable: yes\n" in shown


def test_what_is_no_certificate_is_refused(cli: Cli) -> None:
    path = cli.file("x.pem", "nothing")
    assert cli.refused("cert", "import", path).startswith(str(path))
    assert "No such file" in cli.refused("cert", "import", cli.directory / "none.pem")


def test_a_certificate_of_a_domain_is_listed_shown_exported_and_removed(cli: Cli) -> None:
    path = cli.directory / "partner.pem"
    said = cli.done("cert", "import", path, "--domain", "Firm.example", "--domain", "b.example")
    assert said.out.endswith(
        " for partner@example.org, all of b.example, all of firm.example: imported\n"
    )
    (view,) = cli.done("cert", "list", "firm.example", "--json").json
    assert (view["domains"], view["usable"]) == (["b.example", "firm.example"], True)
    assert cli.done("cert", "list", "anyone@firm.example", "--json").json == [view]
    assert cli.done("cert", "show", "b.example", "--json").json == [view]
    assert "b.example,firm.example" in cli.done("cert", "list").out.replace(" ", "")
    (exported, *_) = read_certificates(cli.done("cert", "export", "firm.example").out.encode())
    assert exported.fingerprint == view["certificate"]["fingerprint"]
    assert "no certificate for" in cli.refused("cert", "show", "sub.firm.example")
    assert "--domain takes a domain" in cli.refused("cert", "import", path, "--domain", "a b")
    cli.done("cert", "remove", view["certificate"]["fingerprint"])
    assert cli.done("cert", "list", "firm.example", "--json").json == []


def test_a_certificate_of_a_domain_nobody_vouches_for_is_said_to_be_unused(cli: Cli) -> None:
    (anchor,) = cli.done("trust", "list", "--json").json
    cli.done("trust", "remove", anchor["certificate"]["fingerprint"])
    path = cli.directory / "partner.pem"
    assert (
        "is not used: its chain is untrusted"
        in cli.done("cert", "import", path, "--domain", "firm.example").err
    )
    assert cli.done("cert", "import", path, "--domain", "firm.example", "--trust").err == ""


def test_what_goes_is_told_in_one_line(cli: Cli) -> None:
    cli.done("cert", "import", cli.directory / "partner.pem", "--domain", "example.org")
    (view,) = cli.done("cert", "list", "--json").json
    name = view["certificate"]["fingerprint"][:16]
    assert cli.done("cert", "remove", name).out == (
        f"{name} for partner@example.org, all of example.org: removed\n"
    )
    (anchor,) = cli.done("trust", "list", "--json").json
    told = cli.done("trust", "remove", anchor["certificate"]["fingerprint"]).out
    assert told.endswith(f" {anchor['certificate']['subject']}: trusted no more\n")
