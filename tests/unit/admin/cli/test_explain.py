from .conftest import BILLS, Cli

MAIL = "From: alice@example.test\nTo: x@example.net\nSubject: hello\n\ntext\n"


def explained(cli: Cli, *arguments: str, content: str = MAIL) -> dict[str, dict[str, object]]:
    path = cli.file("m.eml", content)
    line = ("--from", "alice@example.test", *arguments, "--json")
    return {one["recipient"]: one for one in cli.done("explain", path, *line).json["recipients"]}


def test_each_recipient_gets_action_rule_group_and_certificates(cli: Cli) -> None:
    cli.done("cert", "import", cli.directory / "partner.pem")
    (partner,) = cli.done("cert", "list", "--json").json
    found = explained(cli, "--to", "partner@example.org", "--to", "x@example.net")
    assert list(found) == ["partner@example.org", "x@example.net"]
    assert found["partner@example.org"]["action"] == "sign+encrypt"
    certificates = found["partner@example.org"]["certificates"]
    assert isinstance(certificates, list)
    assert partner["certificate"]["fingerprint"] in certificates
    assert found["x@example.net"]["action"] == "sign"
    assert found["x@example.net"]["rule"]
    assert found["x@example.net"]["group"] != found["partner@example.org"]["group"]


def test_a_refusal_is_explained_with_its_reply(cli: Cli) -> None:
    cli.done("account", "set", "alice@example.test", "--encrypt", "required")
    found = explained(cli, "--to", "x@example.net")["x@example.net"]
    assert found["action"] == "refuse"
    assert str(found["reply"]).startswith("550 5.7.5")


def test_a_refusal_of_the_whole_mail_names_the_address_too(cli: Cli) -> None:
    wrong = explained(cli, "--to", "x@example.net", content="X-SMIME-Sign: no\r\n" + MAIL)
    assert "5.6.0 alice@example.test: " in str(wrong["x@example.net"]["reply"])
    invited = "X-SMIME-Encrypt: yes\r\nContent-Type: text/calendar; method=REPLY\r\n" + MAIL
    refused = explained(cli, "--to", "x@example.net", content=invited)["x@example.net"]
    assert "5.7.1 alice@example.test: " in str(refused["reply"])


def test_a_stranger_is_relayed(cli: Cli) -> None:
    mail = MAIL.replace("alice@", "stranger@")
    assert explained(cli, "--to", "x@example.net", content=mail)["x@example.net"]["action"] == (
        "relay"
    )


def test_people_see_where_each_value_comes_from(cli: Cli) -> None:
    cli.done("account", "set", "alice@example.test", "--encrypt", "never")
    path = cli.file("m.eml", MAIL)
    shown = cli.done("explain", "--from", "alice@example.test", "--to", "x@example.net", path).out
    assert "x@example.net" in shown
    assert "encrypt: from " in shown
    assert "alice@example.test" in shown.partition("encrypt: from ")[2].partition("\n")[0]


def test_the_grants_of_a_login_decide_whose_address_it_may_use(cli: Cli) -> None:
    """Row A02; the login of alice is her address."""
    own = explained(cli, "--to", "x@example.net", "--login", "alice@example.test")
    assert own["x@example.net"]["action"] == "sign"
    other = explained(cli, "--to", "x@example.net", "--login", "bob")["x@example.net"]
    assert other["action"] == "refuse"
    assert "login bob was not granted alice@example.test" in str(other["reply"])


def test_the_listener_must_exist(cli: Cli) -> None:
    path = cli.file("m.eml", MAIL)
    line = ("explain", "--from", "a@b.org", "--to", "x@y.org", path)
    assert "no listener 'mx'" in cli.refused(*line, "--listener", "mx")
    cli.settings.write_text(cli.settings.read_text().partition("[listeners")[0])
    assert "no outbound listener" in cli.refused(*line)


def test_people_and_programs_see_the_algorithms_and_their_sources(cli: Cli) -> None:
    cli.done("cert", "import", cli.directory / "partner.pem")
    with cli.settings.open("a") as settings:
        settings.write('\n[partners."example.org"]\nkey_transport = "OAEP"\nopaque = true\n')
    found = explained(cli, "--to", "partner@example.org")["partner@example.org"]
    algorithms, sources = found["algorithms"], found["sources"]
    assert isinstance(algorithms, dict)
    assert isinstance(sources, dict)
    assert algorithms["key_transport"] == "rsaes_oaep"
    assert sources["key_transport"] == 'partners."example.org".key_transport'
    assert sources["content_encryption"] == "policy.content_encryption"
    line = ("explain", "--from", "alice@example.test", "--to", "partner@example.org")
    shown = cli.done(*line, cli.file("m.eml", MAIL)).out
    assert "can read" not in shown
    assert 'key_transport for partner@example.org: from partners."example.org"' in shown
    assert "content_encryption for" not in shown
    row = next(one for one in shown.splitlines() if one.startswith("partner@example.org"))
    for word in ("opaque", "aes256_cbc", "rsaes_oaep"):
        assert word in row
    for word in (" no", "off", "header protection"):
        assert word not in row


def test_a_declared_account_is_explained_and_named(declared: Cli) -> None:
    path = declared.file("m.eml", MAIL.replace("alice@", "bills@"))
    line = ("explain", path, "--from", BILLS, "--to", "x@example.net")
    (found,) = declared.done(*line, "--json").json["recipients"]
    assert found["action"] == "sign"
    assert f"the account {BILLS} is declared in the settings" in declared.done(*line).out
    (declared.directory / "bills.pem").write_text("nothing")
    assert "bills.pem: the file is neither PEM nor PKCS #12" in declared.refused(*line)
