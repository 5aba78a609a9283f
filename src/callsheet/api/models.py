"""Models for the operation `generate`."""

import asyncio

from fastapi import APIRouter
from pydantic import Field

from callsheet.api import examples
from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.model import Model
from callsheet.providers.listing import ModelRecord, describe_model, list_models

router = APIRouter(prefix="/api/models", tags=["models"])


class ModelList(Model):
    """All models of the registry."""

    models: list[ModelRecord] = Field(description="Sorted by id")


@router.get("", name="list_models", summary="List models", responses={**problem_responses(), 200: examples.models})
async def list_all(runtime: RuntimeDep) -> ModelList:
    """Return every model, with its providers, whether they are configured, and its parameters."""
    return ModelList(models=await asyncio.to_thread(list_models, runtime.providers, runtime.settings))


@router.get("/{model_id:path}", summary="Read a model", responses={**problem_responses(404), 200: examples.model})
async def read_model(model_id: str, runtime: RuntimeDep) -> ModelRecord:
    """Return a model by its id or an alias. Slashes in the id are not encoded."""
    return await asyncio.to_thread(describe_model, model_id, runtime.providers, runtime.settings)
