"""A prompt is never lost sight of, and never sent twice by guessing."""

import asyncio

import pytest

from callsheet.comfyui.client import ComfyUI
from callsheet.domain.errors import JobError, PromptLost, ProviderFailed, ProviderUnreachable, TimedOut, Transient
from callsheet.fakes.comfyui import FakeComfyUI
from callsheet.testing.waiters import until

from .conftest import Desk, reached, stepping, workflow


async def test_progress_is_told_over_the_whole_graph(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping(4))
    await reached(server)
    for _ in range(4):
        before = len(desk.shares)
        server.executor.steps.release()
        await until(lambda before=before: len(desk.shares) > before)
    await work

    # Three nodes: the middle one is a third, in four steps.
    rounded = [round(share / 0.95 * 12) for share in desk.shares if share < 0.95]
    assert sorted({number for number in rounded if 4 <= number <= 8}) == [4, 5, 6, 7, 8]
    assert desk.shares == sorted(desk.shares)
    assert any(report.message == "Step (node 5)" for report in desk.job.progress_reports)


@pytest.mark.parametrize("code", [None, 1009, 1012])
async def test_a_websocket_that_breaks_in_mid_run_does_no_harm(desk: Desk, server: FakeComfyUI, code: int | None):
    work = desk.start(graph=stepping(2))
    await reached(server)
    server.cut_sockets(code)
    await until(lambda: len(server.client_ids) == 2)
    server.executor.steps.release()
    server.executor.steps.release()

    assert len((await work).images) == 1
    # The same id twice makes a connection deaf.
    assert len(set(server.client_ids)) == len(server.client_ids)
    assert len(server.accepted) == 1


async def test_a_websocket_that_says_nothing_is_not_waited_for(desk: Desk, server: FakeComfyUI):
    server.deaf = True

    assert len((await desk.run(graph=workflow("image_tiny"))).images) == 1


