"""Regenerate the generated parts of the documentation: `python docs/generate.py`.

A page asks for a part with two comments, and what stands between them is replaced:

    <!-- generated: settings -->
    <!-- /generated -->
"""

import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from callsheet.api.replaced_metric_names import REPLACED_NAMES
from callsheet.cli.diagnostics.codes import ERRORS, WARNINGS
from callsheet.domain import errors
from callsheet.domain.errors import PlanRefused
from callsheet.domain.events import EVENT_CLASSES
from callsheet.domain.moves import EFFECTS, MOVES, Move
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import check_plan, read_plan
from callsheet.domain.records import OperationRecord
from callsheet.domain.scopes import Scope
from callsheet.domain.statuses import ENDED, TRANSITIONS, JobStatus
from callsheet.domain.wait_reasons import MEANINGS, WaitCode
from callsheet.metrics import catalog as metric_catalog
from callsheet.operation_api.catalog import discover
from callsheet.operation_api.contract import Operation
from callsheet.operation_api.manifest import describe
from callsheet.providers.catalog import load_provider_classes
from callsheet.ready_plans import ready_plans
from callsheet.settings import Settings
from callsheet.settings.ads import AdsSettings
from callsheet.settings.agents import AgentSettings
from callsheet.settings.api import ApiSettings
from callsheet.settings.comfyui import ComfyUISettings
from callsheet.settings.embeddings import EmbeddingSettings
from callsheet.settings.enhancement import EnhancementSettings
from callsheet.settings.ffmpeg import FFmpegSettings
from callsheet.settings.generation import GenerationSettings
from callsheet.settings.installation import InstallationSettings
from callsheet.settings.intakes import IntakeSettings
from callsheet.settings.language_models import LanguageModelSettings
from callsheet.settings.logs import LogSettings
from callsheet.settings.monitoring import MonitoringSettings
from callsheet.settings.oidc import OidcSettings
from callsheet.settings.outside_steps import OutsideStepSettings
from callsheet.settings.resources import ResourceSettings
from callsheet.settings.sources import SourceSettings
from callsheet.settings.speech import SpeechSettings
from callsheet.settings.storage import StorageSettings
from callsheet.settings.telemetry import TelemetrySettings
from callsheet.settings.training import TrainingSettings
from callsheet.settings.uploads import UploadSettings
from callsheet.settings.webhooks import WebhookSettings
from callsheet.settings.worker import WorkerSettings

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


def main() -> None:
    """Rewrite the pages that are out of date and name them."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text()
        fresh = refreshed(text)
        if fresh != text:
            page.write_text(fresh)
            sys.stdout.write(f"{page.relative_to(DOCS.parent)} regenerated\n")


def refreshed(page: str) -> str:
    """Return a page with its generated parts as they are now."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part['name']](page).strip()}\n{part[3]}", page)


# Settings

_GROUPS: dict[str, tuple[type[BaseModel], ...]] = {
    "Folders and database": (InstallationSettings,),
    "Storage": (StorageSettings,),
    "Media sources": (SourceSettings,),
    "Uploads": (UploadSettings,),
    "API": (ApiSettings,),
    "Sign-in provider": (OidcSettings,),
    "Workers": (WorkerSettings,),
    "FFmpeg": (FFmpegSettings,),
    "Speech": (SpeechSettings,),
    "Language model": (LanguageModelSettings,),
    "Upscaling": (EnhancementSettings,),
    "Generation": (GenerationSettings,),
    "Steps in other languages": (OutsideStepSettings,),
    "ComfyUI": (ComfyUISettings,),
    "Training": (TrainingSettings,),
    "Webhooks": (WebhookSettings,),
    "Intakes": (IntakeSettings,),
    "Agents": (AgentSettings,),
    "Ads": (AdsSettings, EmbeddingSettings),
    "Monitoring": (MonitoringSettings, ResourceSettings, TelemetrySettings),
    "Logs": (LogSettings,),
}


