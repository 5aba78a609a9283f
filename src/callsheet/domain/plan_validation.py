"""Checking a whole plan against the known operations, telling every problem at once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import UnionType
from typing import Any, Protocol, TypeVar, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from callsheet.domain import references
from callsheet.domain.errors import BadParams, PlanRefused, Problem
from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.domain.references import Reference

M = TypeVar("M", bound=BaseModel)

_TOLD = "told"
"""Under this name an error of pydantic holds a message of ours."""


class Declared(Protocol):
    """What checking needs to know of an operation."""

    @property
    def name(self) -> str:
        """The name it is stored by."""

    @property
    def params(self) -> type[BaseModel]:
        """What it takes."""

    @property
    def result(self) -> type[BaseModel]:
        """What it returns."""

    @property
    def validation_context(self) -> Any:
        """Passed to the validators of `params`, as pydantic's `ValidationInfo.context`."""


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A plan in which everything holds: operations known, params fit, and the graph has no cycle."""

    plan: Plan
    operations: dict[str, str]
    """Job id → the operation's own name (aliases resolved)."""
    upstream: dict[str, list[str]] = field(default_factory=dict)
    """Job id → the jobs it waits for, without repeats."""


def read_submission(data: Any, operations: Mapping[str, Declared] | None = None) -> Submission:
    """Return the submission in `data`, or raise PlanRefused with every field that does not fit.

    With `operations`, the refusal also tells what `check_plan` finds in the parts that can be read.
    """
    return _read(Submission, data, operations)


def read_plan(data: Any, operations: Mapping[str, Declared] | None = None) -> Plan:
    """Return the plan in `data`, or raise PlanRefused, as `read_submission` does."""
    return _read(Plan, data, operations)


def _read(model: type[M], data: Any, operations: Mapping[str, Declared] | None) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = list(validation_problems(error, model))
        if operations is not None:
            problems += _in_readable_parts(data, operations)
        raise PlanRefused(problems) from None


def _in_readable_parts(data: Any, operations: Mapping[str, Declared]) -> Iterator[Problem]:
    """Check the jobs of a plan that has other faults, without the fields that have them."""
    plan, prefix = data, ""
    for name in ("executionPlan", "execution_plan"):
        if isinstance(data, Mapping) and name in data:
            plan, prefix = data[name], "executionPlan."
    raw = plan.get("jobs") if isinstance(plan, Mapping) else None
    if not isinstance(raw, list):
        return
    ids = [job["id"] for job in raw if isinstance(job, Mapping) and isinstance(job.get("id"), str)]
    jobs = {index: job for index, given in enumerate(raw) if (job := _readable(given)) is not None}
    known: dict[str, Declared | None] = dict.fromkeys(ids)
    for problem in _problems_in_graph(jobs, known, operations)[0]:
        yield Problem(prefix + problem.path, problem.code, problem.message)


def _readable(given: Any) -> PlannedJob | None:
    for _ in range(2):
        try:
            return PlannedJob.model_validate(given)
        except ValidationError as error:
            if not isinstance(given, Mapping):
                return None
            faulty = {problem["loc"][0] for problem in error.errors() if problem["loc"]}
            given = {name: value for name, value in given.items() if name not in faulty}
    return None


def check_plan(plan: Plan, operations: Mapping[str, Declared], *, max_jobs: int) -> CheckedPlan:
    """Check everything that can be known before a plan is stored.

    `operations` maps names and aliases to operations. Raises PlanRefused with all problems.
    """
    if len(plan.jobs) > max_jobs:
        message = f"{len(plan.jobs):,} jobs; a plan may hold {max_jobs:,}"
        raise PlanRefused([Problem("jobs", "too_many_jobs", message)])
    if not plan.jobs:
        raise PlanRefused([Problem("jobs", "empty", "a plan needs at least one job")])
    known: dict[str, Declared | None] = {}
    problems, upstream = _problems_in_graph(dict(enumerate(plan.jobs)), known, operations)
    if problems:
        raise PlanRefused(problems)
    return CheckedPlan(plan, {job: op.name for job, op in known.items() if op is not None}, upstream)


def _problems_in_graph(
    jobs: Mapping[int, PlannedJob], known: dict[str, Declared | None], operations: Mapping[str, Declared]
) -> tuple[list[Problem], dict[str, list[str]]]:
    """Return all problems, with each job's upstream jobs. `jobs` are by their place in the plan.

    `known` is filled with each job's operation; jobs that cannot be read stand in it with None.
    """
    known |= {job.id: operations.get(job.operation) for job in jobs.values()}
    problems, upstream = list(_duplicate_ids(jobs)), {}
    for index, job in jobs.items():
        where = f"jobs[{index}]"
        problems += _check_operation(job, operations, where)
        problems += _check_upstream(job, known, where)
        upstream[job.id] = _upstream_of(job, known)
    problems += _cycles(upstream)
    return problems, upstream


