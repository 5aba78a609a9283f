"""Every test can fail, and none waits for a fixed time without a reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
FILES = sorted(path for path in TESTS.rglob("*.py") if "chaos" not in path.relative_to(TESTS).parts)

_CHECKS = ("assert_", "expect_", "check_")
"""How the names of functions begin that contain the assertions of several tests."""
_PYTEST_CHECKS = {"raises", "warns", "fail"}
_REASON = "# sleep: "
"""Begins the comment that states why a test waits for a fixed time."""


def test_every_test_has_an_assertion() -> None:
    missing = [
        f"{path.relative_to(TESTS)}:{test.lineno} {test.name}"
        for path in FILES
        if path.name.startswith("test_")
        for test in _tests(ast.parse(path.read_text()))
        if not _can_fail(test)
    ]
    assert missing == []


def test_every_sleep_is_a_poll_or_has_a_reason() -> None:
    missing = [
        f"{path.relative_to(TESTS)}:{line}" for path in FILES for line in _sleeps_without_reason(path.read_text())
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("body", "can_fail"),
    [
        ("assert x", True),
        ("with pytest.raises(ValueError): f()", True),
        ("check_all(x)", True),
        ("run(lambda: check_all(x))", True),
        ("f(x)", False),
        ("raises(x)", False),
        ("print('assert x')", False),
        ("recheck_all(x)", False),
    ],
)
def test_the_search_for_assertions(body: str, can_fail: bool) -> None:
    [test] = _tests(ast.parse(f"def test_it():\n    {body}\n"))
    assert _can_fail(test) is can_fail


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("await asyncio.sleep(1)", [1]),
        ("time.sleep(pause)", [1]),
        ("await asyncio.sleep(0)", []),
        ("await asyncio.sleep(1)  # sleep: nothing may arrive", []),
        ("await asyncio.sleep(1)  # sleep: ", [1]),
        ("while not f():\n    await asyncio.sleep(0.01)", []),
        ("for _ in range(9):\n    if f():\n        break\n    time.sleep(1)", []),
        ("for pause in pauses:\n    time.sleep(pause)", [2]),
        ("while f():\n    async def g():\n        await asyncio.sleep(1)", [3]),
    ],
)
def test_the_search_for_sleeps(text: str, lines: list[int]) -> None:
    assert list(_sleeps_without_reason(text)) == lines


def _tests(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def _can_fail(test: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and _checks(node)) for node in ast.walk(test)
    )


def _checks(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(name):
            return name.startswith(_CHECKS)
        case ast.Attribute(ast.Name("pytest"), name):
            return name in _PYTEST_CHECKS
        case ast.Attribute(_, name):
            return name.startswith(_CHECKS)
    return False


def _sleeps_without_reason(text: str) -> Iterator[int]:
    lines = text.splitlines()
    for call in _sleeps(ast.parse(text), in_poll=False):
        _, _, reason = lines[(call.end_lineno or call.lineno) - 1].partition(_REASON)
        if not reason:
            yield call.lineno


def _sleeps(node: ast.AST, *, in_poll: bool) -> Iterator[ast.Call]:
    """Yield the calls of `sleep` outside of loops that wait for something."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _sleeps(child, in_poll=False)
        elif isinstance(child, ast.While | ast.For):
            yield from _sleeps(child, in_poll=in_poll or _is_poll(child))
        else:
            if isinstance(child, ast.Call) and _is_sleep(child) and not in_poll:
                yield child
            yield from _sleeps(child, in_poll=in_poll)


def _is_poll(loop: ast.While | ast.For) -> bool:
    return isinstance(loop, ast.While) or any(isinstance(node, ast.Return | ast.Break) for node in ast.walk(loop))


def _is_sleep(call: ast.Call) -> bool:
    match call:
        case ast.Call(ast.Attribute(ast.Name("asyncio" | "time"), "sleep"), [ast.Constant(0)]):
            return False
        case ast.Call(ast.Attribute(ast.Name("asyncio" | "time"), "sleep")):
            return True
    return False