def settings_part(_page: str) -> str:
    """Return every setting with its aliases, default and description."""
    lines: list[str] = []
    for title, groups in _GROUPS.items():
        lines += ["", f"## {title}", "", "| Setting | Default | Meaning |", "|---|---|---|"]
        for name in (name for group in groups for name in group.model_fields):
            field = Settings.model_fields[name]
            lines.append(f"| `CALLSHEET_{name.upper()}` | {_default_of(name, field)} | {_meaning_of(name, field)} |")
    return "\n".join([*lines, *_provider_settings()])


def _provider_settings() -> Iterator[str]:
    """Yield a table of the settings of each installed provider."""
    for provider in load_provider_classes().values():
        fields, variables = provider.settings_class.model_fields, provider.settings_class.variables
        yield from ("", f"## Provider `{provider.name}`", "", "| Setting | Default | Meaning |", "|---|---|---|")
        for name, field in fields.items():
            variable = variables(name)[0]
            default = "required" if field.is_required() else _default_of(name, field)
            yield f"| `{variable}` | {default} | {_meaning_of(variable.removeprefix('CALLSHEET_'), field)} |"


def _default_of(name: str, field: FieldInfo) -> str:
    if name == "data_dir":
        return "`~/.local/share/callsheet`"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ("", [], {}):
        return "unset"
    if isinstance(value, dict):
        return "`" + ",".join(f"{queue}={size}" for queue, size in value.items()) + "`"
    if isinstance(value, timedelta):
        return f"`{_short(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`{_in_units(value)}"


def _short(length: timedelta) -> str:
    seconds = length.total_seconds()
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds / 3600:g}h"
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds / 60:g}m"
    return f"{seconds:g}s"


def _in_units(value: object) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if isinstance(value, int) and value >= size and value % size == 0:
            return f" ({value // size} {unit})"
    return ""


def _meaning_of(name: str, field: FieldInfo) -> str:
    choices = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
    others = [c for c in choices if isinstance(c, str) and c.upper() == c and c != f"CALLSHEET_{name.upper()}"]
    words = [(field.description or "").rstrip(".") + "."]
    if others:
        words.append(f"Also read from {_and(others)}.")
    if SecretStr in (field.annotation, *get_args(field.annotation)):
        words.append("Secret.")
    return _cell(" ".join(words))


# Operations

_PLAIN = {"Artifact": "file", "MediaSource": "media source"}
_NOT_SHOWN = {*_PLAIN, "Probe"}

Places = dict[str, str]
"""Under which operation each model is described, by the model's name."""


def operations_part(_page: str) -> str:
    """Return every installed operation with its params and results; shared models appear once."""
    homes: dict[type[BaseModel], str] = {}
    return "\n\n".join(_operation(operation, homes) for operation in discover().operations())


def _operation(operation: Operation, homes: dict[type[BaseModel], str]) -> str:
    record = describe(operation)
    takes = operation.params.model_json_schema(by_alias=False)
    gives = operation.result.model_json_schema(by_alias=False, mode="serialization")
    models = {name: model for name, model in _models_in(operation.params).items() if model is not operation.params}
    new = {name: model for name, model in models.items() if model not in homes and name not in _NOT_SHOWN}
    homes.update(dict.fromkeys(new.values(), record.name))
    homes[operation.params] = record.name
    places = {name: homes.get(model, record.name) for name, model in models.items()}
    parts = [f"## {record.name}", record.summary, _facts(record), "\n".join(_table(places, takes, operation.params))]
    for name, model in new.items():
        schema = takes.get("$defs", {}).get(name)
        if schema is not None:
            about = schema.get("description", "")
            parts += [f"### {record.name}: {_heading(name)}", about, "\n".join(_table(places, schema, model))]
    parts += ["Returns:", *_given(operation, record.name, gives, homes)]
    return "\n\n".join(parts)


def _given(operation: Operation, name: str, schema: dict[str, Any], homes: dict[type[BaseModel], str]) -> Iterator[str]:
    """Yield the result of the operation, followed by its models that are not described elsewhere."""
    models = {key: model for key, model in _models_in(operation.result).items() if model is not operation.result}
    new = {key: model for key, model in models.items() if model not in homes and key not in _NOT_SHOWN}
    homes.update(dict.fromkeys(new.values(), name))
    places = {key: homes.get(model, name) for key, model in models.items()}
    yield "\n".join(_returned(places, schema))
    for key in new:
        if (inner := schema.get("$defs", {}).get(key)) is not None:
            yield from (f"### {name}: {_heading(key)}", inner.get("description", ""))
            yield "\n".join(_returned(places, inner))


