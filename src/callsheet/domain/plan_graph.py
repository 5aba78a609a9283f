"""Checks of a plan's graph: job ids, dependencies, references and cycles."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Protocol

from pydantic import BaseModel

from callsheet.domain import references
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import Problem
from callsheet.domain.model_types import field_names, member_types, unwrap
from callsheet.domain.plan import PlannedJob
from callsheet.domain.references import Reference


class OperationSignature(Protocol):
    """The part of an operation that plan validation needs."""

    @property
    def name(self) -> str:
        """The stored name."""

    @property
    def params(self) -> type[BaseModel]:
        """The model of the params."""

    @property
    def result(self) -> type[BaseModel]:
        """The model of the result."""

    @property
    def validation_context(self) -> Any:
        """Passed to the validators of `params`, as pydantic's `ValidationInfo.context`."""


_MAX_CYCLE = 20
"""Jobs of a cycle that a message names."""

OperationsByJob = Mapping[str, OperationSignature | None]
"""Job id → its operation; None for a job that could not be parsed, or whose operation is unknown."""


def duplicate_ids(jobs: Mapping[int, PlannedJob]) -> Iterator[Problem]:
    """Yield a problem for each job whose id is used before. `jobs` are by their index in the plan."""
    first: dict[str, int] = {}
    for index, job in jobs.items():
        if job.id in first:
            message = f"the id '{job.id}' is already used by jobs[{first[job.id]}]"
            yield Problem(f"jobs[{index}].id", "duplicate_id", message)
        first.setdefault(job.id, index)


def count_edges(jobs: Iterable[PlannedJob], limit: int) -> int:
    """Return the number of entries of `dependsOn` and of references, counted to `limit` + 1."""
    edges = chain.from_iterable(chain(job.depends_on, references.find(job.params)) for job in jobs)
    return sum(1 for _ in islice(edges, limit + 1))


def check_dependencies(job: PlannedJob, operations: OperationsByJob, path: str) -> Iterator[Problem]:
    """Yield the problems of a job's `dependsOn` and references. `path` is that of the job."""
    for index, upstream in enumerate(job.depends_on):
        if upstream not in operations:
            message = f"there is no job '{upstream}'{did_you_mean(upstream, operations)}"
            yield Problem(f"{path}.dependsOn[{index}]", "unknown_job", message)
    for place, text, reference in references.find(job.params):
        if reference is None:
            message = f"'{text}' is not a reference; write ${{job.path}}, or $${{ for a literal ${{"
            yield Problem(f"{path}.{place}", "bad_reference", message)
        elif reference.job not in operations:
            message = f"{text}: there is no job '{reference.job}'{did_you_mean(reference.job, operations)}"
            yield Problem(f"{path}.{place}", "unknown_job", message)
        elif (operation := operations[reference.job]) is not None:
            yield from _check_output_path(reference, operation, f"{path}.{place}")


def _check_output_path(reference: Reference, operation: OperationSignature, path: str) -> Iterator[Problem]:
    """Follow a reference through the declared result type. A member of type `Any` accepts every further step."""
    types: list[Any] = [operation.result]
    for step in reference.steps:
        types = [plain for declared in types for plain in unwrap(declared)]
        inner = [found for declared in types for found in member_types(declared, step)]
        if not inner:
            names = sorted({name for declared in types for name in field_names(declared)})
            hint = did_you_mean(str(step), names) if isinstance(step, str) else ""
            outputs = f"; '{operation.name}' declares {', '.join(names)}" if names and not hint else ""
            message = f"{reference.text}: the operation '{operation.name}' has no output '{step}'{hint}{outputs}"
            yield Problem(path, "unknown_output", message)
            return
        types = inner


def upstream_jobs(job: PlannedJob, operations: OperationsByJob) -> list[str]:
    """Return the existing jobs that a job waits for, by `dependsOn` and by reference, without repeats."""
    referred = (reference.job for _, _, reference in references.find(job.params) if reference is not None)
    return [upstream for upstream in dict.fromkeys([*job.depends_on, *referred]) if upstream in operations]


def find_cycles(upstream: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Yield a problem for each cycle that a depth-first search meets. Iterative, as chains can be thousands long."""
    done: set[str] = set()
    for start in upstream:
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = []
        if start not in done:
            stack.append((start, iter(upstream[start])))
            trail.append(start)
            on_trail.add(start)
        while stack:
            job, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                on_trail.discard(job)
                done.add(job)
            elif following in on_trail:
                yield Problem("jobs", "cycle", _cycle_message([*trail[trail.index(following) :], following]))
            elif following not in done:
                stack.append((following, iter(upstream[following])))
                trail.append(following)
                on_trail.add(following)


def _cycle_message(cycle: list[str]) -> str:
    if len(cycle) > _MAX_CYCLE:
        cycle = [*cycle[: _MAX_CYCLE // 2], "…", *cycle[-_MAX_CYCLE // 2 :]]
    return f"these jobs wait for each other: {' → '.join(cycle)}"
