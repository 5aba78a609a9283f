"""Operation `http`: endpoints of the operator, in good and bad weather."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import yaml
from standardwebhooks.webhooks import Webhook
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from callsheet.domain.errors import BadSource, ConfigurationError, JobError, SourceUnreachable, TimedOut, Transient
from callsheet.fakes.providers.server import cut_connection, serve_app
from callsheet.operations.outside_http import HttpParams, http
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

EXAMPLES = Path(__file__).parents[3] / "examples"
SECRET = "whsec_Y2FsbHNoZWV0LWV4YW1wbGUtc2VjcmV0"


class Endpoint:
    """A server whose answers the test sets, by method."""

    def __init__(self):
        self.answers = {"POST": [], "GET": [], "DELETE": []}
        self.requests = []
        self.deleted = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/jobs", self.handle, methods=["POST", "GET"]),
                Route("/jobs/1", self.handle, methods=["GET", "DELETE"]),
                Route("/out.txt", lambda _: Response(b"made here", media_type="text/plain")),
                Route("/elsewhere.txt", lambda _: RedirectResponse("http://localhost:1/secret")),
            ]
        )

    async def handle(self, request):
        self.requests.append((request.method, dict(request.headers), await request.body()))
        if request.method == "DELETE":
            self.deleted.set()
            return Response(status_code=204)
        answer = self.answers[request.method].pop(0)
        return answer if isinstance(answer, Response) else await answer(request)

    def answer(self, *answers, method="POST"):
        self.answers[method] += answers


@pytest.fixture
async def endpoint():
    endpoint = Endpoint()
    async with serve_app(endpoint.app) as endpoint.url:
        yield endpoint


@pytest.fixture
def job(tmp_path, endpoint):
    step = {"name": "tried", "url": f"{endpoint.url}/jobs", "secret": SECRET, "timeout": "20s"}
    (tmp_path / "steps.yaml").write_text(yaml.safe_dump({"endpoints": [step]}))
    return RecordingContext(tmp_path, settings=Settings(_env_file=None, steps_file=tmp_path / "steps.yaml"))


def run(job, **params):
    return http.run(job, HttpParams(endpoint="tried", **params))


def ndjson(*messages):
    lines = [f"{json.dumps(message)}\n".encode() for message in messages]
    return StreamingResponse(iter(lines), media_type="application/x-ndjson")


SOON = {"Retry-After": "0.05"}
ACCEPTED = Response(status_code=202, headers={"Location": "/jobs/1", **SOON})


async def test_the_request_is_signed_and_the_file_is_fetched_from_the_endpoint(job, endpoint):
    endpoint.answer(JSONResponse({"result": {"n": 2}, "files": [{"url": "/out.txt", "name": "words.txt"}]}))

    result = await run(job, params={"text": "ä"})

    _, headers, body = endpoint.requests[0]
    request = Webhook(SECRET).verify(body, headers)
    assert request["params"] == {"text": "ä"}
    assert request["idempotencyKey"] == headers["idempotency-key"] == headers["webhook-id"] == f"{job.id}-1"
    assert result.data == {"n": 2}
    assert (result.files[0].name, job.path_of(result.files[0]).read_text()) == ("words.txt", "made here")


async def test_a_stream_of_messages_reports_progress(job, endpoint):
    endpoint.answer(ndjson({"progress": 0.5, "message": "half"}, {"log": "a line"}, {"result": {"n": 1}}))

    assert (await run(job)).data == {"n": 1}
    assert [(report.done, report.message) for report in job.progress_reports] == [(0.5, "half")]


async def test_an_accepted_job_is_polled_through_an_outage(job, endpoint):
    endpoint.answer(ACCEPTED)
    endpoint.answer(
        JSONResponse({"status": "running", "progress": 0.3}, headers=SOON),
        Response(status_code=503, headers=SOON),
        JSONResponse({"result": {"n": 3}}),
        method="GET",
    )

    assert (await run(job)).data == {"n": 3}
    assert [report.done for report in job.progress_reports] == [0.3]
    assert len(endpoint.requests) == 4


async def test_a_cancelled_job_is_deleted_at_the_endpoint(job, endpoint):
    polled = asyncio.Event()

    async def running(request):
        polled.set()
        return JSONResponse({"status": "running"}, headers={"Retry-After": "30"})

    endpoint.answer(ACCEPTED)
    endpoint.answer(running, method="GET")
    task = asyncio.create_task(run(job))
    await asyncio.wait_for(polled.wait(), 10)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert endpoint.deleted.is_set()


async def cut(request):
    await cut_connection(request)
    return Response()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (JSONResponse({"error": "too dark"}), JobError, "too dark"),
        (JSONResponse({"error": "busy", "transient": True, "retryAfter": 9}), Transient, "busy"),
        (Response(b"<html>login</html>", media_type="text/html"), JobError, "invalid JSON"),
        (ndjson({"progress": 0.5}), Transient, "without a result"),
        (Response(status_code=500), Transient, "answered 500"),
        (Response(status_code=429, headers={"Retry-After": "9"}), Transient, "answered 429"),
        (Response(b"title is missing", status_code=422), JobError, "422: title is missing"),
        (Response(status_code=401), ConfigurationError, "the steps file names its URL and its secret"),
        (RedirectResponse("/elsewhere"), ConfigurationError, "answered 307"),
        (Response(status_code=202), JobError, "without a usable Location"),
        (Response(status_code=202, headers={"Location": "http://10.0.0.1/x"}), JobError, "another server"),
        (Response(b" " * 1_100_000), JobError, "more than 1,048,576 bytes"),
        (cut, SourceUnreachable, "did not answer"),
    ],
)
async def test_faults_of_an_endpoint_have_clear_errors(job, endpoint, answer, error, said):
    endpoint.answer(answer)

    with pytest.raises(error, match=said) as raised:
        await run(job)

    assert isinstance(raised.value, Transient) == issubclass(error, Transient)
    if said in ("busy", "answered 429"):
        assert raised.value.retry_after == 9


@pytest.mark.parametrize(
    ("file", "error", "said"),
    [
        ({"url": "http://localhost:1/secret"}, BadSource, "not https"),
        ({"url": "https://127.0.0.1/secret"}, BadSource, "private or local address"),
        ({"url": "/elsewhere.txt"}, BadSource, "private or local address"),
        ({"path": "/etc/passwd"}, JobError, "by `url`"),
        ({"url": "/missing"}, BadSource, "404"),
    ],
)
async def test_files_come_from_the_endpoint_or_from_public_addresses_only(job, endpoint, file, error, said):
    endpoint.answer(JSONResponse({"files": [file]}))

    with pytest.raises(error, match=said):
        await run(job)
    assert job.kept == []


async def test_an_endpoint_that_takes_too_long_is_given_up(job, endpoint, tmp_path):
    file = tmp_path / "steps.yaml"
    steps = yaml.safe_load(file.read_text())
    steps["endpoints"][0]["timeout"] = "200ms"
    file.write_text(yaml.safe_dump(steps))
    endpoint.answer(ACCEPTED)

    with pytest.raises(TimedOut, match="'tried' took longer than"):
        await run(job)
    assert endpoint.deleted.is_set()


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
async def test_the_example_in_node_draws_a_poster(tmp_path):
    server = await asyncio.create_subprocess_exec(
        "node", EXAMPLES / "steps" / "poster-server.mjs", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        port = (await asyncio.wait_for(server.stdout.readline(), 20)).decode().split()[1]
        steps = (EXAMPLES / "steps" / "steps.yaml").read_text().replace("8090", port)
        (tmp_path / "steps.yaml").write_text(steps)
        settings = Settings(_env_file=None, steps_file=tmp_path / "steps.yaml")
        job = RecordingContext(tmp_path, settings=settings)
        params = yaml.safe_load((EXAMPLES / "http.yaml").read_text())["jobs"][0]["params"]

        result = await http.run(job, HttpParams.model_validate(params, context=settings))
    finally:
        server.kill()
        await server.wait()

    assert result.data == {"title": "A lighthouse at dusk"}
    assert (result.files[0].name, result.images) == ("poster.svg", result.files)
    assert "A lighthouse at dusk</text>" in job.path_of(result.files[0]).read_text()
    assert job.progress_reports[0].message == "drawing"