def _facts(record: OperationRecord) -> str:
    facts = [
        f"Queue `{record.queue}`, priority {record.priority}",
        f"time limit {_short(timedelta(seconds=record.timeout))}",
        f"{record.attempts} attempts",
    ]
    if record.needs:
        facts.append(f"needs {_and(record.needs)}")
    text = ", ".join(facts) + "."
    return text + (f" Also known as {_and(record.aliases)}." if record.aliases else "")


def _table(places: Places, schema: dict[str, Any], model: type[BaseModel]) -> Iterator[str]:
    yield "| Parameter | Type | Default | Meaning |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        prop = schema["properties"][name]
        default = "required" if field.is_required() else _json_default(prop)
        others = _other_names(name, field)
        also = f"Also `{'`, `'.join(others)}`." if others else ""
        meaning = " ".join(filter(None, [_sentence(_description(prop)), also]))
        yield f"| `{to_camel(name)}` | {_cell(_kind(places, prop))} | {default} | {_cell(meaning)} |"


def _returned(places: Places, schema: dict[str, Any]) -> Iterator[str]:
    yield "| Field | Type | Meaning |"
    yield "|---|---|---|"
    for name, prop in schema["properties"].items():
        meaning = _sentence(_description(prop))
        yield f"| `{to_camel(name)}` | {_cell(_kind(places, prop))} | {_cell(meaning)} |"


def _anchor(operation: str, heading: str) -> str:
    """Return the anchor of a model: its own heading, or that of the operation whose params it is."""
    return operation if heading == f"{operation} params" else f"{operation}-{heading.replace(' ', '-')}"


