"""`callsheet check` with a real server, worker, database and bucket."""

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

import callsheet
from callsheet.cli.diagnostics.clock import clock
from callsheet.cli.diagnostics.database import database
from callsheet.cli.diagnostics.installation import Installation
from callsheet.cli.diagnostics.operations import workers
from callsheet.cli.diagnostics.public_url import public_url
from callsheet.cli.diagnostics.storage import storage
from callsheet.testing.engine import running_engine

from ..s3_server import S3Server


async def findings(check, settings):
    async with Installation(settings) as installation:
        return [finding async for finding in check(installation)]


async def one(check, settings):
    (finding,) = await findings(check, settings)
    return finding


class _Text(callsheet.Model):
    text: str = "x"


@callsheet.operation("chat")
async def chat(job: callsheet.Context, params: _Text) -> _Text:
    """Print a text."""
    print(params.text)
    return params


@callsheet.operation("paint", needs={"gpu"})
async def paint(job: callsheet.Context, params: _Text) -> _Text:
    """Need a GPU."""
    return params


# The database


async def test_a_database_without_a_server_and_one_without_a_schema_are_reported(settings, new_database):
    gone = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql://me:hush@127.0.0.1:1/x")}
    )
    empty = settings.model_copy(update={"database_url": type(settings.database_url)(new_database(empty=True))})

    unavailable, no_schema = await one(database, gone), await one(database, empty)
    assert (unavailable.code, no_schema.code) == ("database.unavailable", "database.no_schema")
    assert "hush" not in unavailable.message
    assert (await one(database, settings)).code == "database.ok"


# The clocks


class _Fast(datetime):
    """A clock of this machine that is 90 seconds ahead."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(seconds=90)


async def test_a_clock_of_this_machine_that_is_ahead_is_an_error(settings, monkeypatch):
    assert (await one(clock, settings)).code == "clock.ok"
    monkeypatch.setattr("callsheet.cli.diagnostics.clock.datetime", _Fast)

    ahead = await one(clock, settings)
    assert (ahead.code, "ahead of that of the database" in ahead.message) == ("clock.wrong", True)


async def test_a_worker_whose_clock_differs_shows_in_the_times_of_its_log(settings, monkeypatch):
    async def run(engine, seconds):
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.now(tz) + timedelta(seconds=seconds)

        monkeypatch.setattr("callsheet.processes.output_capture.datetime", Clock)
        execution = await engine.run({"jobs": [{"id": "a", "operation": "chat"}]})
        assert execution.status == "succeeded"

    async with running_engine([chat], settings=settings) as engine:
        await run(engine, 0)
        in_time = await findings(clock, settings)
        await run(engine, -30)
        slow = await findings(clock, settings)
        await run(engine, 3000)
        fast = await findings(clock, settings)

    assert [finding.code for finding in in_time] == ["clock.ok"]
    assert [finding.code for finding in slow] == ["clock.ok", "clock.worker_differs"]
    assert "behind" in slow[1].message
    assert "ahead of" in fast[1].message


# The workers


async def test_operations_that_no_live_worker_can_run_are_reported_with_the_reason(settings, monkeypatch):
    monkeypatch.setattr("callsheet.operation_api.requirements.CHECKS", {"gpu": lambda _: "The machine has no GPU"})
    assert await findings(workers, settings) == []
    async with running_engine([chat, paint], settings=settings) as engine:
        await engine.submit({"jobs": [{"id": "a", "operation": "paint"}]})
        found = await findings(workers, settings)

    assert [finding.code for finding in found] == ["workers.ok", "workers.lack_operation", "workers.unserved_jobs"]
    assert "can run paint. The machine has no GPU." in found[1].message
    assert "paint" in found[2].message


# The bucket


@asynccontextmanager
async def gate(server: S3Server, refused: tuple[bytes, ...]):
    """A server in front of an S3 server that denies requests whose head starts with one of `refused`."""

    async def forward(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if head.startswith(refused):
            error = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            writer.write(
                b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(error) + error
            )
        else:
            inner, outer = await asyncio.open_connection("127.0.0.1", int(server.endpoint.rpartition(":")[2]))
            outer.write(head[:-2] + b"Connection: close\r\n\r\n" + body)
            writer.write(await inner.read())
            outer.close()
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("refused", "codes", "right"),
    [
        ((), ["storage.ok"], ""),
        ((b"DELETE ", b"POST "), ["storage.delete_failed"], "s3:DeleteObject"),
        ((b"PUT ",), ["storage.write_failed"], "s3:PutObject"),
        ((b"GET /videos/callsheet-check",), ["storage.read_failed"], "s3:GetObject"),
        ((b"GET /videos?",), ["storage.list_failed"], "s3:ListBucket"),
    ],
    ids=["none", "delete", "write", "read", "list"],
)
async def test_each_right_that_the_key_of_a_bucket_lacks_is_named(s3_server, refused, codes, right):
    async with gate(s3_server, refused) as endpoint:
        found = await findings(storage, s3_server.settings(s3_endpoint=endpoint))

    assert [finding.code for finding in found] == codes, found
    assert right in found[0].action


# The public URL


async def test_the_public_url_leads_to_the_server_that_runs_here(served_with, settings):
    async with served_with(public_url=f"http://localhost:{settings.port}") as api:
        own = api.runtime.settings
        assert [finding.code for finding in await findings(public_url, own)] == [
            "public_url.not_public",
            "public_url.ok",
        ]


async def test_without_a_public_url_providers_are_polled(settings):
    assert (await one(public_url, settings)).code == "public_url.ok"


async def test_a_public_url_without_a_server_says_whether_one_runs_here(served_with, settings):
    unused = {"public_url": "http://127.0.0.1:1"}
    (_, no_server) = await findings(public_url, settings.model_copy(update={**unused, "port": 1}))
    async with served_with(**unused) as api:
        (_, unreachable) = await findings(public_url, api.runtime.settings)

    assert (no_server.code, unreachable.code) == ("public_url.no_server", "public_url.unreachable")


async def test_a_public_url_of_another_installation_is_an_error(served_with, settings, tmp_path):
    async with served_with(public_url=f"http://127.0.0.1:{settings.port}") as api:
        other = api.runtime.settings.model_copy(
            update={"signing_key": type(settings.database_url)("another-key-0123456")}
        )
        found = await findings(public_url, other)

    assert found[-1].code == "public_url.other_server"


async def test_a_login_before_the_webhooks_is_an_error(served_with, settings):
    async def respond(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b" /healthz" in head:
            body, status = b'{"status": "ok", "version": "1"}', b"200 OK"
        else:
            body, status = b"<html>Log in</html>", b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(respond, "127.0.0.1", 0)
    async with listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        found = await findings(public_url, settings.model_copy(update={"public_url": url}))

    assert found[-1].code == "public_url.webhooks_blocked"
