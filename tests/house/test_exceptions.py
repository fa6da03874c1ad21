"""Only the two last resorts catch everything; anything else names what it expects."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.house.source import PACKAGE, ROOT, python_files, relative, tree

# The last resorts: they log and answer 451 4.3.0.
LAST_RESORTS = {"smime_proxy/gateway/pipeline.py", "smime_proxy/smtp/server.py"}
# Mode `observe`: mail is relayed unchanged whatever goes wrong with a decision, docs/adr/0023.
OBSERVING = {"smime_proxy/gateway/aside.py", "smime_proxy/gateway/observing.py"}
# Around third-party parsers that raise whatever they like on hostile octets: each handler raises
# its package's own error instead, or answers no. A file is added with what leaves no choice.
AROUND_PARSERS = {
    "smime_proxy/certs/certificate.py": "asn1crypto on a malformed PKCS #7 file",
    "smime_proxy/certs/keybags.py": "asn1crypto on strangers' key files",
    "smime_proxy/certs/pkcs8.py": "asn1crypto on strangers' key files",
    "smime_proxy/cms/certificate_fields.py": "cryptography's loader on strangers' public keys",
    "smime_proxy/cms/signature.py": "cryptography's verification with odd keys",
}
CATCH_ALL = {"Exception", "BaseException"}


def catch_alls(path: Path) -> Iterator[ast.ExceptHandler]:
    """Yield the handlers of a file that catch everything and let go of nothing."""
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.ExceptHandler) or not catches_everything(node.type):
            continue
        match node.body[-1]:
            case ast.Raise(exc=None):  # tidies up and lets the exception pass
                continue
        yield node


def catches_everything(caught: ast.expr | None) -> bool:
    """Tell whether what a handler names is everything."""
    match caught:
        case None:
            return True
        case ast.Name(id=name):
            return name in CATCH_ALL
        case ast.Tuple(elts=elements):
            return any(catches_everything(element) for element in elements)
        case _:
            return False


def test_only_the_last_resorts_catch_everything() -> None:
    caught = [
        f"{relative(path)}:{node.lineno}"
        for path in python_files(PACKAGE)
        for node in catch_alls(path)
        if relative(path) not in LAST_RESORTS | OBSERVING | AROUND_PARSERS.keys()
    ]
    assert caught == []


def fails_closed(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler ends in an exception or in a plain no."""
    match handler.body[-1]:
        case ast.Raise() | ast.Return(value=ast.Constant(value=False)):
            return True
        case _:
            return False


def test_what_is_caught_around_a_parser_fails_closed() -> None:
    swallowed = [
        f"{name}:{node.lineno}"
        for name in AROUND_PARSERS
        if (ROOT / name).exists()
        for node in catch_alls(ROOT / name)
        if not fails_closed(node)
    ]
    assert swallowed == []


def test_every_exception_to_the_rule_is_still_needed() -> None:
    idle = [
        name
        for name in AROUND_PARSERS
        if not (ROOT / name).exists() or not list(catch_alls(ROOT / name))
    ]
    assert idle == []