def _kind(places: Places, schema: dict[str, Any]) -> str:
    """Say in words what a JSON Schema accepts."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _PLAIN.get(name) or f"[{_heading(name)}](#{_anchor(places[name], _heading(name))})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(places, each) for each in choices if each.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        inner = _kind(places, schema.get("items", {}))
        return f"list of {inner}s" if inner in ("file", "text", "number", "media source") else f"list of {inner}"
    words = {"string": "text", "boolean": "true or false", "object": "object"}
    kind = words.get(schema.get("type", ""), schema.get("type", "anything"))
    return " ".join(filter(None, [kind, _bounds(schema)]))


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("ge")), schema.get("maximum", schema.get("le"))
    above = schema.get("exclusiveMinimum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    parts = []
    if above is not None:
        parts.append(f"above {above}")
    if low is not None:
        parts.append(f"from {low}")
    if high is not None:
        parts.append(f"up to {high}")
    return " ".join(parts)


def _description(schema: dict[str, Any]) -> str:
    inner = [each.get("description", "") for each in schema.get("anyOf", ())]
    return schema.get("description") or next(filter(None, inner), "")


def _json_default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    if default in (None, {}, []) or isinstance(default, dict):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _other_names(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else []
    return [c for c in choices if isinstance(c, str) and to_camel(c) == c and c != to_camel(name)]


def _models_in(kind: Any) -> dict[str, type[BaseModel]]:
    """Return the models that a model is made of, itself included, by name."""
    found: dict[str, type[BaseModel]] = {}
    waiting = [kind]
    for each in waiting:
        if isinstance(each, type) and issubclass(each, BaseModel) and each.__name__ not in found:
            found[each.__name__] = each
            waiting += [field.annotation for field in each.model_fields.values()]
        waiting += get_args(each)
    return found


def _heading(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()


# States


def states_part(_page: str) -> str:
    """Return the diagram of job statuses, from the one table of moves."""
    between: dict[tuple[str, str], list[str]] = {}
    for (start, move), ends in TRANSITIONS.items():
        for end in sorted(ends):
            between.setdefault((start, end), []).append(move.value.replace("_", " "))
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {status}" for status in (JobStatus.PENDING, JobStatus.QUEUED, JobStatus.SCHEDULED)]
    lines += [f"    {start} --> {end}: {', '.join(moves)}" for (start, end), moves in between.items()]
    lines += [f"    {status} --> [*]" for status in sorted(ENDED)]
    return "\n".join([*lines, "```"])


# Moves of people


def moves_part(_page: str) -> str:
    """Return what operators can do with single jobs, and in which statuses."""
    lines = ["| Move | In status | Effect |", "|---|---|---|"]
    for move, effect in EFFECTS.items():
        statuses = ", ".join(f"`{status}`" for status in JobStatus if status in MOVES[move])
        on_hold = ", while on hold" if move is Move.RELEASE else ", unless on hold" if move is Move.HOLD else ""
        lines.append(f"| `{move}` | {statuses}{on_hold} | {effect} |")
    return "\n".join(lines)


# Errors

_ALSO_END_JOBS = (errors.BadParams, errors.BadSource)


def errors_part(_page: str) -> str:
    """Return the codes that a job can fail with."""
    kinds: list[type[errors.CallsheetError]] = [*_tree(errors.JobError), *_ALSO_END_JOBS]
    lines = ["| Code | Meaning | Tried again |", "|---|---|---|"]
    for error in kinds:
        meaning = (error.__doc__ or "").strip().splitlines()[0].rstrip(".")
        again = "yes" if issubclass(error, errors.Transient) else "no"
        lines.append(f"| `{error.code}` | {meaning}. | {again} |")
    lines += [f"| `{code}` | {meaning} | no |" for code, meaning in errors.SQL_ERROR_CODES.items()]
    return "\n".join(lines)


def _tree(error: type[errors.CallsheetError]) -> Iterator[type[errors.CallsheetError]]:
    yield error
    for below in error.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _tree(below)


# Wait reasons

_STATUS_OF_REASON = {
    WaitCode.DEPENDENCIES: JobStatus.PENDING,
    WaitCode.CHILD_JOBS: JobStatus.PENDING,
    WaitCode.ON_HOLD: JobStatus.PENDING,
    WaitCode.START_TIME: JobStatus.SCHEDULED,
    WaitCode.RETRY_BACKOFF: JobStatus.SCHEDULED,
    WaitCode.PROVIDER_UNAVAILABLE: JobStatus.SCHEDULED,
    WaitCode.PROVIDER: JobStatus.WAITING,
    WaitCode.SUBMISSION_HELD: JobStatus.WAITING,
    WaitCode.WAITING_FOR_APPROVAL: JobStatus.WAITING,
    WaitCode.STORAGE_OUTAGE: JobStatus.RUNNING,
    WaitCode.SERVER: JobStatus.RUNNING,
}


def wait_reasons_part(_page: str) -> str:
    """Return the reasons why a job waits, with the status of the job."""
    lines = ["| Reason | Status of the job | Meaning |", "|---|---|---|"]
    for code, meaning in MEANINGS.items():
        lines.append(f"| `{code}` | `{_STATUS_OF_REASON.get(code, JobStatus.QUEUED)}` | {meaning} |")
    return "\n".join(lines)


# Events


def events_part(_page: str) -> str:
    """Return every event type with its data and its meaning."""
    lines = ["| Event | Data | When |", "|---|---|---|"]
    for event in EVENT_CLASSES:
        schema = event.model_json_schema(mode="serialization")
        data = schema["properties"]["data"]
        fields = schema["$defs"][data["$ref"].rpartition("/")[2]] if "$ref" in data else data
        kind = schema["properties"]["type"]["const"]
        lines.append(f"| `{kind}` | {_cell(_event_data(fields))} | {_cell(event.__doc__ or '')} |")
    return "\n".join(lines)


def _event_data(schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    names = [
        f"`{name}`" + ("" if name in required else " (optional)") + (f": {about}" if about else "")
        for name, field in schema.get("properties", {}).items()
        for about in [_description(field)]
    ]
    return "; ".join(names + (["any others"] if schema.get("additionalProperties") else []))


# Refusals


def refusals_part(page: str) -> str:
    """Return what is said of the plan on this page that is marked as refused."""
    found = re.search(r"```yaml refused\n(.*?)```", page, re.DOTALL)
    if found is None:
        raise ValueError("the page has no block ```yaml refused")
    try:
        catalog = discover().with_settings(Settings(_env_file=None))
        check_plan(read_plan(read_plan_text(found[1], max_bytes=2**20)), catalog, max_jobs=10_000)
    except PlanRefused as refused:
        return f"```text\n{refused}\n```"
    raise ValueError("the plan is not refused")


# Routes


def api_description() -> dict[str, Any]:
    """Return the OpenAPI document of a server with the installed operations."""
    from callsheet.api.app import create_app
    from callsheet.comfyui.pool import Pool
    from callsheet.comfyui.server_records import ServerListing
    from callsheet.db.database import Database
    from callsheet.engine.reads.event_stream import EventStream
    from callsheet.wiring import Runtime

    database = Database("postgresql://nowhere")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    # Nothing of it is opened: only the description is read.
    pool = Pool(settings)
    servers = ServerListing(pool)
    runtime = Runtime(
        settings, database, database, discover(), None, b"", EventStream(database), {}, pool, servers, None
    )  # type: ignore[arg-type]
    return create_app(runtime).openapi()


def routes_part(_page: str) -> str:
    """Return the routes of the API with their summaries, and then the aliases of routes."""
    from callsheet.api.route_aliases import ROUTE_ALIASES

    lines = ["| Request | What it does | Scope |", "|---|---|---|"]
    for path, methods in api_description()["paths"].items():
        for method, about in methods.items():
            scopes = [scope for needed in about["security"] for scope in needed["apiKey"]]
            shown = "any" if len(scopes) == len(Scope) else " or ".join(f"`{scope}`" for scope in scopes)
            lines.append(f"| `{method.upper()} {path}` | {about['summary']} | {shown} |")
    lines += [
        f"| `{method} {alias}` | Alias of `{method} {path}` | |" for (method, alias), path in ROUTE_ALIASES.items()
    ]
    return "\n".join(lines)


# Ready plans


def ready_plans_part(_page: str) -> str:
    """Return the table of the plans that come with Callsheet."""
    lines = ["| Plan | Inputs | |", "|---|---|---|"]
    for name, plan in ready_plans().items():
        inputs = ", ".join(f"`{each}`" if declared.is_required else each for each, declared in plan.inputs.items())
        lines.append(f"| `{name}` | {inputs} | {_cell(plan.description or '')} |")
    return "\n".join([*lines, "", "Required inputs are in `code`."])


# Metrics


def metrics_part(_page: str) -> str:
    """Return every metric with its kind, labels and meaning."""
    lines = []
    for title, group in (
        ("Of the installation", metric_catalog.INSTALLATION),
        ("Of the process", metric_catalog.PROCESS),
    ):
        lines += ["", f"### {title}", "", "| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
        lines += [_metric_row(each.name, each.kind, each.labels, each.meaning) for each in group.values()]
    return "\n".join(lines)


def replaced_metrics_part(_page: str) -> str:
    """Return the metrics under the names of replaced systems."""
    lines = ["| Metric | Kind | Labels | Meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_metric_row(name, *about) for name, about in REPLACED_NAMES.items())])


def _metric_row(name: str, kind: str, labels: tuple[str, ...], meaning: str) -> str:
    listed = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {kind} | {listed} | {_cell(_sentence(meaning))} |"


# Findings of `callsheet check`


def findings_part(_page: str) -> str:
    """Return the codes of findings with their levels and meanings."""
    lines = ["| Code | Level | Meaning |", "|---|---|---|"]
    for level, codes in (("error", ERRORS), ("warning", WARNINGS)):
        lines += [f"| `{code}` | {level} | {_cell(_sentence(meaning))} |" for code, meaning in codes.items()]
    return "\n".join(lines)


PARTS: dict[str, Callable[[str], str]] = {
    "errors": errors_part,
    "events": events_part,
    "findings": findings_part,
    "metrics": metrics_part,
    "replaced-metrics": replaced_metrics_part,
    "operations": operations_part,
    "ready-plans": ready_plans_part,
    "refusals": refusals_part,
    "routes": routes_part,
    "settings": settings_part,
    "states": states_part,
    "moves": moves_part,
    "wait-reasons": wait_reasons_part,
}


def _and(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _sentence(text: str) -> str:
    return text.rstrip(".") + "." if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main()
