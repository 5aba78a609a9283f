"""The OpenAPI document of the API."""

import re
from pathlib import Path

import jsonschema
import pytest

import callsheet
from callsheet.domain.event_types import EventType
from callsheet.domain.statuses import JobStatus

OPERATION_IDS = {
    "probeUpload",
    "readScaling",
    "resetWorkerLanes",
    "listViews",
    "saveView",
    "deleteView",
    "deleteExecution",
    "previewCleanUp",
    "searchOrphans",
    "readOrphanSearch",
    "listOrphans",
    "deleteOrphans",
    "listSchedules",
    "putSchedule",
    "readSchedule",
    "listScheduleRuns",
    "deleteSchedule",
    "pauseSchedule",
    "resumeSchedule",
    "runSchedule",
    "listArtifacts",
    "listJobs",
    "drainWorker",
    "stopWorker",
    "changeQueueOfJob",
    "holdJob",
    "prioritizeJob",
    "releaseJob",
    "runJobNext",
    "startJobLater",
    "listBulkActions",
    "previewBulkAction",
    "readBulkAction",
    "startBulkAction",
    "stopBulkAction",
    "findSimilarWinners",
    "createKey",
    "createReadToken",
    "readCosts",
    "listAuditEntries",
    "changeUser",
    "createUser",
    "deleteUser",
    "endSession",
    "listSessions",
    "listUsers",
    "listKeys",
    "readKey",
    "readMe",
    "revokeKey",
    "cancelBatch",
    "deletePlan",
    "listBatches",
    "listPlanVersions",
    "listPlans",
    "pushPlan",
    "readAdFatigue",
    "readBatch",
    "readPlan",
    "retryBatch",
    "runPlan",
    "runPlanBatch",
    "submitBatch",
    "addAdTouches",
    "adoptAdBudget",
    "listAdCredits",
    "readDeal",
    "readDealStages",
    "receiveHubspotWebhook",
    "recommendAdBudget",
    "replaceDealStages",
    "storeAdMetrics",
    "searchWinners",
    "readWinner",
    "deleteWinner",
    "listApprovals",
    "readApproval",
    "approveApproval",
    "rejectApproval",
    "listIntakes",
    "listUploads",
    "deleteUpload",
    "takeTask",
    "listComfyuiServers",
    "renewLease",
    "receiveTaskResult",
    "testWebhookEndpoint",
    "rotateWebhookSecret",
    "resendWebhook",
    "resendFailedWebhooks",
    "readWebhookEndpoint",
    "readWebhookDelivery",
    "listWebhookEndpoints",
    "listWebhookDeliveries",
    "deleteWebhookEndpoint",
    "createWebhookEndpoint",
    "changeWebhookEndpoint",
    "announceUpload",
    "cancelExecution",
    "cancelJob",
    "checkPlan",
    "changeQueue",
    "changeWorker",
    "completeUpload",
    "createVideo",
    "deleteVideo",
    "followEvents",
    "getFile",
    "getUploadedFile",
    "listExecutions",
    "listHeldSubmissions",
    "releaseSubmissions",
    "listModels",
    "listOperations",
    "listQueues",
    "listVideos",
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
    "readWorkerResources",
    "readReadiness",
    "readUpload",
    "readVideo",
    "readVideoContent",
    "receiveProviderWebhook",
    "retryExecution",
    "retryJob",
    "sendUploadPart",
    "submitPlan",
}
"""Generated clients use these ids, so they never change."""

NO_BODY = {"204", "304"}


@pytest.fixture
async def document(api):
    """The document, which is built once for all tests: that takes a second."""
    if not _DOCUMENTS:
        _DOCUMENTS.append((await api.client.get("/openapi.json")).json())
    return _DOCUMENTS[0]


_DOCUMENTS = []


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
        media_type = "application/json" if " /v1/" in name else "application/problem+json"
        problems = {s for s, r in op["responses"].items() if s >= "400" and media_type in r.get("content", {})}
        assert problems == {s for s in op["responses"] if s >= "400"}, name
        expected = {"414", "431"} if op["operationId"] == "readHealth" else {"414", "431", "503"}
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


def component(document, name):
    return document["components"]["schemas"][name]


def members(document, name):
    """Return the types of a union, each of which leads to a component of this type."""
    mapping = component(document, name)["discriminator"]["mapping"]
    for kind, reference in mapping.items():
        assert component(document, reference.rpartition("/")[2])["properties"]["type"]["const"] == kind
    assert {each["$ref"] for each in component(document, name)["oneOf"]} == set(mapping.values())
    return set(mapping)


async def test_request_fields_with_a_default_are_optional_for_generators(document):
    required = {
        name: component(document, name).get("required", [])
        for name in ("Submission", "Plan", "PlannedJob", "RetryOptions", "QueuePatch", "WorkerPatch")
    }
    assert required == {
        "Submission": ["executionPlan"],
        "Plan": ["jobs"],
        "PlannedJob": ["id", "operation"],
        "RetryOptions": [],
        "QueuePatch": [],
        "WorkerPatch": ["lanes"],
    }
    for name in required:
        # Generators for TypeScript make a field with a default required, also in requests.
        assert not [field for field, schema in component(document, name)["properties"].items() if "default" in schema]
    assert "Default: false" in component(document, "RetryOptions")["properties"]["resubmit"]["description"]


