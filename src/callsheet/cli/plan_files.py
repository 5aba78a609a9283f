"""Local files that a plan names: found by the schemas of its operations, and replaced by uploads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from callsheet.domain.errors import BadSource, PlanRefused, Problem
from callsheet.domain.media_source import MediaSource, SourceKind
from callsheet.files.sources import resolve_local

_Schema = Mapping[str, Any]
_MAX_LENGTH = 1000
_ADVICE = "Correct the path, allow its folder with --allow DIR, or keep paths for the workers with --no-upload"


class _Text(NamedTuple):
    """A text in params that may be a local path."""

    path: str
    """Where it is in the plan: `jobs[0].params.src`."""
    text: str
    holder: Any
    key: Any
    is_source: bool
    """Whether the schema accepts only media sources there."""


class LocalFile(NamedTuple):
    """A local file that a plan names."""

    file: Path
    replace: Callable[[str], None]
    """Puts another media source in its place."""


class PlanFiles(NamedTuple):
    """The local files of a plan."""

    files: list[LocalFile]
    left_for_workers: list[str]
    """Absolute paths that are not allowed here or do not exist: a worker may have them."""


def may_have_local_files(plan: Any) -> bool:
    """Return whether any text in the plan could be a local path, without knowing its operations."""
    return any(is_path(text) for job in _jobs(plan) for text in _texts_in(job.get("params")))


def find_plan_files(plan: Any, operations: Sequence[Mapping[str, Any]], roots: Sequence[Path]) -> PlanFiles:
    """Find the local files that a plan names. `operations` are the records of the server.

    Relative paths start at the first of the folders `roots`; only files in these folders are found. Raises PlanRefused
    with every relative path that leads to no such file.
    """
    schemas = {name: each["paramsSchema"] for each in operations for name in (each["name"], *each["aliases"])}
    found, left, problems = [], [], []
    for index, job in enumerate(_jobs(plan)):
        schema = schemas.get(str(job.get("operation")))
        if schema is None or not isinstance(job.get("params"), dict):
            continue
        for text in _Walk(schema).texts(job["params"], f"jobs[{index}].params"):
            try:
                found.append(LocalFile(resolve_local(text.text, roots), _replacement(text)))
            except BadSource as error:
                if not text.is_source:
                    continue
                if Path(text.text).is_absolute():
                    left.append(f"{text.path}: {text.text}")
                else:
                    problems.append(Problem(text.path, error.code, f"{error.message}. {_ADVICE}"))
    if problems:
        raise PlanRefused(problems)
    return PlanFiles(found, left)


def _replacement(text: _Text) -> Callable[[str], None]:
    def replace(source: str) -> None:
        text.holder[text.key] = source

    return replace


def _jobs(plan: Any) -> list[dict[str, Any]]:
    if isinstance(plan, dict):
        plan = plan.get("executionPlan") or plan.get("execution_plan") or plan
    jobs = plan.get("jobs") if isinstance(plan, dict) else plan
    return [job if isinstance(job, dict) else {} for job in jobs] if isinstance(jobs, list) else []


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)


def is_path(text: str) -> bool:
    """Return whether a text names a local file as a media source does, whether or not it exists."""
    if "${" in text or "\n" in text or len(text) > _MAX_LENGTH:
        return False
    try:
        source = MediaSource.model_validate(text)
    except ValidationError:
        return False
    return source.kind is SourceKind.PATH and "://" not in text


def _looks_like_file_name(text: str) -> bool:
    return (bool(Path(text).suffix) and not text.startswith(".")) or text.startswith(("./", "../"))


class _Walk:
    """Walks through params beside their JSON Schema."""

    def __init__(self, schema: _Schema) -> None:
        self._schema = schema
        self._definitions: Mapping[str, _Schema] = schema.get("$defs", {})

    def texts(self, params: dict[str, Any], path: str) -> Iterator[_Text]:
        """Yield the texts in params that may be local paths."""
        yield from self._visit(params, [self._schema], path, holder=None, key=None)

    def _visit(self, value: Any, schemas: Sequence[_Schema], path: str, *, holder: Any, key: Any) -> Iterator[_Text]:
        alternatives = [inner for schema in schemas for inner in self._alternatives(schema)]
        if isinstance(value, str):
            if is_path(value):
                yield from self._text(_Text(path, value, holder, key, is_source=False), alternatives)
        elif isinstance(value, dict):
            for name, inner in value.items():
                below = [found for each in alternatives for found in _property(each, str(name))]
                yield from self._visit(inner, below, f"{path}.{name}", holder=value, key=name)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                below = [found for each in alternatives for found in _item(each, index)]
                yield from self._visit(inner, below, f"{path}[{index}]", holder=value, key=index)

    def _text(self, text: _Text, alternatives: Sequence[_Schema]) -> Iterator[_Text]:
        sources = [each for each in alternatives if each.get("format") == "media-source"]
        others = [each for each in alternatives if each.get("type") == "string" or "enum" in each or "const" in each]
        if sources:
            yield text._replace(is_source=not others)
        elif not others and _looks_like_file_name(text.text):
            # The schema does not say what a text means here: an input of a model, or a short form of an object.
            yield text

    def _alternatives(self, schema: Any) -> Iterator[_Schema]:
        """Yield the schemas that a schema combines or refers to. A media source is not taken apart."""
        if not isinstance(schema, dict):
            return
        if "$ref" in schema and schema.get("format") != "media-source":
            yield from self._alternatives(self._definitions.get(schema["$ref"].rpartition("/")[2]))
        combined = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
        if combined and schema.get("format") != "media-source":
            for each in combined:
                yield from self._alternatives(each)
        if schema.get("format") == "media-source" or not combined:
            yield schema


def _property(schema: _Schema, name: str) -> list[_Schema]:
    properties = schema.get("properties", {})
    found = properties.get(name) or properties.get(to_camel(name)) or schema.get("additionalProperties")
    return [found] if isinstance(found, dict) else []


def _item(schema: _Schema, index: int) -> list[_Schema]:
    prefix = schema.get("prefixItems", [])
    found = prefix[index] if index < len(prefix) else schema.get("items")
    return [found] if isinstance(found, dict) else []
