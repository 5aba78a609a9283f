"""Several servers: selection, faults, drain marks, fallback to another server."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from callsheet.comfyui.drain import set_drained
from callsheet.comfyui.errors import AccessDenied
from callsheet.comfyui.fault_marks import read_faults
from callsheet.comfyui.health import check_servers
from callsheet.comfyui.hosts import parse_hosts
from callsheet.comfyui.pool import Pool, ServerRequirements
from callsheet.domain.errors import BadParams, ConfigurationError, ProviderFailed
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.fakes.comfyui.fake_server import VERSION
from callsheet.settings import Settings
from callsheet.testing.waiters import until

from .conftest import JobRunner, reached, stepping, workflow


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[FakeComfyUI]:
    async with running_comfyui(tmp_path / "other") as running:
        yield running


def settings_for(tmp_path: Path, urls: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", comfyui_api_url=urls, comfyui_timeout=5)


@pytest.fixture
def pool(server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path) -> Pool:
    urls = f"{server.url}#name=one&capacity=2&tags=wan+flux {other.url}#name=two&tags=wan"
    return Pool(settings_for(tmp_path, urls))


async def fail_on_wait(message: str | None, *_: object) -> None:
    raise AssertionError(f"the job {message}")


async def selected(pool: Pool, requirements: ServerRequirements | None = None) -> str:
    async with pool.acquire(requirements or ServerRequirements(), fail_on_wait) as server:
        return server.name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [("http://127.0.0.1:8188", "127.0.0.1:8188", 1, set())]),
        ("gpu:8188", [("http://gpu:8188", "gpu:8188", 1, set())]),
        (
            "https://a.example/client/#name=a&capacity=3&tags=wan+flux, http://b:1",
            [("https://a.example/client", "a", 3, {"wan", "flux"}), ("http://b:1", "b:1", 1, set())],
        ),
    ],
)
def test_servers_are_parsed_from_one_setting(tmp_path: Path, given: str | None, expected: list):
    settings = Settings(_env_file=None, data_dir=tmp_path, comfyui_api_url=given)

    assert [(host.url, host.name, host.capacity, set(host.tags)) for host in parse_hosts(settings)] == expected


def test_variables_of_earlier_systems_are_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COMFY_HOST", "127.0.0.1:8188")
    monkeypatch.setenv("COMFYUI_MAX_POLL_ATTEMPTS", "120")
    settings = Settings(_env_file=None)

    assert parse_hosts(settings)[0].url == "http://127.0.0.1:8188"
    assert (settings.comfyui_prompt_timeout, settings.comfyui_poll_interval) == (
        timedelta(minutes=10),
        timedelta(seconds=5),
    )


def test_variables_of_earlier_systems_keep_their_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("COMFYUI_TIMEOUT_MS", "1500")
    (tmp_path / ".env").write_text(
        "COMFYUI_TIMEOUT_MS=700\nCOMFYUI_POLL_INTERVAL_MS=2000\nCOMFYUI_MAX_POLL_ATTEMPTS=3\n"
    )
    settings = Settings(_env_file=tmp_path / ".env")

    assert settings.comfyui_timeout == timedelta(seconds=1.5)
    assert settings.comfyui_poll_interval == timedelta(seconds=2)
    assert settings.comfyui_prompt_timeout == timedelta(seconds=6)


@pytest.mark.parametrize(
    ("name", "value"),
    [("COMFYUI_MAX_POLL_ATTEMPTS", "1h"), ("COMFYUI_MAX_POLL_ATTEMPTS", "0"), ("COMFYUI_TIMEOUT_MS", "5s")],
)
def test_a_variable_with_a_wrong_value_is_rejected(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError):
        Settings(_env_file=None)


@pytest.mark.parametrize("given", ["ftp://a", "http://", "a#capacity=0", "a#capacity=x", "a#color=red", "a,a"])
def test_an_invalid_list_of_servers_is_rejected(tmp_path: Path, given: str):
    with pytest.raises(ConfigurationError):
        parse_hosts(Settings(_env_file=None, data_dir=tmp_path, comfyui_api_url=given))


async def test_the_server_with_the_shortest_queue_is_selected(pool: Pool, server: FakeComfyUI):
    server.executor.dead = True
    async with pool.client(server.url) as client:
        await client.submit(workflow("image_tiny"), "7b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a11", "x")

    assert await selected(pool) == "two"


async def test_the_server_that_ran_the_workflow_last_is_preferred(pool: Pool):
    pool.servers[1].record_success("talk")

    assert await selected(pool, ServerRequirements(workflow="talk")) == "two"
    assert await selected(pool, ServerRequirements(workflow="walk")) == "one"


async def test_a_server_with_a_long_queue_is_not_preferred(pool: Pool, other: FakeComfyUI):
    pool.servers[1].record_success("talk")
    other.executor.dead = True
    async with pool.client(other.url) as client:
        for number in range(3):
            await client.submit(workflow("image_tiny"), f"7b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a1{number}", "x")

    assert await selected(pool, ServerRequirements(workflow="talk")) == "one"


async def test_servers_are_selected_by_tags_and_name(pool: Pool):
    assert await selected(pool, ServerRequirements(tags=frozenset({"flux"}))) == "one"
    assert await selected(pool, ServerRequirements(name="two")) == "two"
    with pytest.raises(BadParams, match="has the tags sdxl"):
        await selected(pool, ServerRequirements(tags=frozenset({"sdxl"})))
    with pytest.raises(BadParams, match="has the name 'three'"):
        await selected(pool, ServerRequirements(name="three"))


async def test_jobs_wait_for_a_full_pool_and_get_slots_in_their_order(pool: Pool):
    waits: list[tuple[Any, ...]] = []
    order: list[int] = []
    requirements = ServerRequirements(name="two")

    async def take(number: int) -> None:
        async with pool.acquire(requirements, lambda *wait: _record(waits, wait)):
            order.append(number)

    async with pool.acquire(requirements, fail_on_wait):
        waiting = []
        for number in range(4):
            waiting.append(asyncio.create_task(take(number)))
            await until(lambda count=number + 1: len(waits) == count)
        assert order == []
    await asyncio.wait_for(asyncio.gather(*waiting), 5)

    assert order == [0, 1, 2, 3]
    servers = [{"name": "two", "state": "busy", "reason": None, "since": None}]
    assert waits[0] == ("waits for a ComfyUI server: two is busy", True, servers), "the clock of the job stops"
    assert waits[-1] == (None, False, [])


async def test_a_worker_runs_as_many_jobs_as_its_servers_take(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    woken: list[int] = []
    pool.add_listener(lambda: woken.append(pool.useful_jobs()))
    assert pool.useful_jobs() == 3
    async with pool.acquire(ServerRequirements(name="two"), fail_on_wait):
        waiting = asyncio.create_task(_take(pool, ServerRequirements(name="two")))
        await until(lambda: pool.useful_jobs() == 4, what="the job that others cannot delay")
    await waiting
    assert woken[-1] == 3

    pool.end_use()
    assert pool.useful_jobs() == 4, "this job holds no slot"
    for each in pool.servers:
        each.record_fault("unreachable", "gone")
    assert pool.useful_jobs() == 2, "one job waits, and shows why"


async def test_a_faulty_server_is_asked_although_no_job_waits(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("callsheet.comfyui.pool._RECHECK_INTERVAL", 0.05)
    monkeypatch.setattr("callsheet.comfyui.server._PROBE_INTERVAL", 0.05)
    pool.servers[0].record_fault("unreachable", "gone for a moment")

    await until(lambda: pool.servers[0].fault is None)
    assert await selected(pool, ServerRequirements(name="one")) == "one"


async def _take(pool: Pool, requirements: ServerRequirements) -> None:
    async with pool.acquire(requirements, lambda *wait: _record([], wait)):
        pass


async def _record(waits: list, wait: tuple) -> None:
    waits.append(wait)


async def test_all_jobs_see_a_fault_at_once_and_its_end_without_a_restart(
    pool: Pool, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.server._PROBE_INTERVAL", 0.0)
    server.unavailable = True
    for _ in range(9):
        assert await selected(pool) == "two"
    [fault] = [each.fault for each in pool.servers if each.fault]
    assert (fault.kind, read_faults(pool.settings)["one"].since) == ("unreachable", fault.since)

    server.unavailable = False
    assert await selected(pool) == "one"
    assert read_faults(pool.settings) == {}


async def test_a_server_that_fails_only_in_use_is_asked_less_and_less_often(pool: Pool):
    one = pool.servers[0]
    for _ in range(8):
        one.record_answer()
        one.record_fault("unreachable", "the upload failed")

    assert not one.is_probe_due
    assert one._next_probe - time.monotonic() > 50


async def test_a_server_that_rejects_access_is_not_used_while_another_one_responds(pool: Pool, server: FakeComfyUI):
    server.denied = 401

    assert await selected(pool) == "two"
    with pytest.raises(AccessDenied, match="status 401"):
        await selected(pool, ServerRequirements(name="one"))


async def test_a_drained_server_gets_no_new_jobs(pool: Pool, tmp_path: Path):
    settings = settings_for(tmp_path, "unused")
    set_drained(settings, "one", drained=True)
    assert await selected(pool) == "two"
    set_drained(settings, "two", drained=True)
    set_drained(settings, "one", drained=False)
    assert await selected(pool) == "one"


async def test_a_job_uses_another_server_when_the_first_does_not_respond(other: FakeComfyUI, tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_api_url=f"http://127.0.0.1:9#name=dead,{other.url}#name=two")

    result = await runner.run(graph=workflow("image_tiny"))

    assert result.server == "two"
    assert len(other.accepted) == 1


async def test_a_server_behind_a_proxy_that_cannot_reach_it_is_skipped(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    server.unavailable = True
    runner = JobRunner(tmp_path, comfyui_api_url=f"{server.url}#name=one,{other.url}#name=two&capacity=2")

    assert (await runner.run(graph=workflow("image_tiny"))).server == "two"
    assert (await runner.run(graph=workflow("image_tiny"))).server == "two"


async def test_when_no_server_responds_the_reason_is_reported(tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_api_url="http://127.0.0.1:9#name=a,http://127.0.0.1:10#name=b")

    with pytest.raises(ProviderFailed, match=r"a does not respond since .*ConnectError.*; b does not respond"):
        await runner.run(graph=workflow("image_tiny"), patient=False)


async def test_two_jobs_share_two_servers(server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_api_url=f"{server.url},{other.url}")
    works = []
    for name in ("first", "second"):
        runner.new_job(name)
        works.append(runner.start(graph=stepping(1)))
        await asyncio.sleep(0)  # the job is read when the task starts
    await reached(server)
    await reached(other)
    server.executor.step_permits.release()
    other.executor.step_permits.release()

    assert {(await work).server for work in works} == {url.url.removeprefix("http://") for url in (server, other)}


async def test_a_later_run_returns_to_the_server_that_has_the_prompt(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    runner = JobRunner(tmp_path, comfyui_api_url=f"{server.url}#name=one,{other.url}#name=two")
    work = runner.start(graph=stepping(1), server="two")
    await reached(other)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    set_drained(runner.settings, "two", drained=True)
    other.executor.step_permits.release()

    assert (await runner.run(graph=stepping(1))).server == "two"
    assert (len(server.accepted), len(other.accepted)) == (0, 1)


async def test_a_server_removed_from_the_settings_is_not_waited_for(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    runner = JobRunner(tmp_path, comfyui_api_url=f"{other.url}#name=two")
    work = runner.start(graph=stepping(1))
    await reached(other)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    moved = JobRunner(tmp_path, comfyui_api_url=f"{server.url}#name=one")
    moved.job.id, moved.job.steps = runner.job.id, runner.job.steps
    server.executor.step_permits.release()

    assert (await moved.run(graph=stepping(1))).server == "one"
    assert "which is gone" in moved.log_text


async def test_a_health_check_reports_state_reason_and_queue(pool: Pool, server: FakeComfyUI, other: FakeComfyUI):
    server.unavailable = True
    pool.servers[0].record_fault("unreachable", "seen by a worker")
    one, two = await check_servers(pool)

    assert (one.state, two.state) == ("unreachable", "reachable")
    assert "502" in (one.reason or "")
    assert pool.servers[0].fault is not None
    assert one.since == pool.servers[0].fault.since
    assert (two.version, two.queue_depth) == (VERSION, 0)
    other.denied = 403
    assert [health.state for health in await check_servers(pool)] == ["unreachable", "unauthorized"]
    set_drained(pool.settings, "two", drained=True)
    assert [health.state for health in await check_servers(pool)] == ["unreachable", "drained"]


async def test_a_prompt_moves_from_a_server_that_is_away_to_another_within_one_run(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    urls = f"{server.url}#name=one,{other.url}#name=two"
    runner = JobRunner(tmp_path, comfyui_api_url=urls, comfyui_away_limit=0.1)
    work = runner.start(graph=stepping(1))
    await until(lambda: "server 1" in runner.job.steps)
    first, second = (server, other) if runner.job.steps["server 1"] == "one" else (other, server)
    await reached(first)
    first.unavailable = True
    await reached(second)
    second.executor.step_permits.release()

    assert (await work).server != runner.job.steps["server 1"]
    assert (len(first.accepted), len(second.accepted)) == (1, 1)
    assert "submitted to another server" in runner.log_text


async def test_a_prompt_without_a_sign_of_life_is_reported_to_its_job_to_those_behind_it_and_in_the_list(
    server: FakeComfyUI, tmp_path: Path
):
    runner = JobRunner(tmp_path, comfyui_api_url=server.url, comfyui_silence_limit=0.5)
    first, first_job = runner.start(graph=stepping(2)), runner.job
    await reached(server)
    reports = first_job.progress_reports
    await until(lambda: any("no sign of life" in (report.message or "") for report in reports))
    runner.new_job("behind")
    second = runner.start(graph=workflow("image_tiny"))
    await until(lambda: bool(runner.job.waits))
    [health] = await check_servers(runner.pool)
    server.executor.step_permits.release()
    await until(lambda: runner.pool.servers[0].fault is None)
    server.executor.step_permits.release()

    assert len((await first).images) == len((await second).images) == 1
    message, stops_clock = runner.job.waits[0]
    assert "shows no sign of life since" in (message or "")
    assert stops_clock
    assert runner.job.wait_facts[0]["servers"][0]["state"] == "silent"
    assert (health.state, health.since is not None) == ("silent", True)
    assert [line["message"][:16] for line in first_job.logs].count("No sign of life:") == 1
    assert read_faults(runner.settings) == {}


async def test_a_silent_server_is_used_again_when_the_prompt_has_left_it(
    server: FakeComfyUI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.pool._RECHECK_INTERVAL", 0.1)
    monkeypatch.setattr("callsheet.comfyui.server._PROBE_INTERVAL", 0.1)
    monkeypatch.setattr("callsheet.operations.comfyui.prompt_run._CANCEL_TIMEOUT", 0.5)
    runner = JobRunner(tmp_path, comfyui_api_url=server.url, comfyui_silence_limit=0.3)
    stuck = runner.start(graph=stepping(kind="Stuck"))
    await reached(server)
    await until(lambda: runner.pool.servers[0].fault is not None)
    stuck.cancel("cancelled")
    await asyncio.gather(stuck, return_exceptions=True)
    still = runner.pool.servers[0].fault
    runner.new_job()
    behind = runner.start(graph=workflow("image_tiny"))
    await until(lambda: bool(runner.job.waits))
    server.executor.release_stuck.set()

    assert still is not None and still.kind == "silent"
    assert len((await behind).images) == 1


async def test_a_later_run_finds_a_server_with_a_space_in_its_name(server: FakeComfyUI, tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_api_url=f"{server.url}#name=big+gpu")
    work = runner.start(graph=stepping(1))
    await reached(server)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    server.executor.step_permits.release()

    assert (await runner.run(graph=stepping(1))).server == "big gpu"
    assert len(server.accepted) == 1
