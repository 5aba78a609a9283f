"""Every route needs its scope: with missing, wrong, revoked, expired and narrower keys."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import APIRouter
from pydantic import SecretStr

from callsheet import console
from callsheet.access.keys import ApiKeyRequest, create_key, revoke_key
from callsheet.api.app import ROUTE_MODULES
from callsheet.api.route_access import ROUTE_ACCESS, RouteTable
from callsheet.api.route_aliases import alias_router
from callsheet.domain.scopes import Scope

from .conftest import served

ID = "019ab1f0-0000-7000-8000-000000000000"
STREAMS = tuple(
    path
    for method, _, path in (route.partition(" ") for route in ROUTE_ACCESS)
    if method == "GET" and path.endswith("/stream") and "{" not in path
)
"""Answer without an end."""


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


def url_of(path):
    return re.sub(r"\{[^}]+\}", ID, path)


def routers():
    found = [module.router for module in ROUTE_MODULES]
    return [alias_router(found), *found, *console.ROUTERS]


@pytest.fixture
async def locked(settings, catalog):
    """A server whose settings have a key."""
    async with served(settings.model_copy(update={"api_key": SecretStr("0123456789abcdef-key")}), catalog) as api:
        yield api


@pytest.fixture
def new_key(locked):
    """A function that creates a key in the database."""

    async def create(*scopes, **fields):
        request = ApiKeyRequest(name="test", scopes=list(scopes), **fields)
        async with locked.runtime.database.transaction() as connection:
            key = await create_key(connection, request, created_by="test")
        locked.app.state.directory.invalidate()
        return key

    return create


async def answers(api, **options):
    """Send a request to each route that needs a scope; return the answers by route. Bodies are invalid everywhere."""
    found = {}
    for route, access in ROUTE_ACCESS.items():
        method, _, path = route.partition(" ")
        if not access.is_open:
            found[route] = await api.client.request(method, url_of(path), content=b"{", **options)
    return found


def test_every_route_is_in_the_table_and_the_table_has_no_other():
    known = {f"{method} {route.path}" for router in routers() for route in router.routes for method in route.methods}

    assert set(ROUTE_ACCESS) == known
    RouteTable(routers())


def test_a_route_that_is_not_in_the_table_keeps_the_server_from_starting():
    router = APIRouter()
    router.add_api_route("/api/forgotten", lambda: None, methods=["DELETE"])

    with pytest.raises(LookupError, match="DELETE /api/forgotten"):
        RouteTable([*routers(), router])


async def test_no_route_with_a_scope_answers_without_a_valid_key(locked, new_key):
    revoked, expired = await new_key(Scope.ADMIN), await new_key(Scope.ADMIN, expires_at=_soon())
    async with locked.runtime.database.transaction() as connection:
        await revoke_key(connection, revoked.id)
    locked.app.state.directory.invalidate()
    await asyncio.sleep(0.3)  # sleep: until the key has expired

    for headers in ({}, bearer("wrong"), bearer("csk_" + "x" * 43), bearer(revoked.secret), bearer(expired.secret)):
        for route, answer in (await answers(locked, headers=headers)).items():
            assert answer.status_code == 401, (route, headers)


async def test_a_key_without_the_scope_gets_403_and_the_name_of_the_scope(locked, new_key):
    keys = {scope: bearer((await new_key(scope)).secret) for scope in Scope}
    for scope, headers in keys.items():
        for route, access in ROUTE_ACCESS.items():
            if access.is_open or scope in access.scopes or scope is Scope.ADMIN:
                continue
            method, _, path = route.partition(" ")
            answer = await locked.client.request(method, url_of(path), content=b"{", headers=headers)

            assert answer.status_code == 403, (route, scope)
            needed = set(re.search(r'scope="([^"]+)"', answer.headers["www-authenticate"])[1].split())
            assert needed == access.scopes, route


async def test_a_key_with_the_scope_passes(locked, new_key):
    keys = {scope: bearer((await new_key(scope)).secret) for scope in Scope}
    for route, access in ROUTE_ACCESS.items():
        method, _, path = route.partition(" ")
        if access.is_open or path in STREAMS:
            continue
        for scope in access.scopes | {Scope.ADMIN}:
            answer = await locked.client.request(method, url_of(path), content=b"{", headers=keys[scope])
            # A form of the console needs the token of its page besides.
            assert answer.status_code not in (401, 403) or "The form is expired" in answer.text, (route, scope)


@pytest.mark.parametrize("value", ["%00", "a%00b", "%ED%A0%80", "..%2F..%2Fetc", "%3Cscript%3E", "9" * 400])
async def test_no_value_in_a_path_makes_a_route_fail_or_comes_back_as_a_script(locked, new_key, value):
    headers = bearer((await new_key(Scope.ADMIN)).secret) | {"Accept": "text/html"}
    for route in ROUTE_ACCESS:
        method, _, path = route.partition(" ")
        if "{" in path:
            address = re.sub(r"\{[^}]+\}", value, path)
            answer = await locked.client.request(method, address, content=b"{", headers=headers)
            assert answer.status_code < 500, (route, answer.text)
            is_page = "html" in answer.headers.get("content-type", "")
            assert not (is_page and "<script>" in answer.text), route


def _soon():
    return datetime.now(UTC) + timedelta(seconds=0.25)
