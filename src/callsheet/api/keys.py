"""API keys: create, list, read and revoke them. And who the caller is."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field

from callsheet.access.directory import Directory
from callsheet.access.keys import ApiKey, ApiKeyRequest, ApiKeyWithSecret, create_key, get_key, list_keys, revoke_key
from callsheet.api import examples_access as examples
from callsheet.api.dependencies import CallerDep, RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.domain.callers import CallerKind
from callsheet.domain.model import Model
from callsheet.domain.scopes import Scope

router = APIRouter(tags=["access"])


class ApiKeyList(Model):
    """The API keys."""

    keys: list[ApiKey] = Field(description="Newest first, also revoked and expired ones")


class Me(Model):
    """Who the caller is."""

    kind: CallerKind
    name: str = Field(description="Of the key or the user")
    id: UUID | None = Field(description="Of the key or the user; null: the key of the settings, or no key is needed")
    scopes: list[Scope]


@router.get("/api/me", summary="Read who the caller is", responses={**problem_responses(), 200: examples.me})
async def read_me(caller: CallerDep) -> Me:
    """Return the key or the user of the request, with its scopes."""
    return Me(kind=caller.kind, name=caller.name, id=caller.id, scopes=sorted(caller.scopes))


@router.post(
    "/api/keys",
    status_code=201,
    name="create_key",
    summary="Create an API key",
    responses={**problem_responses(422), 201: examples.key_with_secret},
)
async def create(
    request: Annotated[ApiKeyRequest, Body(openapi_examples=examples.key_requests)],
    http_request: Request,
    response: Response,
    caller: CallerDep,
    runtime: RuntimeDep,
) -> ApiKeyWithSecret:
    """Create a key, and return its secret. The secret is not shown again.

    The first key of an installation without `CALLSHEET_API_KEY` ends the access without a key.
    """
    async with runtime.database.transaction() as connection:
        key = await create_key(connection, request, created_by=caller.name)
    _directory(http_request).invalidate()
    response.headers["Location"] = f"/api/keys/{key.id}"
    return key


@router.get(
    "/api/keys", name="list_keys", summary="List API keys", responses={**problem_responses(), 200: examples.keys}
)
async def list_all(runtime: RuntimeDep) -> ApiKeyList:
    """Return all keys without their secrets."""
    return ApiKeyList(keys=await list_keys(runtime.database))


@router.get("/api/keys/{key_id}", summary="Read an API key", responses={**problem_responses(404), 200: examples.key})
async def read_key(key_id: UUID, runtime: RuntimeDep) -> ApiKey:
    """Return a key without its secret."""
    return await get_key(runtime.database, key_id)


@router.delete(
    "/api/keys/{key_id}",
    status_code=204,
    name="revoke_key",
    summary="Revoke an API key",
    responses={**problem_responses(404), 204: {"description": "Revoked"}},
)
async def revoke(key_id: UUID, request: Request, runtime: RuntimeDep) -> None:
    """Revoke a key. Within two seconds, no server accepts it. It stays in the list."""
    await runtime.database.retry(lambda c: revoke_key(c, key_id), timeout=5, transaction=True)
    _directory(request).invalidate()


def _directory(request: Request) -> Directory:
    directory: Directory = request.app.state.directory
    return directory
