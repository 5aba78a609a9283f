"""Several servers: selection, cooldown, drain marks, fallback to another server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from callsheet.comfyui.drain import set_drained
from callsheet.comfyui.health import check_servers
from callsheet.comfyui.hosts import parse_hosts
from callsheet.comfyui.pool import Pool, ServerRequirements
from callsheet.comfyui.server import Server
from callsheet.domain.errors import BadParams, ConfigurationError, ProviderUnreachable
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
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


def fail_on_wait(message: str) -> None:
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


async def test_a_job_waits_for_a_full_pool(pool: Pool):
    messages: list[str] = []
    requirements = ServerRequirements(name="two")
    async with pool.acquire(requirements, fail_on_wait):
        waiting = asyncio.create_task(_acquire(pool, requirements, messages))
        await until(lambda: messages)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5) == "two"
    assert messages == ["waits for a free ComfyUI server"]


async def _acquire(pool: Pool, requirements: ServerRequirements, messages: list[str]) -> str:
    async with pool.acquire(requirements, messages.append) as server:
        return server.name


async def test_the_cooldown_grows_with_each_failure(pool: Pool):
    one = pool.servers[0]
    for _ in range(3):
        one.record_failure("out of order")
    first = one.cooldown
    one.record_failure("still out of order")

    assert 25 < first <= 30 < one.cooldown <= 60
    assert await selected(pool) == "two"
    one.record_success(None)
    assert one.cooldown == 0


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

    with pytest.raises(ProviderUnreachable, match="does not respond: ConnectError"):
        await runner.run(graph=workflow("image_tiny"))


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


async def test_a_health_check_reports_reachability_and_queue_depth(pool: Pool, server: FakeComfyUI):
    server.unavailable = True
    one, two = await check_servers(pool)

    assert (one.reachable, two.reachable) == (False, True)
    assert "502" in (one.reason or "")
    assert (two.version, two.queue_depth) == ("0.3.64", 0)
    assert isinstance(two.server, Server)


async def test_a_server_that_stays_unreachable_is_replaced_by_another(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    urls = f"{server.url}#name=one,{other.url}#name=two"
    runner = JobRunner(tmp_path, comfyui_api_url=urls, comfyui_timeout=0.1)
    work = runner.start(graph=stepping(1))
    await until(lambda: "server 1" in runner.job.steps)
    first, second = (server, other) if runner.job.steps["server 1"] == "one" else (other, server)
    await reached(first)
    first.unavailable = True
    with pytest.raises(ProviderUnreachable):
        await work
    for _ in range(2):
        with pytest.raises(ProviderUnreachable):
            await runner.run(graph=stepping(1))
    second.executor.step_permits.release()

    assert (await runner.run(graph=stepping(1))).server != runner.job.steps["server 1"]
    assert (len(first.accepted), len(second.accepted)) == (1, 1)
    assert "submitted to another server" in runner.log_text


async def test_a_later_run_finds_a_server_with_a_space_in_its_name(server: FakeComfyUI, tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_api_url=f"{server.url}#name=big+gpu")
    work = runner.start(graph=stepping(1))
    await reached(server)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    server.executor.step_permits.release()

    assert (await runner.run(graph=stepping(1))).server == "big gpu"
    assert len(server.accepted) == 1