async def test_a_history_that_comes_after_its_message_is_waited_for(desk: Desk, server: FakeComfyUI):
    server.executor.history_late = 0.05

    assert len((await desk.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_an_answer_that_is_lost_is_looked_up_and_the_prompt_runs_once(desk: Desk, server: FakeComfyUI):
    server.lose_answers = 1

    assert len((await desk.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_a_prompt_that_never_arrived_is_sent_by_a_later_run_under_another_id(
    desk: Desk, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.prompt_tracker._LOOKUPS", (0.0, 0.01))
    server.drop_prompts = 1

    with pytest.raises(PromptLost):
        await desk.run(graph=workflow("image_tiny"))
    assert server.accepted == []
    assert len((await desk.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_a_restarted_server_has_lost_the_prompt_and_nobody_calls_it_done(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping())
    await reached(server)
    await server.restart()

    with pytest.raises(PromptLost, match="does not know the prompt any more") as caught:
        await work
    assert isinstance(caught.value, Transient)

    server.executor.steps = asyncio.Semaphore(9)
    assert len((await desk.run(graph=stepping())).images) == 1
    assert len(set(server.accepted)) == 2


@pytest.mark.parametrize("reason", ["stopping", "lost"])
async def test_a_run_that_is_stopped_leaves_the_prompt_to_the_next_one(desk: Desk, server: FakeComfyUI, reason: str):
    work = desk.start(graph=stepping(1))
    await reached(server)
    work.cancel(reason)
    with pytest.raises(asyncio.CancelledError):
        await work
    assert server.interrupts == []

    again = desk.start(graph=stepping(1))
    await until(lambda: len(server.client_ids) == 2)
    server.executor.steps.release()

    assert len((await again).images) == 1
    assert len(server.accepted) == 1


async def test_a_later_run_finds_a_prompt_that_ended_meanwhile(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping(1))
    await reached(server)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    server.executor.steps.release()
    await until(lambda: server.executor.history)

    assert len((await desk.run(graph=stepping(1))).images) == 1
    assert len(server.accepted) == 1


async def test_a_worker_that_died_before_sending_has_sent_nothing(desk: Desk, server: FakeComfyUI):
    # The id was written down, the server was not.
    desk.job.steps["prompt 1"] = "whatever"

    assert len((await desk.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_cancelling_interrupts_our_own_prompt_and_no_other(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping())
    await reached(server)
    work.cancel("cancelled")

    with pytest.raises(asyncio.CancelledError):
        await work
    assert set(server.interrupts) == set(server.accepted)
    assert server.executor.remaining == 0


async def test_a_prompt_that_waits_is_taken_out_of_the_queue_and_the_other_runs_on(
    server: FakeComfyUI, desk_for, tmp_path
):
    first, second = desk_for(server), Desk(tmp_path / "b", comfyui_api_url=server.url)
    ahead = first.start(graph=stepping(1))
    await reached(server)
    behind = second.start(graph=workflow("image_batch3"))
    await until(lambda: any("ahead" in str(report.message) for report in second.job.progress_reports))
    behind.cancel("cancelled")
    await asyncio.gather(behind, return_exceptions=True)
    server.executor.steps.release()

    assert len((await ahead).images) == 1
    assert len(server.accepted) == 2
    assert not list(server.output.rglob("batch*"))


async def test_a_server_with_the_newer_routes_is_asked_to_cancel_at_once(desk: Desk, server: FakeComfyUI):
    server.jobs_api = True
    work = desk.start(graph=stepping())
    await reached(server)
    work.cancel("cancelled")

    with pytest.raises(asyncio.CancelledError):
        await work
    assert server.executor.remaining == 0
    assert None not in server.interrupts


async def test_a_cancelled_job_that_is_retried_by_hand_runs_again(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping())
    await reached(server)
    work.cancel("cancelled")
    await asyncio.gather(work, return_exceptions=True)
    server.executor.steps = asyncio.Semaphore(9)

    assert len((await desk.run(graph=stepping())).images) == 1
    assert len(set(server.accepted)) == 2


async def test_a_node_that_cannot_be_stopped_is_told_of(
    desk: Desk, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.operations.comfyui.prompt_run._STOP_SECONDS", 0.3)
    work = desk.start(graph=stepping(kind="Stuck"))
    await reached(server)
    work.cancel("cancelled")

    await asyncio.gather(work, return_exceptions=True)

    assert "stops only when the node that works has ended" in desk.told
    server.executor.unstuck.set()


async def test_a_prompt_has_a_time_limit_of_its_own_and_is_stopped_at_its_end(desk: Desk, server: FakeComfyUI):
    with pytest.raises(TimedOut, match=r"longer than its 0\.3 s"):
        await desk.run(graph=stepping(), time_limit=0.3)

    await until(lambda: server.executor.remaining == 0)


async def test_the_settings_limit_the_time_of_a_prompt(server: FakeComfyUI, desk_for):
    desk = desk_for(server, comfyui_prompt_timeout=0.3, comfyui_poll_interval=0.1)

    with pytest.raises(TimedOut):
        await desk.run(graph=stepping())


async def test_somebody_elses_interrupt_is_a_failure_that_says_so(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping())
    await reached(server)
    async with ComfyUI(server.url) as somebody:
        await somebody.stop(server.accepted[0])

    with pytest.raises(ProviderFailed, match="was interrupted") as caught:
        await work
    assert caught.value.code == "interrupted"


async def test_a_server_that_takes_prompts_and_runs_none_is_found_out(
    desk: Desk, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.prompt_tracker._IDLE_SECONDS", 0.2)
    server.executor.dead = True

    with pytest.raises(ProviderUnreachable, match="takes prompts and runs none"):
        await desk.run(graph=workflow("image_tiny"))
    assert server.executor.remaining == 0, "the prompt is not left behind for whoever restarts the server"


async def test_a_server_that_is_away_for_a_moment_is_waited_for(desk: Desk, server: FakeComfyUI):
    work = desk.start(graph=stepping(1))
    await reached(server)
    server.away = True
    server.cut_sockets()
    await asyncio.sleep(0.3)
    server.away = False
    server.executor.steps.release()

    assert len((await work).images) == 1


async def test_a_server_that_stays_away_is_given_up_after_its_patience(server: FakeComfyUI, desk_for):
    desk = desk_for(server, comfyui_timeout=0.3)
    work = desk.start(graph=stepping(1))
    await reached(server)
    server.away = True

    with pytest.raises(ProviderUnreachable):
        await work

    # The next run does not send it anew, as long as it may still run.
    with pytest.raises(ProviderUnreachable):
        await desk.run(graph=stepping(1))
    server.away = False
    server.executor.steps.release()
    assert len((await desk.run(graph=stepping(1))).images) == 1
    assert len(server.accepted) == 1


async def test_no_server_at_all_is_a_failure_that_may_pass(desk_for):
    desk = desk_for(comfyui_api_url="http://127.0.0.1:9")

    with pytest.raises(JobError, match="does not answer") as caught:
        await desk.run(graph=workflow("image_tiny"))
    assert isinstance(caught.value, ProviderUnreachable)


async def test_something_else_at_the_address_is_not_taken_for_a_server_that_forgot(desk_for, server: FakeComfyUI):
    desk = desk_for(comfyui_api_url=f"{server.url}/elsewhere")

    with pytest.raises(JobError, match="404"):
        await desk.run(graph=workflow("image_tiny"))
    assert server.accepted == []


async def test_a_prompt_that_is_on_its_way_when_the_job_is_cancelled_is_stopped_too(
    desk: Desk, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    on_its_way, arrives = asyncio.Event(), asyncio.Event()
    real = ComfyUI.submit

    async def slowly(comfy: ComfyUI, *given: object) -> str:
        on_its_way.set()
        await arrives.wait()
        return await real(comfy, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(ComfyUI, "submit", slowly)
    work = desk.start(graph=stepping())
    await on_its_way.wait()
    work.cancel("cancelled")
    await asyncio.sleep(0)
    arrives.set()

    await asyncio.gather(work, return_exceptions=True)

    assert len(server.accepted) == 1
    assert server.executor.remaining == 0


async def test_the_password_of_a_server_is_in_no_message(server: FakeComfyUI, desk_for):
    with_password = server.url.replace("http://", "http://me:hunter2@")
    desk = desk_for(comfyui_api_url=with_password)
    result = await desk.run(graph=workflow("image_tiny"))
    server.away = True
    desk.new_job()
    with pytest.raises(ProviderUnreachable) as caught:
        await desk.run(graph=workflow("image_tiny"))

    assert "hunter2" not in f"{result} {desk.job.logs} {desk.job.progress_reports} {caught.value} {caught.value.facts}"
