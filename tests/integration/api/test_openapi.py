"""The OpenAPI document of the API."""

import jsonschema
import pytest

OPERATION_IDS = {
    "cancelExecution",
    "cancelJob",
    "changeQueue",
    "changeWorker",
    "followEvents",
    "getFile",
    "listExecutions",
    "listModels",
    "listOperations",
    "listQueues",
    "listWorkers",
    "readArtifact",
    "readExecution",
    "readHealth",
    "readExecutionLogs",
    "readJob",
    "readJobLogs",
    "readModel",
    "readMetrics",
    "readOperation",
    "readPlanSchema",
    "readReadiness",
    "receiveProviderWebhook",
    "retryExecution",
    "retryJob",
    "submitPlan",
}
"""Generated clients use these ids, so they never change."""

NO_BODY = {"204", "304"}


@pytest.fixture
async def document(api):
    return (await api.client.get("/openapi.json")).json()


def operations(document):
    return [(f"{verb} {path}", op) for path, item in document["paths"].items() for verb, op in item.items()]


def contents(operation):
    """Yield (place, media type, content) of every request and response body of an operation."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield "body", kind, content
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            yield status, kind, content


async def test_operation_ids_do_not_change(document):
    assert {op["operationId"] for _, op in operations(document)} == OPERATION_IDS


async def test_every_route_has_a_summary_a_description_and_its_problems(document):
    for name, op in operations(document):
        assert op["summary"], name
        assert op["description"], name
        problems = {
            s for s, response in op["responses"].items() if "application/problem+json" in response.get("content", {})
        }
        assert problems == {s for s in op["responses"] if s >= "400"}, name
        expected = set() if op["operationId"] == "readHealth" else {"503"}
        assert problems >= expected, name
        assert "security" in op, name


async def test_every_body_has_examples_that_match_its_schema(document):
    checked = 0
    for name, op in operations(document):
        for where, kind, content in contents(op):
            examples = [e["value"] for e in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            assert examples, (name, where, kind)
            schema = content.get("schema", {}) | {"components": document["components"]}
            for example in examples:
                jsonschema.validate(example, schema, jsonschema.Draft202012Validator)
                checked += 1
        for status, response in op["responses"].items():
            assert response.get("content") or status in NO_BODY, (name, status)
    assert checked > 60


async def test_every_reference_is_defined(document):
    def references(node):
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str) and node["$ref"].startswith("#/components"):
                yield node["$ref"].rpartition("/")[2]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert set(references(document["paths"])) | set(references(document["components"])) <= set(
        document["components"]["schemas"]
    )
    assert "HTTPValidationError" not in document["components"]["schemas"]
