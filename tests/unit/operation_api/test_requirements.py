"""Requirements of the built-in operations: a worker claims only jobs that it can run."""

import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType

import pytest

from callsheet.operation_api.catalog import discover
from callsheet.operation_api.contract import Operation

BUILT_IN = [operation for operation in discover().operations() if operation.run.__module__.startswith("callsheet.")]
REQUIREMENT_OF_NAME = {"ffmpeg": "ffmpeg", "find_embedder": "search", "find_engine": "speech", "synthesize": "voice"}
"""The requirement of each name that an operation may use: `job.ffmpeg`, the lookup of a speech engine, and hibari."""


def used_names(operation: Operation) -> set[str]:
    """Return all names that an operation and the helpers that it calls in `callsheet.operations` use."""
    names: set[str] = set()
    visited: set[CodeType] = set()
    pending: list[FunctionType] = [operation.run]
    while pending:
        function = pending.pop()
        if function.__code__ in visited:
            continue
        visited.add(function.__code__)
        used = {name for code in nested_code(function.__code__) for name in code.co_names}
        names |= used
        for name in used:
            pending += helper_functions(function.__globals__.get(name))
    return names


def nested_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested_code(constant)


def helper_functions(value: object) -> Iterator[FunctionType]:
    if not getattr(value, "__module__", "").startswith("callsheet.operations."):
        return
    members = vars(value).values() if inspect.isclass(value) else [value]
    for member in members:
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if isinstance(function, FunctionType):
            yield function


@pytest.mark.parametrize("operation", BUILT_IN, ids=lambda operation: operation.name)
def test_every_operation_declares_the_requirements_of_the_services_that_it_uses(operation: Operation):
    used = {REQUIREMENT_OF_NAME[name] for name in used_names(operation) & REQUIREMENT_OF_NAME.keys()}

    assert used <= operation.needs


def test_the_check_covers_the_built_in_operations():
    assert {"render", "preview", "caption", "comfyui"} <= {operation.name for operation in BUILT_IN}
    assert {operation.name for operation in BUILT_IN if "ffmpeg" not in used_names(operation)} == {
        "ad-action",
        "approve",
        "attribute-deal",
        "clean-up-disk",
        "command",
        "content",
        "generate",
        "http",
        "monitor-fatigue",
        "train-lora",
        "train-voice",
        "watch-resources",
    }