def _duplicate_ids(jobs: Mapping[int, PlannedJob]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, job in jobs.items():
        if job.id in first:
            message = f"the id '{job.id}' is already that of jobs[{first[job.id]}]"
            yield Problem(f"jobs[{index}].id", "duplicate_id", message)
        first.setdefault(job.id, index)


def _check_operation(job: PlannedJob, operations: Mapping[str, Declared], where: str) -> Iterator[Problem]:
    operation = operations.get(job.operation)
    if operation is None:
        message = f"unknown operation '{job.operation}'{did_you_mean(job.operation, operations)}"
        yield Problem(f"{where}.operation", "unknown_operation", message)
        return
    try:
        operation.params.model_validate(job.params, context=operation.validation_context)
    except ValidationError as error:
        for problem in validation_problems(error, operation.params, job.params):
            path = f"{where}.params.{problem.path}" if problem.path else f"{where}.params"
            yield Problem(path, problem.code, problem.message)


def _check_upstream(job: PlannedJob, known: Mapping[str, Declared | None], where: str) -> Iterator[Problem]:
    for index, upstream in enumerate(job.depends_on):
        if upstream not in known:
            message = f"there is no job '{upstream}'{did_you_mean(upstream, known)}"
            yield Problem(f"{where}.dependsOn[{index}]", "unknown_job", message)
    for path, text, reference in references.find(job.params):
        if reference is None:
            message = f"'{text}' is not a reference; write ${{job.path}}, or $${{ for a literal ${{"
            yield Problem(f"{where}.{path}", "bad_reference", message)
        elif reference.job not in known:
            message = f"{text}: there is no job '{reference.job}'{did_you_mean(reference.job, known)}"
            yield Problem(f"{where}.{path}", "unknown_job", message)
        elif (operation := known[reference.job]) is not None:
            yield from _check_path(reference, operation, f"{where}.{path}")


def _check_path(reference: Reference, operation: Declared, where: str) -> Iterator[Problem]:
    """Follow the reference through the declared result; what is declared as anything may hold anything."""
    kinds: list[Any] = [operation.result]
    for step in reference.steps:
        kinds = [inner for kind in kinds for inner in _plain(kind)]
        following = [inner for kind in kinds for inner in _into(kind, step)]
        if not following:
            names = sorted({name for kind in kinds for name in _field_names(kind)})
            hint = did_you_mean(str(step), names) if isinstance(step, str) else ""
            allowed = f"; '{operation.name}' declares {', '.join(names)}" if names and not hint else ""
            message = f"{reference.text}: the operation '{operation.name}' has no output '{step}'{hint}{allowed}"
            yield Problem(where, "unknown_output", message)
            return
        kinds = following


def _plain(kind: Any) -> Iterator[Any]:
    """Unwrap unions and annotations into the kinds of value they allow."""
    origin = get_origin(kind)
    if origin is None and isinstance(kind, type) and issubclass(kind, RootModel):
        yield from _plain(kind.model_fields["root"].annotation)
    elif hasattr(kind, "__metadata__"):
        yield from _plain(get_args(kind)[0])
    elif origin is not None and (origin is UnionType or not isinstance(origin, type)):
        for each in get_args(kind):
            yield from _plain(each)
    else:
        yield kind


def _into(kind: Any, step: str | int) -> Iterator[Any]:
    origin, args = get_origin(kind) or kind, get_args(kind)
    if kind in (Any, object):
        yield Any
    elif isinstance(origin, type) and issubclass(origin, BaseModel):
        for name, info in origin.model_fields.items():
            if step in (name, info.alias, info.serialization_alias):
                yield info.annotation
        if origin.model_config.get("extra") == "allow":
            yield Any
    elif isinstance(origin, type) and issubclass(origin, list | tuple) and isinstance(step, int):
        yield from args or [Any]
    elif isinstance(origin, type) and issubclass(origin, dict):
        yield args[1] if args else Any


def _field_names(kind: Any) -> Iterable[str]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [info.alias or name for name, info in kind.model_fields.items()]
    return []


def _upstream_of(job: PlannedJob, known: Mapping[str, Declared | None]) -> list[str]:
    referred = (r.job for _, _, r in references.find(job.params) if r is not None)
    return [upstream for upstream in dict.fromkeys([*job.depends_on, *referred]) if upstream in known]


def _cycles(upstream: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Name one cycle for each knot of jobs that wait for each other."""
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
                circle = [*trail[trail.index(following) :], following]
                yield Problem("jobs", "cycle", f"these jobs wait for each other: {' → '.join(circle)}")
            elif following not in done:
                stack.append((following, iter(upstream[following])))
                trail.append(following)
                on_trail.add(following)


def validate_params(params: dict[str, Any], model: type[BaseModel], context: Any = None) -> BaseModel:
    """Return the params as the operation's own model; raises BadParams with every problem.

    `context` is passed to the validators of the model.
    """
    try:
        return model.model_validate(params, context=context)
    except ValidationError as error:
        raise BadParams(list(validation_problems(error, model))) from None


def validation_error(problems: Iterable[Problem], title: str) -> ValidationError:
    """Return the error that a model's own validator raises of problems; `problems_in` gives them back as they are.

    Their paths are names joined by dots.
    """
    lines = [
        InitErrorDetails(
            type=PydanticCustomError(problem.code, "{told}", {_TOLD: problem.message}),
            loc=tuple(problem.path.split(".")) if problem.path else (),
            input=None,
        )
        for problem in problems
    ]
    return ValidationError.from_exception_data(title, lines)


def validation_problems(error: ValidationError, model: type[BaseModel], raw: Any = None) -> Iterator[Problem]:
    """Yield the problems of a failed validation; where `raw` holds a reference, its value is not known yet.

    Where a field takes several kinds of value, only the kind that was meant is told of.
    """
    choices: dict[str, dict[str, list[_FieldError]]] = {}
    for item in error.errors(include_url=False, include_context=True):
        if raw is not None and _waits_for_a_reference(raw, item["loc"]):
            continue
        wrong = _FieldError(item, model)
        if wrong.choice is None:
            yield wrong.problem()
        else:
            choices.setdefault(wrong.choice, {}).setdefault(wrong.kind, []).append(wrong)
    for place, kinds in choices.items():
        yield from _of_the_kind_meant(place, list(kinds.values()))


class _FieldError:
    """One complaint of pydantic, which puts the kind it tried into the place: `src.Artifact.name`, `src.str`."""

    def __init__(self, item: Any, model: type[BaseModel]) -> None:
        self.item = item
        self.choice: str | None = None
        self.kind = ""
        place: list[str | int] = []
        kinds: list[Any] = [model]
        for number, step in enumerate(item["loc"]):
            inner = [found for kind in kinds for plain in _plain(kind) for found in _into(plain, step)]
            last_unknown = item["type"] == "extra_forbidden" and number == len(item["loc"]) - 1
            if inner or last_unknown or isinstance(step, int) or not _takes_several(kinds):
                place.append(step)
                kinds = inner or kinds
            elif self.choice is None:
                self.choice, self.kind = _path(tuple(place)), step
        self.path = _path(tuple(place))
        self._siblings = [name for kind in kinds for plain in _plain(kind) for name in _field_names(plain)]

    @property
    def is_of_another_kind(self) -> bool:
        """Whether the value is not even of the kind that was tried."""
        return self.path == self.choice and self.item["type"].endswith(("_type", "_parsing"))

    @property
    def expected(self) -> str:
        """What was tried, in pydantic's words."""
        words = str(self.item["msg"]).removeprefix("Input should be ").partition(",")[0]
        return words.removesuffix(" or instance of " + self.kind).replace("valid dictionary", "valid object")

    def problem(self) -> Problem:
        if _TOLD in self.item.get("ctx", {}):
            return Problem(self.path, self.item["type"], self.item["msg"])
        message = self.item["msg"].removeprefix("Value error, ")
        if self.item["type"] == "extra_forbidden":
            message = f"unknown field{did_you_mean(str(self.item['loc'][-1]), self._siblings)}"
        elif self.item["type"] != "missing":
            message = f"{message}; got {_shortened(self.item['input'])}"
        return Problem(self.path, self.item["type"], message[:1].lower() + message[1:])


def _takes_several(kinds: list[Any]) -> bool:
    return len([plain for kind in kinds for plain in _plain(kind)]) > 1


def _of_the_kind_meant(place: str, kinds: list[list[_FieldError]]) -> Iterator[Problem]:
    meant = [wrongs for wrongs in kinds if not any(wrong.is_of_another_kind for wrong in wrongs)]
    if meant:
        yield from (wrong.problem() for wrong in min(meant, key=len))
        return
    tried = [wrongs[0] for wrongs in kinds]
    expected = " or ".join(dict.fromkeys(wrong.expected for wrong in tried))
    yield Problem(place, "wrong_type", f"input should be {expected}; got {_shortened(tried[0].item['input'])}")


def _waits_for_a_reference(raw: Any, loc: tuple[str | int, ...]) -> bool:
    value = raw
    for step in loc:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            break
    return value is not raw and references.has_reference(value)


def _path(loc: tuple[str | int, ...]) -> str:
    path = ""
    for step in loc:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` with the nearest known word, or nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean '{near[0]}'?" if near else ""