async def test_all_fields_of_responses_are_required(document):
    for name in ("JobProgress", "Job", "Execution", "StoredArtifact", "Receipt", "ProblemDocument", "Video"):
        schema = component(document, name)
        assert sorted(schema["required"]) == sorted(schema["properties"]), name


async def test_types_codes_and_statuses_are_closed_lists(document):
    assert members(document, "Event") == {kind.value for kind in EventType}
    assert component(document, "JobStatus")["enum"] == [status.value for status in JobStatus]
    assert {"plan_refused", "not_found", "url_too_long"} <= set(
        component(document, "ProblemDocument")["properties"]["code"]["enum"]
    )
    assert {"unknown_operation", "missing", "extra_forbidden"} <= set(
        component(document, "ProblemItem")["properties"]["code"]["enum"]
    )
    for name in ("JobErrorRecord", "EventError", "ReportedError"):
        code = component(document, name)["properties"]["code"]
        assert {"ffmpeg_failed", "crash_loop", "content_refused"} <= set(code["enum"]), name


async def test_each_event_type_has_its_own_data(document):
    assert component(document, "JobProgress")["properties"]["data"] == {"$ref": "#/components/schemas/JobProgressData"}
    assert component(document, "JobProgressData")["required"] == ["progress"]
    assert component(document, "NoData").get("properties", {}) == {}


async def test_the_bodies_of_webhooks_are_described(document):
    bodies = {
        name: item["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for name, item in document["webhooks"].items()
    }

    assert bodies == {
        "execution-ended": "ExecutionWebhook",
        "event": "EventWebhook",
        "ad-action": "AdActionWebhook",
        "alert": "AlertWebhook",
        "endpoint-test": "EndpointTest",
    }
    ends = members(document, "ExecutionWebhook")
    assert ends == {
        "execution.succeeded",
        "execution.failed",
        "execution.cancelled",
    }
    failed = component(document, "ExecutionFailedWebhook")["properties"]["data"]["$ref"].rpartition("/")[2]
    assert component(document, failed)["properties"]["status"]["const"] == "failed"
    assert members(document, "EventWebhook") == {kind.value for kind in EventType} - ends
    data = component(document, "JobFailedWebhook")["properties"]["data"]["$ref"].rpartition("/")[2]
    event = component(document, data)["properties"]["event"]
    assert event["anyOf"] == [{"$ref": "#/components/schemas/JobFailedData"}, {"type": "null"}]


async def test_every_error_code_of_the_api_is_in_the_closed_list(document):
    allowed = set(component(document, "ProblemDocument")["properties"]["code"]["enum"])
    source = Path(callsheet.__file__).parent
    raised = {
        code
        for file in [*(source / "api").glob("*.py"), *(source / "console").glob("*.py")]
        for code in re.findall(r"ApiError\(\s*\d{3},\s*\"([a-z_]+)\"", file.read_text())
    }

    assert len(raised) > 8
    assert raised <= allowed


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/api/executions?statuss=failed", "unknown query parameter, did you mean 'status'?"),
        ("/api/queues?limit=5", "unknown query parameter; the route has none"),
        ("/api/status/019ab1f0-0000-7000-8000-000000000001?verbose=1", "unknown query parameter; the route has none"),
    ],
)
async def test_an_unknown_query_parameter_is_rejected(api, path, hint):
    response = await api.client.get(path)

    assert response.status_code == 422
    [problem] = response.json()["errors"]
    assert (problem["code"], problem["message"]) == ("unknown_parameter", hint)


async def test_an_unknown_query_parameter_of_the_videos_api_is_rejected_in_its_format(api):
    response = await api.client.get("/v1/videos?ordr=asc")

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "ordr: unknown query parameter, did you mean 'order'?"


async def test_monitoring_may_add_query_parameters(api):
    assert (await api.client.get("/health?t=1")).status_code == 200


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"url": "/" + "a." * 30_000}, 414, "url_too_long"),
        ({"url": "/api/executions?search=" + "a" * 9_000}, 414, "url_too_long"),
        ({"url": "/health", "headers": {"X-Long": "a" * 33_000}}, 431, "headers_too_long"),
    ],
)
async def test_long_urls_and_headers_are_rejected(api, request_, status, code):
    response = await api.client.get(**request_)

    assert response.status_code == status
    assert response.json()["code"] == code
    assert "are allowed" in response.json()["detail"]


async def test_the_api_page_needs_no_other_server(api):
    page = await api.client.get("/docs")
    scripts = re.findall(r'<(?:link|script)\b[^>]*(?:src|href)="([^"]+)"', page.text)

    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "/static/swagger-ui/swagger-ui-bundle.js" in scripts
    for path in scripts:
        assert path.startswith("/static/")
        assert (await api.client.get(path)).status_code == 200
    assert 'url: "/openapi.json"' in (await api.client.get("/static/api-docs.js")).text
