"""Models for the operation `generate`."""

import asyncio

from fastapi import APIRouter
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import did_you_mean
from callsheet.providers.listing import ModelRecord, describe_model, list_models
from callsheet.providers.registry import Registry, read_registry
from callsheet.wiring import Runtime

router = APIRouter(prefix="/api/models", tags=["models"])


class ModelList(Model):
    """All models of the registry."""

    models: list[ModelRecord] = Field(description="Sorted by id")


@router.get("", name="list_models", summary="List models", responses={**problem_responses(), 200: examples.models})
async def list_all(runtime: RuntimeDep) -> ModelList:
    """Return every model, with its providers, whether they are configured, and its parameters."""
    return ModelList(models=list_models(await _registry(runtime), runtime.providers))


@router.get("/{model_id:path}", summary="Read a model", responses={**problem_responses(404), 200: examples.model})
async def read_model(model_id: str, runtime: RuntimeDep) -> ModelRecord:
    """Return a model by its id or an alias. Slashes in the id are not encoded."""
    registry = await _registry(runtime)
    if model_id not in registry:
        raise NotFound(f"There is no model '{model_id}'{did_you_mean(model_id, registry) or '.'}")
    return describe_model(registry[model_id], runtime.providers)


async def _registry(runtime: Runtime) -> Registry:
    return await asyncio.to_thread(read_registry, runtime.settings.models_file)
