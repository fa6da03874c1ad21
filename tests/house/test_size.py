"""No file and no function grows beyond what fits in a head."""

from tests.house.source import PACKAGE, TESTS, functions, python_files, relative

MAX_FILE_LINES = 500  # hard; 150 is aimed at, 300 is the point to think again
MAX_FUNCTION_LINES = 60  # hard; 8 are aimed at, 40 is the point to think again


def test_no_file_is_longer_than_the_hard_limit() -> None:
    sizes = {
        relative(path): len(path.read_bytes().splitlines()) for path in python_files(PACKAGE, TESTS)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_the_hard_limit() -> None:
    sizes = {
        f"{relative(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in python_files(PACKAGE, TESTS)
        for node in functions(path)
    }
    assert {name: size for name, size in sizes.items() if size > MAX_FUNCTION_LINES} == {}
