"""The OpenAPI document of the API."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from callsheet.api.problems import ProblemDocument, problem_responses
from callsheet.domain.plan import Submission

_PREFIX = "#/components/schemas/{model}"
_NO_KEY_NEEDED = ("/health", "/readyz", "/files/", "/api/webhooks/")
_INTRODUCTION = """\
Submit a plan with `POST /api/executions`, follow its events at `/api/executions/{id}/events`, and read its results at
`/api/executions/{id}`. Every error is a problem document (RFC 9457) with all problems of the request.
"""


def operation_id(route: APIRoute) -> str:
    """Return the operationId of a route: its name in camelCase. It does not change when the path changes."""
    head, *rest = route.name.split("_")
    return head + "".join(map(str.title, rest))


def build_openapi(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """Return the OpenAPI document; it is built at the first call."""
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
        _restore_examples(document, routers)
        for path, item in document["paths"].items():
            for operation in item.values():
                _complete_operation(path, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _restore_examples(document: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """Put the declared examples into the document again.

    FastAPI removes nulls from examples, but a null has a meaning: it removes a limit, or marks the last page.
    """
    for route in chain.from_iterable(router.routes for router in routers):
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            for status, response in route.responses.items():
                for media_type, content in response.get("content", {}).items():
                    operation["responses"][str(status)]["content"][media_type]["example"] = content["example"]
            if route.body_field is not None:
                examples = getattr(route.body_field.field_info, "openapi_examples", None)
                operation["requestBody"]["content"]["application/json"]["examples"] = examples


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    """Add what is the same for all routes: security, and the problem document of a 422."""
    operation["security"] = [] if path.startswith(_NO_KEY_NEEDED) else [{"apiKey": []}]
    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
        operation["responses"]["422"] = problem_responses(422)[422]
