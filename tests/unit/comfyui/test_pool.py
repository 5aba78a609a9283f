"""Several servers: the one that suits best gets the job, and one that fails again and again gets none for a while."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from callsheet.comfyui.hosts import parse_hosts
from callsheet.comfyui.pool import Pool, Server, ServerRequirements, check_servers, drain, open_pool
from callsheet.domain.errors import BadParams, ConfigurationError, ProviderUnreachable
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from callsheet.testing.waiters import until

from .conftest import Desk, reached, stepping, workflow


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[FakeComfyUI]:
    async with running_comfyui(tmp_path / "other") as running:
        yield running


def settings_for(tmp_path: Path, urls: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", comfyui_api_url=urls, comfyui_timeout=5)


@pytest.fixture
def pool(server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path) -> Pool:
    urls = f"{server.url}#name=one&capacity=2&tags=wan+flux {other.url}#name=two&tags=wan"
    return open_pool(settings_for(tmp_path, urls))


def nobody_waits(message: str) -> None:
    raise AssertionError(f"the job {message}")


async def chosen(pool: Pool, wish: ServerRequirements | None = None) -> str:
    async with pool.acquire(wish or ServerRequirements(), nobody_waits) as server:
        return server.name


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [("http://127.0.0.1:8188", "127.0.0.1:8188", 1, set())]),
        ("gpu:8188", [("http://gpu:8188", "gpu:8188", 1, set())]),
        (
            "https://a.example/comfy/#name=a&capacity=3&tags=wan+flux, http://b:1",
            [("https://a.example/comfy", "a", 3, {"wan", "flux"}), ("http://b:1", "b:1", 1, set())],
        ),
    ],
)
def test_servers_are_read_from_one_line(tmp_path: Path, given: str | None, expected: list):
    settings = Settings(_env_file=None, data_dir=tmp_path, comfyui_api_url=given)

    assert [(host.url, host.name, host.capacity, set(host.tags)) for host in parse_hosts(settings)] == expected


def test_the_names_of_earlier_systems_are_understood(monkeypatch: pytest.MonkeyPatch):
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


@pytest.mark.parametrize("given", ["ftp://a", "http://", "a#capacity=0", "a#capacity=x", "a#colour=red", "a,a"])
def test_a_line_that_cannot_be_read_is_refused(tmp_path: Path, given: str):
    with pytest.raises(ConfigurationError):
        parse_hosts(Settings(_env_file=None, data_dir=tmp_path, comfyui_api_url=given))


async def test_the_least_busy_server_is_taken(pool: Pool, server: FakeComfyUI):
    server.executor.dead = True
    async with pool.client(server.url) as comfy:
        await comfy.submit(workflow("image_tiny"), "7b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a11", "x")

    assert await chosen(pool) == "two"


async def test_the_server_that_ran_the_workflow_last_is_preferred(pool: Pool):
    pool.servers[1].worked("talk")

    assert await chosen(pool, ServerRequirements(workflow="talk")) == "two"
    assert await chosen(pool, ServerRequirements(workflow="walk")) == "one"


async def test_but_not_when_many_wait_there(pool: Pool, other: FakeComfyUI):
    pool.servers[1].worked("talk")
    other.executor.dead = True
    async with pool.client(other.url) as comfy:
        for number in range(3):
            await comfy.submit(workflow("image_tiny"), f"7b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a1{number}", "x")

    assert await chosen(pool, ServerRequirements(workflow="talk")) == "one"


async def test_tags_and_names_are_kept_to(pool: Pool):
    assert await chosen(pool, ServerRequirements(tags=frozenset({"flux"}))) == "one"
    assert await chosen(pool, ServerRequirements(name="two")) == "two"
    with pytest.raises(BadParams, match="has the tags sdxl"):
        await chosen(pool, ServerRequirements(tags=frozenset({"sdxl"})))
    with pytest.raises(BadParams, match="is called 'three'"):
        await chosen(pool, ServerRequirements(name="three"))


async def test_a_full_pool_is_waited_for(pool: Pool):
    said: list[str] = []
    wish = ServerRequirements(name="two")
    async with pool.acquire(wish, nobody_waits):
        waiting = asyncio.create_task(_sit(pool, wish, said))
        await until(lambda: said)
        assert not waiting.done()
    assert await asyncio.wait_for(waiting, 5) == "two"
    assert said == ["waits for a free ComfyUI server"]


async def _sit(pool: Pool, wish: ServerRequirements, said: list[str]) -> str:
    async with pool.acquire(wish, said.append) as server:
        return server.name


async def test_a_server_that_fails_again_and_again_rests_longer_each_time(pool: Pool):
    one = pool.servers[0]
    for _ in range(3):
        one.failed("out of order")
    first = one.resting
    one.failed("still out of order")

    assert 25 < first <= 30 < one.resting <= 60
    assert await chosen(pool) == "two"
    one.worked(None)
    assert one.resting == 0


async def test_a_drained_server_gets_nothing_new(pool: Pool, tmp_path: Path):
    settings = settings_for(tmp_path, "unused")
    drain(settings, "one", drained=True)
    assert await chosen(pool) == "two"
    drain(settings, "two", drained=True)
    drain(settings, "one", drained=False)
    assert await chosen(pool) == "one"


async def test_a_job_goes_to_another_server_when_the_first_does_not_answer(other: FakeComfyUI, tmp_path: Path):
    desk = Desk(tmp_path, comfyui_api_url=f"http://127.0.0.1:9#name=dead,{other.url}#name=two")

    result = await desk.run(graph=workflow("image_tiny"))

    assert result.server == "two"
    assert len(other.accepted) == 1


async def test_a_server_behind_a_proxy_that_cannot_reach_it_is_passed_over(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    server.away = True
    desk = Desk(tmp_path, comfyui_api_url=f"{server.url}#name=one,{other.url}#name=two&capacity=2")

    assert (await desk.run(graph=workflow("image_tiny"))).server == "two"
    assert (await desk.run(graph=workflow("image_tiny"))).server == "two"


async def test_when_none_answers_the_reason_is_told(tmp_path: Path):
    desk = Desk(tmp_path, comfyui_api_url="http://127.0.0.1:9#name=a,http://127.0.0.1:10#name=b")

    with pytest.raises(ProviderUnreachable, match="does not answer: ConnectError"):
        await desk.run(graph=workflow("image_tiny"))


async def test_two_jobs_share_two_servers(server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path):
    desks = [Desk(tmp_path, comfyui_api_url=f"{server.url},{other.url}") for _ in range(2)]
    desks[1].job = RecordingContext(tmp_path / "second", settings=desks[1].settings)
    works = [desk.start(graph=stepping(1)) for desk in desks]
    await reached(server)
    await reached(other)
    server.executor.steps.release()
    other.executor.steps.release()

    assert {(await work).server for work in works} == {url.url.removeprefix("http://") for url in (server, other)}


async def test_a_later_run_goes_back_to_the_server_that_has_the_prompt(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    desk = Desk(tmp_path, comfyui_api_url=f"{server.url}#name=one,{other.url}#name=two")
    work = desk.start(graph=stepping(1), server="two")
    await reached(other)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    drain(desk.settings, "two", drained=True)
    other.executor.steps.release()

    assert (await desk.run(graph=stepping(1))).server == "two"
    assert (len(server.accepted), len(other.accepted)) == (0, 1)


async def test_a_server_that_the_settings_no_longer_name_is_given_up(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    desk = Desk(tmp_path, comfyui_api_url=f"{other.url}#name=two")
    work = desk.start(graph=stepping(1))
    await reached(other)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    moved = Desk(tmp_path, comfyui_api_url=f"{server.url}#name=one")
    moved.job.id, moved.job.steps = desk.job.id, desk.job.steps
    server.executor.steps.release()

    assert (await moved.run(graph=stepping(1))).server == "one"
    assert "do not name any more" in moved.told


async def test_a_survey_tells_who_answers_and_how_much_waits(pool: Pool, server: FakeComfyUI):
    server.away = True
    one, two = await check_servers(pool)

    assert (one.reachable, two.reachable) == (False, True)
    assert "502" in (one.reason or "")
    assert (two.version, two.waiting) == ("0.3.64", 0)
    assert isinstance(two.server, Server)


async def test_a_server_that_never_comes_back_is_given_up_for_another_in_the_end(
    server: FakeComfyUI, other: FakeComfyUI, tmp_path: Path
):
    urls = f"{server.url}#name=one,{other.url}#name=two"
    desk = Desk(tmp_path, comfyui_api_url=urls, comfyui_timeout=0.1)
    work = desk.start(graph=stepping(1))
    await until(lambda: "server 1" in desk.job.steps)
    first, second = (server, other) if desk.job.steps["server 1"] == "one" else (other, server)
    await reached(first)
    first.away = True
    with pytest.raises(ProviderUnreachable):
        await work
    for _ in range(2):
        with pytest.raises(ProviderUnreachable):
            await desk.run(graph=stepping(1))
    second.executor.steps.release()

    assert (await desk.run(graph=stepping(1))).server != desk.job.steps["server 1"]
    assert (len(first.accepted), len(second.accepted)) == (1, 1)
    assert "sent to another server" in desk.told
