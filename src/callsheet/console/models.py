"""Pages of models: their list, and a form that generates with one."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from callsheet.console.form_fields import FormField, fields_of
from callsheet.console.form_values import empty_form, filled_form, read_values
from callsheet.console.responses import CheckedForm, RuntimeDep, page_response
from callsheet.console.submissions import problems_of, redirect_to_execution, submit_form
from callsheet.domain.errors import BudgetExceeded, NotFound, PlanRefused, Problem
from callsheet.domain.plan import Plan, PlannedJob, Submission
from callsheet.operations.generate_params import input_params
from callsheet.providers.listing import ModelRecord, OfferRecord, ParameterRecord, describe_model, list_models
from callsheet.wiring import Runtime

router = APIRouter(prefix="/console")

_JOB_ID = "generate"
_PARAMS = "jobs[0].params"
_JSON_TYPES = {"text": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
_SOURCE = {"type": "string", "format": "media-source"}
_LIMITS = ("duration", "resolution", "size", "aspectRatio")
"""Inputs whose limits are in the list."""

_Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("/models")
async def model_list_page(
    request: Request,
    runtime: RuntimeDep,
    search: _Text = "",
    makes: Annotated[str, Query(pattern="^(video|image|audio)?$")] = "",
) -> Response:
    """Show the models: their providers, prices and limits."""
    models = await asyncio.to_thread(list_models, runtime.providers, runtime.settings)
    shown = [each for each in models if _matches(each, search.strip().lower(), makes)]
    return page_response(
        request,
        "models.html",
        models=[(model, [(offer, _limits(offer)) for offer in model.offers]) for model in shown],
        search=search,
        makes=makes,
    )


@router.get("/new/model")
async def model_page(request: Request, runtime: RuntimeDep, model: _Text, provider: _Text = "") -> Response:
    """Show the form of a model."""
    return _page(request, await _model(runtime, model), provider)


@router.post("/new/model")
async def submit_model(
    request: Request, form: CheckedForm, runtime: RuntimeDep, model: _Text, provider: _Text = ""
) -> Response:
    """Submit a job that generates with a model, or show its form again with the problems of each field."""
    found = await _model(runtime, model)
    inputs, unreadable = read_values(_fields(_offer(found, provider)), form, _PARAMS)
    try:
        execution_id = await submit_form(request, _one_job(found, provider, inputs), unreadable)
    except (PlanRefused, BudgetExceeded) as refused:
        return _page(request, found, provider, form, problems_of(refused), inputs=inputs, status=refused.status)
    return redirect_to_execution(execution_id)


async def _model(runtime: Runtime, model_id: str) -> ModelRecord:
    return await asyncio.to_thread(describe_model, model_id, runtime.providers, runtime.settings)


def _matches(model: ModelRecord, text: str, makes: str) -> bool:
    names = [model.id, model.name, model.summary, *model.aliases, *(offer.provider for offer in model.offers)]
    return text in " ".join(names).lower() and makes in ("", model.makes)


def _limits(offer: OfferRecord) -> str:
    """Return what the main inputs may be: `duration 2 to 12, resolution 480p, 720p`."""
    parameters = {each.name: field for each, field in zip(offer.parameters, _fields(offer), strict=True)}
    known = ((name, _allowed(parameters[name])) for name in _LIMITS if name in parameters)
    return "; ".join(f"{name} {allowed}" for name, allowed in known if allowed)


def _allowed(field: FormField) -> str:
    return ", ".join(map(str, field.choices)) or field.hint


def _offer(model: ModelRecord, provider: str) -> OfferRecord:
    """Return the offer of a provider; without one, the first that is set up. Raises NotFound."""
    if not provider:
        return next((offer for offer in model.offers if offer.ready), model.offers[0])
    offers = [offer for offer in model.offers if offer.provider == provider]
    if not offers:
        names = ", ".join(offer.provider for offer in model.offers)
        raise NotFound(f"The provider '{provider}' does not offer {model.id}, but {names}.")
    return offers[0]


def _fields(offer: OfferRecord) -> list[FormField]:
    """Return a field for each input. The file itself is uploaded or named, as in every form."""
    schema = {
        "properties": {each.name: _schema(each) for each in offer.parameters},
        "required": [each.name for each in offer.parameters if each.required and each.default is None],
    }
    return fields_of(schema) if offer.parameters else []


def _schema(parameter: ParameterRecord) -> dict[str, Any]:
    """Return the JSON Schema of an input."""
    common = {"description": parameter.description, "default": parameter.default}
    if parameter.kind == "file":
        return _SOURCE | common
    if parameter.kind == "files":
        return {"type": "array", "items": _SOURCE, **common}
    rules = {
        "enum": parameter.choices,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "maxLength": parameter.max_length,
    }
    given = {name: value for name, value in rules.items() if value is not None}
    return {"type": _JSON_TYPES[parameter.kind], **given, **common}


def _one_job(model: ModelRecord, provider: str, inputs: Mapping[str, Any]) -> Submission:
    params = {"modelId": model.id, **({"provider": provider} if provider else {}), **input_params(inputs)}
    job = PlannedJob(id=_JOB_ID, operation="generate", params=params)
    return Submission(execution_plan=Plan(name=model.name, jobs=[job]))


def _without_inputs(path: str) -> str:
    """Return the path of a problem as if all inputs were params: the form does not distinguish them."""
    return path.replace(f"{_PARAMS}.inputs.", f"{_PARAMS}.", 1)


def _page(
    request: Request,
    model: ModelRecord,
    provider: str,
    form: Mapping[str, str] | None = None,
    problems: Iterable[Problem] = (),
    *,
    inputs: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response:
    offer = _offer(model, provider)
    fields = _fields(offer)
    located = [Problem(_without_inputs(each.path), each.code, each.message) for each in problems]
    filled, others = (empty_form(fields), []) if form is None else filled_form(fields, form, located, _PARAMS)
    return page_response(
        request,
        "model.html",
        status=status,
        model=model,
        offer=offer,
        provider=provider,
        cost=offer.cost(inputs or {}),
        sent=form is not None,
        fields=filled,
        problems=others,
    )
