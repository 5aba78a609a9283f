"""A prompt is tracked through faults, resumed by later runs, and never queued twice."""

import asyncio

import pytest

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.errors import AccessDenied
from callsheet.comfyui.fault_marks import read_faults
from callsheet.domain.errors import JobError, PromptLost, ProviderFailed, ProviderUnreachable, TimedOut, Transient
from callsheet.fakes.comfyui import FakeComfyUI
from callsheet.testing.waiters import until

from .conftest import JobRunner, reached, stepping, workflow


async def test_progress_covers_the_whole_graph(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping(4))
    await reached(server)
    for _ in range(4):
        before = len(runner.progress)
        server.executor.step_permits.release()
        await until(lambda before=before: len(runner.progress) > before)
    await work

    # Three nodes: the middle one is a third, in four steps.
    rounded = [round(share / 0.95 * 12) for share in runner.progress if share < 0.95]
    assert sorted({number for number in rounded if 4 <= number <= 8}) == [4, 5, 6, 7, 8]
    assert runner.progress == sorted(runner.progress)
    assert any(report.message == "Step (node 5)" for report in runner.job.progress_reports)


@pytest.mark.parametrize("code", [None, 1009, 1012])
async def test_a_broken_websocket_does_no_harm(runner: JobRunner, server: FakeComfyUI, code: int | None):
    work = runner.start(graph=stepping(2))
    await reached(server)
    server.cut_sockets(code)
    await until(lambda: len(server.client_ids) == 2)
    server.executor.step_permits.release()
    server.executor.step_permits.release()

    assert len((await work).images) == 1
    # The same id twice makes a connection deaf.
    assert len(set(server.client_ids)) == len(server.client_ids)
    assert len(server.accepted) == 1


async def test_a_refused_websocket_is_reported_once_and_the_job_succeeds(runner: JobRunner, server: FakeComfyUI):
    server.refuse_websockets = True
    work = runner.start(graph=stepping(1))
    await reached(server)
    await until(lambda: any("status 403" in (report.message or "") for report in runner.job.progress_reports))
    await asyncio.sleep(0.5)  # sleep: several polls
    server.executor.step_permits.release()

    assert len((await work).images) == 1
    notes = [line["message"] for line in runner.job.logs if "status 403" in line["message"]]
    assert notes == ["The prompt runs; its progress is not known: the websocket cannot be reached (status 403)."]


async def test_a_bar_that_stands_still_after_a_break_says_so(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping(4))
    await reached(server)
    server.executor.step_permits.release()
    await until(lambda: any(report.message == "Step (node 5)" for report in runner.job.progress_reports))
    server.cut_sockets()
    expected = "Step (node 5); its progress is not known: the websocket was interrupted"
    await until(lambda: runner.job.progress_reports[-1].message == expected)
    for _ in range(3):
        server.executor.step_permits.release()

    assert len((await work).images) == 1
    assert runner.progress == sorted(runner.progress)


async def test_a_run_that_takes_over_a_prompt_keeps_the_bar_and_says_so(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping(1))
    await reached(server)
    work.cancel("lost")
    await asyncio.gather(work, return_exceptions=True)
    runner.job.progress_reports.clear()
    runner.job.progress_before = 0.4
    again = runner.start(graph=stepping(1))
    message = "runs; an earlier run started it, so its progress is not known"
    await until(lambda: any(report.message == message for report in runner.job.progress_reports))
    server.executor.step_permits.release()

    assert len((await again).images) == 1
    assert min(runner.progress) == pytest.approx(0.4)
    assert any("an earlier run started it" in line["message"] for line in runner.job.logs)


async def test_a_silent_websocket_does_no_harm(runner: JobRunner, server: FakeComfyUI):
    server.silent_websockets = True

    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1


