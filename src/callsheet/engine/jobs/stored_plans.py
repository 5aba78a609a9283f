"""Stored plans: versions of plans that are run by name, and the ready plans that come with Callsheet."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import Field

from callsheet.db.database import Connection, Database
from callsheet.db.statements import sql
from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import InvalidState, NotFound
from callsheet.domain.model import Model
from callsheet.domain.plan import Plan
from callsheet.domain.plan_inputs import PlanInput, inputs_schema
from callsheet.domain.plan_validation import check_without_values
from callsheet.engine.jobs.json_validation import validated_json
from callsheet.operation_api.contract import Operation
from callsheet.processes.plan_thread import in_plan_thread
from callsheet.ready_plans import ready_plans

MAX_PLANS = 1000


class PlanSummary(Model):
    """A stored plan in a list."""

    name: str = Field(examples=["ad"])
    version: int | None = Field(description="Newest version; null: the plan comes with Callsheet")
    origin: Literal["stored", "included"] = Field(description="`included`: it comes with Callsheet")
    title: str | None = Field(description="`name` of the plan itself")
    description: str | None
    inputs: dict[str, PlanInput]
    created_at: datetime | None = Field(description="When the version was stored")


class StoredPlan(PlanSummary):
    """A stored plan."""

    inputs_schema: dict[str, Any] = Field(description="JSON Schema of the values of the inputs, for forms")
    plan: Plan


class PlanVersion(Model):
    """A version of a stored plan."""

    version: int
    created_at: datetime


async def push_plan(
    database: Database, name: str, plan: Plan, operations: Mapping[str, Operation], *, max_jobs: int
) -> tuple[StoredPlan, bool]:
    """Store a plan as the newest version of `name`. Returns it, and whether it is new: an unchanged plan is not.

    The plan is checked without values for its inputs. Raises PlanRefused with every problem, and InvalidState if there
    are too many plans.
    """
    await in_plan_thread(check_without_values, plan, operations, max_jobs=max_jobs)
    document, digest = await in_plan_thread(_document, plan)
    async with database.transaction() as connection:
        await sql.lock_plan(connection, name=name)
        newest = await sql.newest_plan(connection, name=name)
        if newest is not None and newest["digest"] == digest and newest["input_names"] in (None, [*plan.inputs]):
            return _stored(newest), False
        if newest is None and await sql.count_plans(connection, name=name) >= MAX_PLANS:
            raise InvalidState(f"There are {MAX_PLANS:,} stored plans, and no more are allowed. Delete one first.")
        version = 1 if newest is None else newest["version"] + 1
        row = await sql.insert_plan(
            connection, name=name, version=version, document=document, input_names=[*plan.inputs], digest=digest
        )
        return _stored(row), True


async def get_plan(database: Database, name: str, version: int | None = None) -> StoredPlan:
    """Return a stored plan, by default its newest version; else the ready plan of this name. Raises NotFound."""
    row = await database.retry(lambda c: _read(c, name, version), timeout=5)
    if row is not None:
        return _stored(row)
    included = ready_plans()
    if version is not None:
        raise NotFound(f"There is no version {version} of a stored plan '{name}'.")
    if name not in included:
        names = [*included, *(each.name for each in await list_plans(database))]
        raise NotFound(f"There is no stored plan '{name}'{did_you_mean(name, names) or '.'}")
    return _included(name, included[name])


async def list_plans(database: Database) -> list[PlanSummary]:
    """Return all plans by name. A stored plan hides a ready plan of the same name."""
    rows = await database.retry(sql.list_plans, timeout=5)
    found = {row["name"]: _stored(row) for row in rows}
    for name, plan in ready_plans().items():
        found.setdefault(name, _included(name, plan))
    return [_summary(found[name]) for name in sorted(found)]


async def list_versions(database: Database, name: str) -> list[PlanVersion]:
    """Return the versions of a stored plan, newest first. Raises NotFound."""
    rows = await database.retry(lambda c: sql.plan_versions(c, name=name), timeout=5)
    if not rows:
        raise NotFound(f"There is no stored plan '{name}'.")
    return [PlanVersion(version=row["version"], created_at=row["created_at"]) for row in rows]


async def delete_plan(database: Database, name: str) -> None:
    """Delete all versions of a stored plan. Its executions stay. Raises NotFound."""

    async def delete(connection: Connection) -> None:
        await sql.lock_plan(connection, name=name)
        if await sql.newest_plan(connection, name=name) is None:
            included = " It comes with Callsheet, and cannot be deleted." if name in ready_plans() else ""
            raise NotFound(f"There is no stored plan '{name}'.{included}")
        await sql.delete_plan(connection, name=name)

    await database.retry(delete, transaction=True)


async def _read(connection: Connection, name: str, version: int | None) -> Any:
    if version is None:
        return await sql.newest_plan(connection, name=name)
    return await sql.plan_version(connection, name=name, version=version)


def _document(plan: Plan) -> tuple[str, bytes]:
    """Return the plan as JSON text, and its digest."""
    data = plan.model_dump(mode="json", exclude_unset=True)
    return validated_json(data, ""), hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).digest()


def _stored(row: Mapping[str, Any]) -> StoredPlan:
    document = orjson.loads(row["document"])
    if row["input_names"]:
        # Forms and lists show the inputs in the order of the plan, and jsonb does not keep it.
        document["inputs"] = {name: document["inputs"][name] for name in row["input_names"]}
    plan = Plan.model_validate(document)
    return StoredPlan(**_fields(row["name"], plan, version=row["version"], created_at=row["created_at"]))


def _included(name: str, plan: Plan) -> StoredPlan:
    return StoredPlan(**_fields(name, plan, version=None, created_at=None))


def _fields(name: str, plan: Plan, *, version: int | None, created_at: datetime | None) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "origin": "included" if version is None else "stored",
        "title": plan.name,
        "description": plan.description,
        "inputs": plan.inputs,
        "created_at": created_at,
        "inputs_schema": inputs_schema(plan.inputs),
        "plan": plan,
    }


def _summary(plan: StoredPlan) -> PlanSummary:
    return PlanSummary(**{name: getattr(plan, name) for name in PlanSummary.model_fields})
