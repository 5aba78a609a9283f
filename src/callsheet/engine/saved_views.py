"""Saved views: named filters of the lists of executions and jobs, of one user or key or shared by all."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.callers import Caller
from callsheet.domain.errors import InvalidState, MissingScope, NotFound, Problem, ProblemList
from callsheet.domain.ids import new_id
from callsheet.domain.saved_views import FILTERS, ListName, SavedView
from callsheet.domain.scopes import Scope

MAX_VIEWS = 200
"""Views of one user or key, and shared views."""


async def list_views(database: Database, caller: Caller, of: ListName | None = None) -> list[SavedView]:
    """Return the views that a caller sees: its own and shared ones, by list and name."""
    rows = await database.retry(lambda c: sql.saved_views(c, owner=_owner(caller), list=of), timeout=5)
    return [_view(row) for row in rows]


async def save_view(
    database: Database, caller: Caller, of: ListName, name: str, given: Mapping[str, Any], *, shared: bool
) -> SavedView:
    """Store a view, or replace the one of this name.

    `given` are parameters of the list, with the names of the API. Raises ProblemList for those that the list does not
    have, MissingScope if a caller without the scope `operate` shares one, and InvalidState if there are too many.
    """
    _check_sharing(caller, shared)
    filters = _checked(of, given)
    owner = None if shared else _owner(caller)

    async def save(connection: Connection) -> SavedView:
        await sql.lock_saved_views(connection)
        if await sql.count_saved_views(connection, owner=owner, list=of, name=name) >= MAX_VIEWS:
            raise InvalidState(f"There are {MAX_VIEWS} views already. Delete one first.")
        return _view(
            await sql.put_saved_view(
                connection, id=new_id(), owner=owner, list=of, name=name, filter=filters, created_by=caller.name
            )
        )

    return await database.retry(save, timeout=5, transaction=True)


async def delete_view(database: Database, caller: Caller, of: ListName, name: str, *, shared: bool) -> None:
    """Delete a view of the caller, or a shared one. Raises NotFound and MissingScope."""
    _check_sharing(caller, shared)
    owner = None if shared else _owner(caller)
    async with database.transaction() as connection:
        if await sql.delete_saved_view(connection, owner=owner, list=of, name=name) is None:
            raise NotFound(f"There is no {'shared ' if shared else ''}view '{name}' of {of}.")


def _owner(caller: Caller) -> str:
    return caller.kind if caller.id is None else f"{caller.kind}:{caller.id}"


def _check_sharing(caller: Caller, shared: bool) -> None:
    if shared and not caller.has_any({Scope.OPERATE}):
        raise MissingScope(
            "A shared view needs the scope operate; one that is not shared is yours alone.", scopes=[Scope.OPERATE]
        )


def _checked(of: ListName, given: Mapping[str, Any]) -> str:
    """Return the filter as JSON, without parameters of no value."""
    try:
        filters = FILTERS[of].model_validate(given)
    except ValidationError as error:
        problems = [_problem(of, item) for item in error.errors(include_url=False)]
        raise ProblemList(problems, f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in the view") from None
    return filters.model_dump_json(by_alias=True, exclude_none=True)


def _problem(of: ListName, item: Any) -> Problem:
    path = ".".join(["filter", *map(str, item["loc"])])
    if item["type"] == "extra_forbidden":
        names = ", ".join(to_camel(name) for name in FILTERS[of].model_fields)
        return Problem(path, item["type"], f"the list of {of} has no parameter '{item['loc'][-1]}', but {names}")
    return Problem(path, "bad_value", f"{item['msg']}, not {str(item['input'])[:100]!r}")


def _view(row: Any) -> SavedView:
    return SavedView(
        list=row["list"],
        name=row["name"],
        shared=row["owner"] is None,
        filter=orjson.loads(row["filter"]),
        created_by=row["created_by"],
        created_at=row["created_at"],
    )