async def test_a_late_history_entry_is_waited_for(runner: JobRunner, server: FakeComfyUI):
    server.executor.history_delay = 0.05

    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_after_a_lost_response_the_prompt_is_looked_up_and_runs_once(runner: JobRunner, server: FakeComfyUI):
    server.lose_responses = 1

    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_a_prompt_that_never_arrived_is_submitted_by_a_later_run_with_another_id(
    runner: JobRunner, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.prompt_submission._LOOKUP_PAUSES", (0.0, 0.01))
    server.drop_prompts = 1

    with pytest.raises(PromptLost):
        await runner.run(graph=workflow("image_tiny"))
    assert server.accepted == []
    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_a_prompt_lost_in_a_restart_is_not_a_success(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping())
    await reached(server)
    await server.restart()

    with pytest.raises(PromptLost, match="does not know the prompt any more") as caught:
        await work
    assert isinstance(caught.value, Transient)

    server.executor.step_permits = asyncio.Semaphore(9)
    assert len((await runner.run(graph=stepping())).images) == 1
    assert len(set(server.accepted)) == 2


@pytest.mark.parametrize("reason", ["stopping", "lost"])
async def test_a_stopped_run_leaves_the_prompt_to_the_next_run(runner: JobRunner, server: FakeComfyUI, reason: str):
    work = runner.start(graph=stepping(1))
    await reached(server)
    work.cancel(reason)
    with pytest.raises(asyncio.CancelledError):
        await work
    assert server.interrupts == []

    again = runner.start(graph=stepping(1))
    await until(lambda: len(server.client_ids) == 2)
    server.executor.step_permits.release()

    assert len((await again).images) == 1
    assert len(server.accepted) == 1


async def test_the_end_of_a_resumed_prompt_is_detected_before_the_next_poll(server: FakeComfyUI, runner_for):
    runner = runner_for(server, comfyui_poll_interval=60)
    work = runner.start(graph=stepping(1))
    await reached(server)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    again = runner.start(graph=stepping(1))
    await until(lambda: len(server.client_ids) == 2)
    await asyncio.sleep(0.5)  # sleep: no second prompt may be sent
    server.executor.step_permits.release()

    assert len((await asyncio.wait_for(again, 5)).images) == 1
    assert len(server.accepted) == 1


async def test_a_later_run_finds_a_prompt_that_has_ended(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping(1))
    await reached(server)
    work.cancel("stopping")
    await asyncio.gather(work, return_exceptions=True)
    server.executor.step_permits.release()
    await until(lambda: server.executor.history)

    assert len((await runner.run(graph=stepping(1))).images) == 1
    assert len(server.accepted) == 1


async def test_a_worker_that_died_before_submission_has_submitted_nothing(runner: JobRunner, server: FakeComfyUI):
    # The id was recorded, the server was not.
    runner.job.steps["prompt 1"] = "whatever"

    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1
    assert len(server.accepted) == 1


async def test_a_cancel_interrupts_the_prompt_of_the_job_only(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping())
    await reached(server)
    work.cancel("cancelled")

    with pytest.raises(asyncio.CancelledError):
        await work
    assert set(server.interrupts) == set(server.accepted)
    assert server.executor.remaining == 0


async def test_a_cancelled_prompt_leaves_the_queue_and_the_running_one_continues(
    server: FakeComfyUI, runner_for, tmp_path
):
    first, second = runner_for(server), JobRunner(tmp_path / "b", comfyui_api_url=server.url)
    ahead = first.start(graph=stepping(1))
    await reached(server)
    behind = second.start(graph=workflow("image_batch3"))
    await until(lambda: any("ahead" in str(report.message) for report in second.job.progress_reports))
    behind.cancel("cancelled")
    await asyncio.gather(behind, return_exceptions=True)
    server.executor.step_permits.release()

    assert len((await ahead).images) == 1
    assert len(server.accepted) == 2
    assert not list(server.output.rglob("batch*"))


async def test_a_server_with_the_jobs_api_cancels_by_it(runner: JobRunner, server: FakeComfyUI):
    server.jobs_api = True
    work = runner.start(graph=stepping())
    await reached(server)
    work.cancel("cancelled")

    with pytest.raises(asyncio.CancelledError):
        await work
    assert server.executor.remaining == 0
    assert None not in server.interrupts


async def test_a_cancelled_job_runs_again_after_a_manual_retry(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping())
    await reached(server)
    work.cancel("cancelled")
    await asyncio.gather(work, return_exceptions=True)
    server.executor.step_permits = asyncio.Semaphore(9)

    assert len((await runner.run(graph=stepping())).images) == 1
    assert len(set(server.accepted)) == 2


async def test_a_node_that_cannot_be_interrupted_is_reported(
    runner: JobRunner, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.operations.comfyui.prompt_run._CANCEL_TIMEOUT", 0.3)
    work = runner.start(graph=stepping(kind="Stuck"))
    await reached(server)
    work.cancel("cancelled")

    await asyncio.gather(work, return_exceptions=True)

    assert "continues until its current node has finished" in runner.log_text
    server.executor.release_stuck.set()


async def test_a_prompt_is_cancelled_after_its_time_limit(runner: JobRunner, server: FakeComfyUI):
    with pytest.raises(TimedOut, match=r"exceeded its timeout of 0\.3 s"):
        await runner.run(graph=stepping(), time_limit=0.3)

    await until(lambda: server.executor.remaining == 0)


async def test_the_settings_limit_the_time_of_a_prompt(server: FakeComfyUI, runner_for):
    runner = runner_for(server, comfyui_prompt_timeout=0.3, comfyui_poll_interval=0.1)

    with pytest.raises(TimedOut):
        await runner.run(graph=stepping())


async def test_an_interrupt_by_another_client_is_reported_as_failure(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping())
    await reached(server)
    async with ComfyUIClient(server.url) as other_client:
        await other_client.cancel(server.accepted[0])

    with pytest.raises(ProviderFailed, match="was interrupted") as caught:
        await work
    assert caught.value.code == "interrupted"


async def test_a_server_that_accepts_prompts_and_runs_none_is_detected(
    runner: JobRunner, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.server_monitor._IDLE_SECONDS", 0.2)
    server.executor.dead = True

    with pytest.raises(ProviderUnreachable, match="accepts prompts and runs none"):
        await runner.run(graph=workflow("image_tiny"))
    assert server.executor.remaining == 0, "the prompt does not run after a restart of the server"


async def test_a_server_that_is_unavailable_for_a_moment_is_waited_for(runner: JobRunner, server: FakeComfyUI):
    work = runner.start(graph=stepping(1))
    await reached(server)
    server.unavailable = True
    server.cut_sockets()
    await asyncio.sleep(0.3)  # sleep: the length of the outage
    server.unavailable = False
    server.executor.step_permits.release()

    assert len((await work).images) == 1


async def test_a_server_without_an_alternative_is_waited_for(server: FakeComfyUI, runner_for):
    runner = runner_for(server, comfyui_away_limit=0.1)
    work = runner.start(graph=stepping(1))
    await reached(server)
    server.unavailable = True
    await until(lambda: runner.job.waits)
    [fault] = read_faults(runner.settings).values()
    await asyncio.sleep(0.3)  # sleep: longer than the limit
    server.unavailable = False
    server.executor.step_permits.release()

    assert len((await work).images) == 1
    assert len(server.accepted) == 1
    assert "does not respond since" in str(runner.job.waits[0][0])
    assert runner.job.waits[-1] == (None, False)
    assert fault.kind == "unreachable"
    assert read_faults(runner.settings) == {}


async def test_an_impatient_job_gives_up_a_server_that_stays_unavailable(server: FakeComfyUI, runner_for):
    runner = runner_for(server, comfyui_away_limit=0.1)
    work = runner.start(graph=stepping(1), patient=False)
    await reached(server)
    server.unavailable = True

    with pytest.raises(ProviderFailed, match="does not respond"):
        await work


async def test_a_job_waits_until_a_server_responds_without_an_attempt(
    server: FakeComfyUI, runner_for, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.pool._RECHECK_INTERVAL", 0.05)
    monkeypatch.setattr("callsheet.comfyui.server._PROBE_INTERVAL", 0.05)
    server.unavailable = True
    runner = runner_for(server)
    work = runner.start(graph=workflow("image_tiny"))
    await until(lambda: runner.job.waits)
    server.unavailable = False

    assert len((await work).images) == 1
    message, stops_clock = runner.job.waits[0]
    assert "does not respond since" in str(message)
    assert not stops_clock, "the time limit of the job applies while no server responds"


@pytest.mark.parametrize("status", [401, 403])
async def test_rejected_credentials_fail_the_job_at_once(server: FakeComfyUI, runner_for, status: int):
    server.denied = status
    runner = runner_for(server)

    with pytest.raises(AccessDenied, match=f"status {status}.*COMFYUI_API_URL") as caught:
        await runner.run(graph=workflow("image_tiny"))
    assert caught.value.code == "unauthorized"
    assert not isinstance(caught.value, Transient)


async def test_the_time_in_the_queue_of_the_server_does_not_count(runner: JobRunner, server: FakeComfyUI):
    foreign = stepping(1)
    async with runner.pool.client(server.url) as client:
        await client.submit(foreign, "7b1b9d35-6a1f-4b62-9d5b-0a8d3c1c8a11", "x")
        await reached(server)
        work = runner.start(graph=workflow("image_tiny"), time_limit=0.3)
        await until(lambda: len(server.accepted) == 2)
        await asyncio.sleep(0.5)  # sleep: longer than the limit
        server.executor.step_permits.release()

    assert len((await work).images) == 1


async def test_no_server_at_all_fails_an_impatient_job(runner_for):
    runner = runner_for(comfyui_api_url="http://127.0.0.1:9")

    with pytest.raises(ProviderFailed, match="does not respond"):
        await runner.run(graph=workflow("image_tiny"), patient=False)


async def test_an_unrelated_server_is_not_taken_for_one_that_lost_the_prompt(runner_for, server: FakeComfyUI):
    runner = runner_for(comfyui_api_url=f"{server.url}/elsewhere")

    with pytest.raises(JobError, match="404"):
        await runner.run(graph=workflow("image_tiny"), patient=False)
    assert server.accepted == []


async def test_a_prompt_in_transit_is_cancelled_with_its_job(
    runner: JobRunner, server: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
):
    in_transit, arrives = asyncio.Event(), asyncio.Event()
    real = ComfyUIClient.submit

    async def slowly(client: ComfyUIClient, *given: object) -> str:
        in_transit.set()
        await arrives.wait()
        return await real(client, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(ComfyUIClient, "submit", slowly)
    work = runner.start(graph=stepping())
    await in_transit.wait()
    work.cancel("cancelled")
    await asyncio.sleep(0)
    arrives.set()

    await asyncio.gather(work, return_exceptions=True)

    assert len(server.accepted) == 1
    assert server.executor.remaining == 0


async def test_no_message_contains_the_password_of_a_server(server: FakeComfyUI, runner_for):
    with_password = server.url.replace("http://", "http://me:hunter2@")
    runner = runner_for(comfyui_api_url=with_password)
    result = await runner.run(graph=workflow("image_tiny"))
    server.unavailable = True
    runner.new_job()
    with pytest.raises(ProviderFailed) as caught:
        await runner.run(graph=workflow("image_tiny"), patient=False)

    assert (
        "hunter2" not in f"{result} {runner.job.logs} {runner.job.progress_reports} {caught.value} {caught.value.facts}"
    )
