"""The tasks of the application by name: their queues, and how their arguments become a plan."""

from collections.abc import Mapping
from typing import Any

from callsheet.domain.errors import BadParams, ConfigurationError, Problem
from callsheet.intake.mappings import Payload, PlanData, PlanMapping
from callsheet.intake.not_yet import not_available
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
    **{
        name: not_available(name)
        for name in (
            "cleanup_task",
            "monitor_resources_task",
            "process_hubspot_webhook",
            "monitor_fatigue",
            "monitor_all_ads_fatigue",
            "auto_index_winner",
        )
    },
}
"""Built-in mappings of the arguments of a task to a plan."""


def body_of(args: list[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a task as one object: dictionaries are merged, results of tasks are in `previous`.

    Raises BadParams for other arguments.
    """
    body: dict[str, Any] = {}
    previous: list[Any] = []
    problems = []
    for place, value in enumerate(args):
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
