"""The tasks of the application by name: their queues, and how their arguments become a plan."""

from collections.abc import Mapping, Sequence
from typing import Any

from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.domain.resources import earlier_document
from callsheet.intake.mappings import Payload, PlanData, PlanMapping
from callsheet.settings import Settings

QUEUES: Mapping[str, str] = {
    "render_video_task": "render_queue",
    "generate_preview_task": "preview_queue",
    "transcode_task": "transcode_queue",
    "caption_task": "caption_queue",
    "cleanup_task": "preview_queue",
    "monitor_resources_task": "preview_queue",
    "process_hubspot_webhook": "hubspot-webhook-events",
    "monitor_fatigue": "fatigue-monitoring",
    "monitor_all_ads_fatigue": "fatigue-monitoring",
    "auto_index_winner": "budget-optimization",
}
"""Built-in tasks, and the queue to which each is sent."""

MEASUREMENT = "watch-resources"
"""Operation of `monitor_resources_task`, and id of its job."""
CLEAN_UP = "clean-up-disk"
"""Operation of `cleanup_task`, and id of its job."""
PREVIOUS = "previous"
"""Field of a body with the results of the tasks before, in a chain or chord."""

_SOURCES = ("src", "source", "path", "url", "video", "video_path", "videoPath")
"""The param for the input file of an operation, with its other names."""


def _without_previous(payload: Payload) -> dict[str, Any]:
    """Return the arguments of the task alone. For the mapping `plan`, they are a plan or a submission."""
    return {key: value for key, value in payload.data.items() if key != PREVIOUS}


def _operation(name: str) -> PlanMapping:
    """Return the mapping of a task to one job. Without an input file, it gets that of the task before."""

    def plan(payload: Payload) -> PlanData:
        params = _without_previous(payload)
        inputs = [_main_file(result) for result in payload.data.get(PREVIOUS, [])]
        if inputs and not any(source in params for source in _SOURCES):
            if len(inputs) > 1:
                raise BadParams(
                    [Problem("src", "invalid_value", f"takes one file, not the {len(inputs)} of the chord")]
                )
            params["src"] = inputs[0]
        return _plan_of(payload, name, params)

    return plan


def _render(payload: Payload) -> PlanData:
    """Return the plan of a film. Without scenes, it joins the videos of the tasks before."""
    params = _without_previous(payload)
    inputs = [_main_file(result) for result in payload.data.get(PREVIOUS, [])]
    if inputs and "scenes" not in params:
        params["scenes"] = [{"src": source} for source in inputs]
    return _plan_of(payload, "render", params)


def _deal(payload: Payload) -> PlanData:
    """Return the plan of a change of a deal."""
    return _plan_of(payload, "attribute-deal", _without_previous(payload))


def _fatigue(payload: Payload) -> PlanData:
    """Return the plan of a look at the ads of a tenant; without arguments, at those of all."""
    return _plan_of(payload, "monitor-fatigue", _without_previous(payload))


def _winner(payload: Payload) -> PlanData:
    """Return the plan that indexes a creative; without arguments, the one that renews the index of a tenant."""
    params = _without_previous(payload)
    for name, other in (("creative_dna", "attributes"), ("creativeDna", "attributes")):
        if name in params:
            params[other] = params.pop(name)
    tenant: dict[str, Any] = {name: params.pop(name) for name in ("tenantId", "tenant_id") if name in params}
    if "creatives" not in params and params:
        params = {"creatives": [params]}
    return _plan_of(payload, "index-winners", {**tenant, **params})


def _clean_up(payload: Payload) -> PlanData:
    """Return the plan that cleans the disk of one machine. The limits are those of the settings, not of arguments."""
    return _plan_of(payload, CLEAN_UP, {})


def _resources(payload: Payload) -> PlanData:
    """Return the plan of a measurement of the machine of a worker."""
    return _plan_of(payload, MEASUREMENT, _without_previous(payload))


def _plan_of(payload: Payload, operation: str, params: Mapping[str, Any]) -> PlanData:
    job = {"id": operation, "operation": operation, "params": params}
    return {"name": f"{payload.name} {payload.message_id}"[:200], "jobs": [job]}


def _main_file(result: Mapping[str, Any]) -> str:
    if not result.get("key"):
        raise BadParams([Problem("src", "missing", "the task before has produced no file")])
    return f"storage:{result['key']}"


MAPPINGS: Mapping[str, PlanMapping] = {
    "plan": _without_previous,
    "render_video_task": _render,
    "generate_preview_task": _operation("preview"),
    "transcode_task": _operation("transcode"),
    "caption_task": _operation("caption"),
    "process_hubspot_webhook": _deal,
    "monitor_fatigue": _fatigue,
    "monitor_all_ads_fatigue": _fatigue,
    "auto_index_winner": _winner,
    "cleanup_task": _clean_up,
    "monitor_resources_task": _resources,
}
"""Built-in mappings of the arguments of a task to a plan."""


def earlier_result(task: str, results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the result of a task has in addition, where its readers expect it.

    That is: the fields of a measurement, and the counts of a clean-up.
    """
    if task == "cleanup_task":
        return results.get(CLEAN_UP) or {}
    measured = results.get(MEASUREMENT)
    return earlier_document(measured) if task == "monitor_resources_task" and measured is not None else {}


POSITIONS: Mapping[str, tuple[str, ...]] = {"auto_index_winner": ("ad_id", "creative_dna")}
"""Names of the arguments of built-in tasks that take other values than one object."""


def body_of(args: list[Any], kwargs: Mapping[str, Any], names: Sequence[str] = ()) -> dict[str, Any]:
    """Return the arguments of a task as one object: dictionaries are merged, results of tasks are in `previous`.

    `names` are those of the arguments if the first one is no object. Raises BadParams for other arguments.
    """
    named = min(len(names), len(args)) if args and isinstance(args[0], str) else 0
    body: dict[str, Any] = dict(zip(names, args[:named], strict=False))
    previous: list[Any] = []
    problems = []
    for place, value in enumerate(args[named:], named):
        if _is_result(value):
            previous.append(value)
        elif isinstance(value, list) and value and all(map(_is_result, value)):
            previous += value
        elif isinstance(value, Mapping):
            body |= value
        else:
            problems.append(
                Problem(f"args[{place}]", "wrong_type", f"must be a JSON object, not {type(value).__name__}")
            )
    if problems:
        raise BadParams(problems)
    return {**body, **kwargs, **({PREVIOUS: previous} if previous else {})}


def _is_result(value: Any) -> bool:
    return isinstance(value, Mapping) and {"executionId", "artifacts"} <= value.keys()


def task_mappings(settings: Settings) -> dict[str, str]:
    """Return the mapping of each task: of the built-in ones, and of those in the settings.

    Raises ConfigurationError for an invalid setting.
    """
    mappings = {name: name for name in QUEUES}
    for entry in _entries(settings.celery_tasks):
        name, _, mapping = (part.strip() for part in entry.partition("="))
        if not name or not mapping:
            raise ConfigurationError(
                f"CALLSHEET_CELERY_TASKS: '{entry}' needs a name and a mapping, such as films.make=plans/film.yaml, "
                "films.make=module:function or films.make=plan"
            )
        mappings[name] = mapping
    return mappings


def served_queues(settings: Settings) -> list[str]:
    """Return the names of the queues to serve. Raises ConfigurationError if there is none."""
    queues = _entries(settings.celery_queues)
    if not queues:
        raise ConfigurationError("CALLSHEET_CELERY_QUEUES names no queue.")
    return queues


def _entries(text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
