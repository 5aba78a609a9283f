"""Every regular expression of the package takes linear time, whatever the text: texts come from outside."""

import ast
import importlib
import itertools
import pkgutil
import re
import re._compiler as _compiler
import re._parser as _parser
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import callsheet

_RANKED, _SMALL, _LARGE = 2_000, 10_000, 100_000
"""Lengths of the texts: to find the slowest ones, and to compare their times."""
_MAX_GROWTH = 40
"""Linear growth is 10, quadratic growth is 100."""
_CEILING = 0.25
"""Seconds that a search in the smaller text may take on a slow machine. Linear patterns take a hundredth of it."""
_INLINE = {"match", "search", "fullmatch", "findall", "finditer", "sub", "subn", "split"}
_FRAGMENTS = ["a", "0", ".", "-", "_", "/", "\\", ":", " ", "\n", '"', "'", "=", "<", "[", "{", "$", "?", "@", "%", ";"]
"""Starts of words, numbers, paths, URLs, tags and references: what the prefix of a pattern can begin with."""


def test_no_pattern_of_the_package_takes_quadratic_time(pattern: re.Pattern[str]) -> None:
    ranked = sorted(set(_attacks(pattern)), key=lambda repeated: -_seconds(pattern, _text(repeated, _RANKED), tries=1))
    for repeated in ranked[:3]:
        small = _seconds(pattern, _text(repeated, _SMALL))
        assert small < _CEILING, f"{small:.3f} s for {_SMALL} characters of {repeated!r}"
        large = _seconds(pattern, _text(repeated, _LARGE))
        assert large < max(small * _MAX_GROWTH, _CEILING), f"{large:.3f} s after {small:.4f} s: repeated {repeated!r}"


def test_the_check_finds_a_quadratic_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "_RANKED", 300)  # it is slow with each of many texts
    pattern = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)")
    with pytest.raises(AssertionError):
        test_no_pattern_of_the_package_takes_quadratic_time(pattern)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "pattern" in metafunc.fixturenames:
        patterns = dict(_patterns_of_package())
        metafunc.parametrize("pattern", patterns.values(), ids=list(patterns))


def _attacks(pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield texts whose repetition can start many matches of the pattern that fail late."""
    yield from _FRAGMENTS
    yield from map("".join, itertools.product(_FRAGMENTS, repeat=2))
    for prefix in _prefixes(_parse(pattern)):
        yield from (prefix + fragment for fragment in ["", *_FRAGMENTS])


def _parse(pattern: re.Pattern[str]) -> Any:
    return _parser.parse(pattern.pattern, pattern.flags)


def _prefixes(tree: Any) -> Iterator[str]:
    """Yield texts that match the beginning of a pattern, by one part more each."""
    text = ""
    for item in tree:
        for inner in _groups(item):
            yield from (text + prefix for prefix in _prefixes(inner))
        text += _sample(tree, item)
        if text:
            yield text


def _groups(item: Any) -> list[Any]:
    """Return the patterns inside a group, a repetition or an alternative."""
    kind, value = str(item[0]), item[1]
    if kind == "BRANCH":
        return list(value[1])
    if kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return [value[2]]
    if kind == "SUBPATTERN":
        return [value[3]]
    return [value] if kind == "ATOMIC_GROUP" else []


def _sample(tree: Any, item: Any) -> str:
    """Return a short text that matches one part of a pattern."""
    groups = _groups(item)
    if groups:
        return "".join(_sample(groups[0], inner) for inner in groups[0])
    if str(item[0]) == "LITERAL":
        return chr(item[1])
    if str(item[0]) not in ("IN", "NOT_LITERAL", "ANY", "RANGE", "CATEGORY"):
        return ""
    part = _compiler.compile(_parser.SubPattern(tree.state, [item]))
    return next((char for char in _FRAGMENTS if part.fullmatch(char)), "")


def _text(repeated: str, length: int) -> str:
    return (repeated * (length // len(repeated) + 1))[:length] + "\0"


def _seconds(pattern: re.Pattern[str], text: str, tries: int = 3) -> float:
    best = float("inf")
    for _ in range(tries):
        began = time.thread_time()
        pattern.sub("", text)
        best = min(best, time.thread_time() - began)
    return best


_OF_ANOTHER_ENVIRONMENT = {"callsheet.training.peft_trainer"}
"""Programs that run in an environment with torch, and read only files of the operator and of Callsheet."""


def _patterns_of_package() -> Iterator[tuple[str, re.Pattern[str]]]:
    for module in pkgutil.walk_packages(callsheet.__path__, "callsheet."):
        if module.name.endswith("__main__") or module.name in _OF_ANOTHER_ENVIRONMENT:
            continue
        loaded = importlib.import_module(module.name)
        for name, value in list(vars(loaded).items()):
            if name.startswith("__"):
                continue
            for number, found in enumerate(_compiled(value)):
                yield f"{module.name}.{name}[{number}]", found
        yield from _inline_patterns(module.name, Path(str(loaded.__file__)))


def _compiled(value: Any, depth: int = 4) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, type) and value.__module__.startswith("callsheet."):
        members = [inner for name, inner in vars(value).items() if not name.startswith("__")]
        yield from (inner for inner in members if isinstance(inner, re.Pattern))
    elif isinstance(value, dict | list | tuple | set | frozenset) and depth:
        for inner in list(value.values() if isinstance(value, dict) else value):
            yield from _compiled(inner, depth - 1)


def _inline_patterns(module: str, path: Path) -> Iterator[tuple[str, re.Pattern[str]]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        called, first = node.func, node.args[0]
        is_search = isinstance(called.value, ast.Name) and called.value.id == "re" and called.attr in _INLINE
        if is_search and isinstance(first, ast.Constant):
            yield f"{module}:{node.lineno}", re.compile(first.value)
