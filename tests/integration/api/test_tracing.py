"""Traces of OpenTelemetry: one for each execution, over the borders of processes."""

import asyncio
import gzip
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from callsheet import tracing
from callsheet.cli.telemetry import telemetry
from callsheet.domain.errors import ConfigurationError
from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.providers.contract import Capabilities, PollPolicy
from callsheet.testing.fake_provider import SIGNATURE, FakeProvider
from callsheet.testing.operations import ALL
from callsheet.testing.waiters import until
from callsheet.tracing.otel import OtelTracer

from .conftest import served
from .receiver import receiving, sending
from .worker_command import worker_command

SOON = timedelta(seconds=0.02)
TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.fixture
def spans():
    """Turn tracing on in this process; return the spans that have ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use_tracer(OtelTracer(provider))
    yield exporter.get_finished_spans
    tracing.use_tracer(None)


def trace_of(span):
    return f"{span.context.trace_id:032x}"


def named(spans, name):
    """Return the one span with a name."""
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, [span.name for span in spans]
    return found[0]


def parent_of(span):
    return None if span.parent is None else span.parent.span_id


async def with_span(spans, name):
    """Return the spans that have ended, once one with this name is among them."""
    return await until(lambda: any(each.name == name for each in spans()) and spans(), timeout=30, what=name)


async def test_a_trace_leads_from_the_request_through_job_and_provider_to_the_webhook(settings, spans):
    changes = {
        "allow_private_addresses": True,
        "provider_poll_initial": SOON,
        "provider_poll_max": SOON,
        "provider_poll_interval": SOON,
    }
    async with (
        FakeReplicate() as provider,
        receiving() as receiver,
        served(
            settings.model_copy(update=changes),
            Catalog([generate, *ALL]),
            provider_settings=[provider.provider_settings()],
        ) as api,
        sending(api.runtime),
    ):
        await api.engine.start_worker()
        plan = {"jobs": [{"id": "film", "operation": "generate", "params": MODEL}]}
        body = {"executionPlan": plan, "callbackUrl": receiver.url}
        response = await api.client.post("/api/executions", json=body, headers=GIVEN)
        execution_id = response.json()["executionId"]
        await api.event(execution_id, "execution.succeeded")
        _, headers, _ = await receiver.next()
        await with_span(spans, "webhook execution.succeeded")

    of_trace = [span for span in spans() if trace_of(span) == TRACE]
    request = named(of_trace, "POST submit_plan")
    runs = [span for span in of_trace if span.name == "job generate"]
    operations = {span.context.span_id for span in of_trace if span.name == "operation generate"}
    submitted = named(of_trace, "replicate submit")
    webhook = named(of_trace, "webhook execution.succeeded")
    assert f"{parent_of(request):016x}" == GIVEN["traceparent"].split("-")[2]
    assert len(runs) == 2, "one that submits, and one that fetches the result"
    assert {parent_of(run) for run in runs} == {request.context.span_id}
    assert parent_of(submitted) in operations
    assert submitted.attributes["http.response.status_code"] == 201
    assert [span for span in of_trace if span.name == "poll replicate"]
    assert parent_of(webhook) == request.context.span_id
    assert headers["traceparent"] == f"00-{TRACE}-{webhook.context.span_id:016x}-01"
    queued = [span for span in of_trace if span.name.startswith("queue ")]
    assert len(queued) == 2
    assert all(span.start_time < span.end_time for span in queued)
    assert runs[0].attributes["callsheet.execution"] == execution_id
    assert not [span.name for span in of_trace if span.status.status_code is StatusCode.ERROR]


MODEL = {"modelId": "bytedance/seedance-1-pro", "prompt": "fox", "provider": "replicate"}


async def test_an_incoming_webhook_of_a_provider_belongs_to_the_trace(settings, catalog, tmp_path, spans):
    never = timedelta(hours=1)
    fake = FakeProvider(
        tmp_path / "toy",
        capabilities=Capabilities(webhook=True, signed=True, cancel=True),
        poll_policy=PollPolicy(initial=never, max_interval=never, webhook_interval=never),
    )
    public = settings.model_copy(update={"public_url": "https://sheet.example", "provider_poll_interval": SOON})
    async with served(public, catalog, providers=[fake]) as api:
        await api.engine.start_worker()
        plan = {"jobs": [{"id": "a", "operation": "draw"}]}
        response = await api.client.post("/api/executions", json={"executionPlan": plan}, headers=GIVEN)
        execution_id = response.json()["executionId"]
        await api.event(execution_id, "job.waiting")
        [request] = await until(fake.requests)
        fake.set_status(request["id"], "succeeded", files={"picture.txt": "a picture"})
        url = urlsplit(request["webhook"])
        message = {"id": request["id"], "message": "m-1", "status": "succeeded"}
        sent = await api.client.post(
            f"{url.path}?{url.query}", json=message, headers={SIGNATURE: "right", "Host": "sheet.example"}
        )
        await api.event(execution_id, "execution.succeeded")

    assert sent.status_code < 300, sent.text
    received = named(spans(), f"webhook of {fake.name}")
    assert trace_of(received) == TRACE
    assert url.query.partition("=")[2] not in str([span.attributes for span in spans()]), "the token"


async def test_a_failed_run_is_marked_with_its_code_and_nothing_that_a_client_sent(working, spans):
    execution_id = await working.submit(("a", "fail", {"message": "password=hunter2 is wrong"}))
    await working.ended(execution_id)
    found = await with_span(spans, "job fail")

    run = named(found, "job fail")
    assert run.status.status_code is StatusCode.ERROR
    assert run.attributes["callsheet.status"] == "failed"
    assert "hunter2" not in "".join(span.to_json() for span in found)


async def test_an_execution_that_was_submitted_without_tracing_has_a_trace_of_its_own(working, spans):
    await working.client.patch("/api/queues/test", json={"paused": True})
    tracer = tracing._tracer
    tracing.use_tracer(None)
    execution_id = await working.submit(("a", "noop", {}), ("b", "noop", {}))
    tracing.use_tracer(tracer)
    await working.client.patch("/api/queues/test", json={"paused": False})
    await working.ended(execution_id)

    runs = [span for span in await with_span(spans, "job noop") if span.name == "job noop"]
    assert {trace_of(run) for run in runs} == {UUID(execution_id).hex}


async def test_a_request_of_an_untraced_client_begins_a_trace(working, spans):
    await working.ended(await working.submit(("a", "noop", {})))
    found = await with_span(spans, "job noop")

    request = named(found, "POST submit_plan")
    assert request.parent is None
    assert trace_of(named(found, "job noop")) == trace_of(request)


# Over process borders, to a real collector


class Collector:
    """A receiver of OTLP over HTTP."""

    def __init__(self):
        self.spans = []
        self.headers = []

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert first == "POST /v1/traces HTTP/1.1"
                self.headers.append(headers)
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    name = {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"]
                    for scope in resource.scope_spans:
                        self.spans += [(name, span) for span in scope.spans]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def collecting():
    collector = Collector()
    server = await asyncio.start_server(collector.serve, "127.0.0.1", 0)
    collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield collector
    server.close()


async def test_a_trace_goes_on_in_the_process_of_the_worker_and_its_log_names_it(api, tmp_path, spans):
    async with collecting() as collector:
        environment = {
            "CALLSHEET_LOG_JSON": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=films",
            "OTEL_SERVICE_NAME": "film worker",
        }
        with worker_command(api.runtime.settings, tmp_path / "log", **environment) as worker:
            body = {"executionPlan": {"jobs": [{"id": "a", "operation": "noop"}]}}
            response = await api.client.post("/api/executions", json=body, headers=GIVEN)
            execution_id = response.json()["executionId"]
            await api.event(execution_id, "execution.succeeded", timeout=60)
            worker.terminate()
            await asyncio.to_thread(worker.wait, 30)
        await until(lambda: any(span.name == "operation noop" for _, span in collector.spans), what="the spans")

    request = named(spans(), "POST submit_plan")
    found = {span.name: (service, span) for service, span in collector.spans}
    service, run = found["job noop"]
    assert service == "film worker"
    assert run.trace_id.hex() == TRACE
    assert run.parent_span_id.hex() == f"{request.context.span_id:016x}"
    assert found["operation noop"][1].parent_span_id == run.span_id
    assert collector.headers[0]["x-tenant"] == "films"
    lines = [orjson.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    claimed = next(line for line in lines if line["event"] == "job claimed")
    assert claimed["trace_id"] == TRACE
    assert claimed["execution"] == execution_id
    assert UUID(claimed["job"])


def test_a_collector_that_is_away_does_not_hold_up_the_end_of_a_process(settings):
    began = time.monotonic()
    with telemetry(settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:1"})):
        for _ in range(10):
            with tracing.span("job"):
                pass
    assert time.monotonic() - began < 15
    assert not tracing.is_tracing()


def test_tracing_without_its_extra_is_an_error_that_says_what_to_install(settings, monkeypatch):
    monkeypatch.delitem(sys.modules, "callsheet.tracing.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    changed = settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:4318"})
    with pytest.raises(ConfigurationError, match=r"callsheet\[otel\]"), telemetry(changed):
        pass


def test_neither_opentelemetry_nor_sentry_is_imported_while_they_are_off():
    code = (
        "import sys, callsheet.api.app, callsheet.engine.worker.loop, callsheet.cli.telemetry;"
        "print([n for n in sys.modules if n.startswith(('opentelemetry.sdk', 'opentelemetry.exporter', 'sentry_sdk'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "[]"
