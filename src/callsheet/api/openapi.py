"""The description of the API, as clients are generated from it."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from callsheet.api.problems import ProblemDocument, problem_responses
from callsheet.domain.plan import Submission

_PREFIX = "#/components/schemas/{model}"
_NO_KEY_NEEDED = ("/health", "/readyz", "/files/")
_INTRODUCTION = """\
Submit a plan to `POST /api/execute`, follow it at `/api/executions/{id}/events`, and read what it made at
`/api/executions/{id}`. Every error is a problem document (RFC 9457) that lists every problem at once.
"""


def operation_id(route: APIRoute) -> str:
    """Return a route's operationId: its name in camelCase, so that it stays when addresses change."""
    head, *rest = route.name.split("_")
    return head + "".join(map(str.title, rest))


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """Return the OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=_INTRODUCTION, routes=app.routes, tags=app.openapi_tags
        )
        schemas = document["components"]["schemas"]
        for model in (ProblemDocument, Submission):
            schema = model.model_json_schema(ref_template=_PREFIX)
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
        _put_examples_back(document, routers)
        for path, item in document["paths"].items():
            for operation in item.values():
                _complete(path, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _put_examples_back(document: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """FastAPI leaves nulls out of examples, and there a null says that a limit is lifted, or a page is the last."""
    for route in chain.from_iterable(router.routes for router in routers):
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            for status, answer in route.responses.items():
                for kind, content in answer.get("content", {}).items():
                    operation["responses"][str(status)]["content"][kind]["example"] = content["example"]
            if route.body_field is not None:
                examples = getattr(route.body_field.field_info, "openapi_examples", None)
                operation["requestBody"]["content"]["application/json"]["examples"] = examples


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Say what holds for every route: who may call it, and that what cannot be read is a problem document."""
    operation["security"] = [] if path.startswith(_NO_KEY_NEEDED) else [{"apiKey": []}]
    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
        operation["responses"]["422"] = problem_responses(422)[422]
