"""Submissions to providers: submit, wait, reconcile, cancel."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from plans import job, plan, statuses

from callsheet.domain.errors import SubmissionRejected
from callsheet.domain.ids import new_id
from callsheet.engine.worker.rescuer import Rescuer, mark_worker_lost
from callsheet.operation_api.contract import operation
from callsheet.providers.contract import Capabilities, PollPolicy, SubmitRequest, Task
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL, DrawParams, WriteResult
from callsheet.testing.waiters import until

SOON = timedelta(seconds=0.05)
FREQUENT = PollPolicy(initial=SOON, max_interval=SOON, webhook_interval=SOON)
RARE = PollPolicy(initial=timedelta(hours=1), max_interval=timedelta(hours=1), webhook_interval=timedelta(hours=1))


@operation("draw-with-fallback", queue="test", on_worker_lost="resume")
async def draw_with_fallback(job, params: DrawParams) -> WriteResult:
    """Submit to the first fake, or to the other one after a rejection."""
    try:
        fake = job.providers["toy"]
        task = await job.submit_once(fake, SubmitRequest("crayon", {"submit": "refuse"}))
    except SubmissionRejected:
        fake = job.providers["other"]
        task = await job.submit_once(fake, SubmitRequest("pencil", {}))
    [output] = (await job.wait_for_result(task)).outputs
    return WriteResult(file=await job.keep(await fake.fetch(output, job.dir / output.name)))


@operation("draw-and-fail", queue="test", on_worker_lost="resume")
async def draw_and_fail(job, params: DrawParams) -> WriteResult:
    """Submit to the fake, then fail."""
    await job.submit_once(job.providers["toy"], SubmitRequest("crayon", {}))
    raise ValueError("failed on purpose")


OPERATIONS = [*ALL, draw_with_fallback, draw_and_fail]
DONE = {"files": {"image.txt": "an image"}}


@pytest.fixture
def settings(settings):
    return settings.model_copy(
        update={"provider_poll_interval": timedelta(seconds=0.02), "submission_recovery_timeout": timedelta(seconds=3)}
    )


@pytest.fixture
def fake(tmp_path):
    """A fake provider with frequent polls, without webhooks, and without a task list."""
    return FakeProvider(tmp_path / "fake", capabilities=Capabilities(cancel=True, progress=True), poll_policy=FREQUENT)


@pytest.fixture
async def engine(settings, fake):
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        yield engine


async def accepted(fake, number=1):
    """Wait until the fake has accepted this number of submissions. Return the last one."""
    return (await until(lambda: len(fake.requests()) >= number and fake.requests()))[-1]


async def event_types(engine, execution_id, *wanted):
    return [event.type for event in await engine.events(execution_id) if event.type in wanted]


async def test_a_job_waits_without_a_slot_and_succeeds_with_its_file(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw"), job("b", after=["a"])))
    submission = await accepted(fake)
    waiting = await engine.wait(execution_id, "job.waiting")
    assert waiting.data == {"provider": "toy", "providerJobId": submission["id"]}
    await until(lambda: engine.workers[0].running == 0)
    job_record = await engine.job(execution_id, "a")
    assert (job_record.status, job_record.provider, job_record.provider_job_id) == ("waiting", "toy", submission["id"])
    assert job_record.waiting_strategy == "polling"
    assert job_record.next_poll_at is not None
    assert job_record.actions == ["cancel"]

    fake.set_status(submission["id"], "succeeded", cost=0.25, seconds=12.5, **DONE)

    execution = await engine.ended(execution_id)
    assert statuses(execution) == {"a": "succeeded", "b": "succeeded"}
    [file] = execution.artifacts
    assert (file.name, file.size) == ("image.txt", 8)
    ended = execution.jobs[0]
    assert (ended.cost, ended.provider_seconds, ended.provider_status) == (0.25, 12.5, "succeeded")
    assert ended.attempts == 0
    assert len(fake.requests()) == 1


async def test_progress_and_provider_status_are_reported_once_per_change(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)

    fake.set_status(submission["id"], "queued", "in queue")
    await engine.wait(execution_id, "job.provider_status")
    fake.set_status(submission["id"], "running", "sharpening", progress=0.4)
    await engine.wait(execution_id, "job.progress")
    polls = fake.polls()
    await until(lambda: fake.polls() > polls + 5)
    assert (await engine.job(execution_id, "a")).progress == pytest.approx(0.4)
    fake.set_status(submission["id"], "succeeded", **DONE)
    await engine.ended(execution_id)

    statuses_seen = [
        event.data["status"] for event in await engine.events(execution_id) if event.type == "job.provider_status"
    ]
    assert [word for word in statuses_seen if word != "drawing"] == ["in queue", "sharpening", "succeeded"]
    assert await event_types(engine, execution_id, "job.progress") == ["job.progress"]


async def test_a_provider_that_sends_retry_after_is_not_polled_earlier(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)
    fake.set_status(submission["id"], "running", "resting", retry_after=3600)

    async def has_status():
        job_record = await engine.job(execution_id, "a")
        return job_record if job_record.provider_status == "resting" else None

    job_record = await until(has_status)
    assert job_record.next_poll_at > datetime.now(UTC) + timedelta(minutes=55)


async def test_an_unknown_provider_state_is_polled_again(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)
    fake.set_status(submission["id"], "running", "contemplating")
    await engine.wait(execution_id, "job.provider_status")

    fake.set_status(submission["id"], "succeeded", **DONE)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def test_an_unreachable_provider_does_not_fail_the_job(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)
    fake.reachable = False
    await engine.wait(execution_id, "job.waiting")
    fake.set_status(submission["id"], "succeeded", **DONE)
    await asyncio.sleep(0.2)  # sleep: several polls fail meanwhile
    assert (await engine.job(execution_id, "a")).status == "waiting"

    fake.reachable = True

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert execution.jobs[0].attempts == 0


async def test_a_failed_task_reports_its_reason_and_is_not_retried_automatically(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)

    fake.set_status(submission["id"], "failed", "FAILED", code="content_refused", message="Too colorful.", cost=0.1)

    [ended] = (await engine.ended(execution_id)).jobs
    assert (ended.error.code, ended.error.message) == ("content_refused", "Too colorful.")
    assert ended.error.facts["providerStatus"] == "FAILED"
    assert ended.cost == 0.1
    assert len(fake.requests()) == 1


async def test_after_a_failed_task_a_manual_retry_submits_again(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    fake.set_status((await accepted(fake))["id"], "failed", cost=0.1)
    await engine.ended(execution_id)

    await engine.retry(execution_id)
    fake.set_status((await accepted(fake, 2))["id"], "succeeded", cost=0.25, **DONE)

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert execution.jobs[0].cost == pytest.approx(0.35)


async def test_a_task_unknown_to_the_provider_is_lost(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)

    fake.set_status(submission["id"], "lost", "404")

    [ended] = (await engine.ended(execution_id)).jobs
    assert ended.error.code == "task_lost"


async def test_a_rejected_submission_fails_the_job_and_may_go_to_another_provider(settings, fake, tmp_path):
    other = FakeProvider(tmp_path / "other", name="other", poll_policy=FREQUENT)
    async with running_engine(OPERATIONS, settings=settings, providers=[fake, other]) as engine:
        refused = await engine.run(plan(job("a", "draw", params={"submit": "refuse"})))
        assert refused.jobs[0].error.code == "submission_rejected"

        execution_id = await engine.submit(plan(job("a", "draw-with-fallback")))
        other.set_status((await accepted(other))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
    assert fake.requests() == []
    assert len(other.requests()) == 1


async def test_a_rate_limited_provider_is_retried_as_a_transient_failure(engine, fake):
    execution = await engine.run(plan(job("a", "draw", params={"submit": "busy"})))

    assert execution.jobs[0].error.code == "provider_rate_limited"
    assert execution.jobs[0].attempts == 3
    assert fake.requests() == []


async def test_a_task_times_out_after_its_maximum_of_polls_and_is_cancelled(settings, fake):
    fake.poll_policy = PollPolicy(initial=SOON, max_interval=SOON, max_polls=3)
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        submission = await accepted(fake)

        [ended] = (await engine.ended(execution_id)).jobs

        assert ended.error.code == "timed_out"
        assert ended.error.facts["polls"] == 3
        await until(lambda: fake.cancelled() == [submission["id"]])


async def test_the_maximum_of_polls_does_not_end_a_task_whose_end_a_webhook_reports(settings, tmp_path):
    fake = FakeProvider(
        tmp_path / "webhooks",
        capabilities=Capabilities(webhook=True, cancel=True),
        poll_policy=PollPolicy(initial=SOON, max_interval=SOON, webhook_interval=SOON, max_polls=3),
    )
    public = settings.model_copy(update={"public_url": "https://sheet.example"})
    async with running_engine(OPERATIONS, settings=public, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        submission = await accepted(fake)
        await until(lambda: _polled(engine, execution_id, 5), timeout=60)
        fake.set_status(submission["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id, timeout=60)).status == "succeeded"


async def _polled(engine, execution_id, times):
    return (await engine.job(execution_id, "a")).poll_attempts >= times


async def test_a_task_times_out_at_its_deadline_and_is_cancelled(settings, fake):
    fake.poll_policy = PollPolicy(
        initial=timedelta(hours=1), max_interval=timedelta(hours=1), deadline=timedelta(seconds=0.3)
    )
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        submission = await accepted(fake)

        [ended] = (await engine.ended(execution_id)).jobs

        assert ended.error.code == "timed_out"
        await until(lambda: fake.cancelled() == [submission["id"]])


async def test_a_waiting_job_survives_the_loss_of_all_workers(settings, fake):
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        submission = await accepted(fake)
        await engine.wait(execution_id, "job.waiting")
        await engine.kill_worker(engine.workers[0])
        fake.set_status(submission["id"], "succeeded", **DONE)

        await engine.start_worker()

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(fake.requests()) == 1


async def test_a_retry_collects_the_files_after_a_failed_collection(settings, fake):
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        submission = await accepted(fake)
        fake.set_status(submission["id"], "succeeded")  # without the file that the operation expects
        [failed] = (await engine.ended(execution_id)).jobs
        assert failed.error.code == "internal_error"

        fake.set_status(submission["id"], "succeeded", **DONE)
        await engine.retry(execution_id)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(fake.requests()) == 1


# Lost responses


async def test_a_submission_of_unknown_outcome_fails_the_job_with_its_evidence(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose", "text": "a secret"})))

    [ended] = (await engine.ended(execution_id)).jobs

    assert ended.error.code == "submission_unknown"
    facts = ended.error.facts
    assert (facts["provider"], facts["model"], facts["step"]) == ("toy", "crayon", "submit")
    assert len(facts["digest"]) == 64
    assert facts["seen"][0] == "The connection broke."
    assert "a secret" not in ended.error.model_dump_json()
    assert ended.actions == ["retry"]


async def test_only_a_retry_with_resubmit_sends_an_unknown_submission_again(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose"})))
    await engine.ended(execution_id)

    await engine.retry(execution_id)
    [ended] = (await engine.ended(execution_id)).jobs
    assert ended.error.code == "submission_unknown"
    assert len(fake.requests()) == 1

    await engine.retry(execution_id, resubmit=True)
    await accepted(fake, 2)


async def test_a_lost_submission_is_found_and_continues(settings, tmp_path):
    fake = FakeProvider(tmp_path / "fake", capabilities=Capabilities(find_submission=True), poll_policy=FREQUENT)
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose"})))
        fake.set_status((await accepted(fake))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(fake.requests()) == 1


async def test_a_submission_missing_in_the_task_list_is_not_sent_again_automatically(settings, tmp_path):
    fake = FakeProvider(tmp_path / "fake", capabilities=Capabilities(find_submission=True), poll_policy=FREQUENT)
    submit, find_submission, sent, searched = fake.submit, fake.find_submission, [], []

    async def counted_submit(request):
        sent.append(request.client_reference)
        return await submit(request)

    async def counted_find(request, since, others=()):
        searched.append(request.client_reference)
        return await find_submission(request, since, others)

    fake.submit, fake.find_submission = counted_submit, counted_find
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "drop"})))
        waiting = await engine.wait(execution_id, "job.waiting")
        assert waiting.data == {"provider": "toy"}

        [ended] = (await engine.ended(execution_id)).jobs

        assert ended.error.code == "submission_unknown"
        assert ended.error.facts["seen"] == ["The connection broke.", "The provider's task list does not contain it."]
        assert len(sent) == 1
        assert len(searched) > 3
        assert set(searched) == set(sent)


async def test_a_submission_listed_late_is_found_within_the_recovery_timeout(settings, tmp_path):
    fake = FakeProvider(tmp_path / "fake", capabilities=Capabilities(find_submission=True), poll_policy=FREQUENT)
    find_submission, searched = fake.find_submission, []

    async def find_late(request, since, others=()):
        searched.append(request.client_reference)
        return await find_submission(request, since, others) if len(searched) > 5 else None

    fake.find_submission = find_late
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose"})))
        fake.set_status((await accepted(fake))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(fake.requests()) == 1


async def test_a_worker_that_dies_during_a_submission_does_not_cause_a_second_one(settings, tmp_path):
    fake = FakeProvider(tmp_path / "fake", capabilities=Capabilities(find_submission=True), poll_policy=FREQUENT)
    short = settings.model_copy(
        update={"heartbeat_interval": timedelta(seconds=0.2), "worker_timeout": timedelta(seconds=0.6)}
    )
    async with running_engine(OPERATIONS, settings=short, providers=[fake], workers=2) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "hang"})))
        submission = await accepted(fake)
        owner = next(worker for worker in engine.workers if worker.running)
        engine._tasks[owner.id].cancel()
        await asyncio.sleep(0)
        fake.set_status(submission["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(fake.requests()) == 1


# Cancel


async def test_cancelling_a_waiting_job_ends_it_at_once_and_cancels_its_task(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)
    await engine.wait(execution_id, "job.waiting")

    await engine.cancel(execution_id)

    assert (await engine.ended(execution_id, timeout=1)).status == "cancelled"
    await until(lambda: fake.cancelled() == [submission["id"]])


async def test_a_cancel_reaches_a_provider_that_was_unreachable(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    submission = await accepted(fake)
    await engine.wait(execution_id, "job.waiting")
    fake.reachable = False
    await engine.cancel(execution_id)
    await asyncio.sleep(0.2)  # sleep: several polls fail meanwhile
    assert fake.cancelled() == []

    fake.reachable = True

    await until(lambda: fake.cancelled() == [submission["id"]])


async def test_a_cancel_during_a_submission_waits_for_the_task_and_cancels_it(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "hang"})))
    submission = await accepted(fake)

    await engine.cancel(execution_id)
    await asyncio.sleep(0.1)  # sleep: the submission is still in flight
    fake.release()

    assert (await engine.ended(execution_id)).status == "cancelled"
    await until(lambda: fake.cancelled() == [submission["id"]])


async def test_a_stopping_worker_sends_due_cancels_before_it_unregisters(settings, fake):
    slow = settings.model_copy(update={"provider_poll_interval": timedelta(hours=1)})
    async with running_engine(OPERATIONS, settings=slow, providers=[fake]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        submission = await accepted(fake)
        await engine.wait(execution_id, "job.waiting")
        await engine.cancel(execution_id)

        await engine.stop_worker(engine.workers[0])

    assert fake.cancelled() == [submission["id"]]


async def test_a_cancelled_job_that_is_retried_submits_again(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw")))
    await accepted(fake)
    await engine.wait(execution_id, "job.waiting")
    await engine.cancel(execution_id)
    await engine.ended(execution_id)

    await engine.retry(execution_id)
    fake.set_status((await accepted(fake, 2))["id"], "succeeded", **DONE)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def cancelled_with_unknown_outcome(engine, submit):
    """Cancel a job whose submission has an unknown outcome. Return its execution."""
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": submit})))
    await engine.wait(execution_id, "job.waiting")
    await engine.cancel(execution_id)
    assert (await engine.ended(execution_id, timeout=1)).status == "cancelled"
    return execution_id


async def unknown_submission_events(engine, execution_id):
    events = await engine.events(execution_id)
    return [event.data for event in events if event.type == "job.log" and "submission" in (event.data or {})]


async def test_a_cancelled_job_reports_its_unknown_submission_which_is_found_and_cancelled(settings, tmp_path):
    fake = FakeProvider(
        tmp_path / "fake", capabilities=Capabilities(find_submission=True, cancel=True), poll_policy=FREQUENT
    )
    find_submission, fake.find_submission = fake.find_submission, not_listed
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await cancelled_with_unknown_outcome(engine, "lose")

        [unknown] = await unknown_submission_events(engine, execution_id)
        assert (unknown["provider"], unknown["model"]) == ("toy", "crayon")
        assert "charge for it" in unknown["message"]
        fake.find_submission = find_submission
        await until(lambda: fake.cancelled() == [fake.requests()[0]["id"]])


async def not_listed(request, since, others=()):
    return None


async def test_a_cancelled_unknown_submission_is_not_sent_again_by_a_plain_retry(settings, tmp_path):
    fake = FakeProvider(tmp_path / "fake", capabilities=Capabilities(webhook=True), poll_policy=RARE)
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        engine.runtime.settings.public_url = "https://callsheet.example"
        execution_id = await cancelled_with_unknown_outcome(engine, "lose")

        await engine.retry(execution_id)

        [ended] = (await engine.ended(execution_id)).jobs
        assert ended.error.code == "submission_unknown"
        assert len(fake.requests()) == 1
        await engine.retry(execution_id, resubmit=True)
        await accepted(fake, 2)


async def test_an_unknown_submission_that_is_retried_is_found_and_not_cancelled(settings, tmp_path):
    fake = FakeProvider(
        tmp_path / "fake", capabilities=Capabilities(find_submission=True, cancel=True), poll_policy=FREQUENT
    )
    find_submission, fake.find_submission = fake.find_submission, not_listed
    async with running_engine(OPERATIONS, settings=settings, providers=[fake]) as engine:
        execution_id = await cancelled_with_unknown_outcome(engine, "lose")

        await engine.retry(execution_id)
        fake.find_submission = find_submission
        fake.set_status((await accepted(fake))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert fake.cancelled() == []
        assert len(fake.requests()) == 1


async def test_two_identical_unknown_submissions_never_adopt_the_same_task(settings, tmp_path):
    fake = FakeProvider(tmp_path / "fake", capabilities=Capabilities(find_submission=True), poll_policy=FREQUENT)
    both = asyncio.Barrier(2)

    async def find_any(request, since, others=()):
        free = [line["id"] for line in fake.requests() if line["id"] not in others]
        if len(others) == 0:
            await both.wait()
        return Task("toy", free[0], {"model": "crayon"}) if free else None

    async def drop_the_second(request):
        how = "drop" if fake.requests() else "lose"
        return await submit(
            SubmitRequest(request.model, {**request.input, "submit": how}, client_reference=request.client_reference)
        )

    submit, fake.submit, fake.find_submission = fake.submit, drop_the_second, find_any
    async with running_engine(OPERATIONS, settings=settings, providers=[fake], lanes={"test": 2}) as engine:
        execution_id = await engine.submit(plan(job("a", "draw"), job("b", "draw")))
        fake.set_status((await accepted(fake))["id"], "succeeded", **DONE)

        execution = await engine.ended(execution_id)

        assert sorted(statuses(execution).values()) == ["failed", "succeeded"]
        assert len(fake.requests()) == 1


async def test_a_running_task_is_cancelled_when_its_step_is_resubmitted(engine, fake):
    execution_id = await engine.submit(plan(job("a", "draw-and-fail")))
    await engine.ended(execution_id)
    assert len(fake.requests()) == 1

    await engine.retry(execution_id, resubmit=True)

    await engine.ended(execution_id)
    first, _ = fake.requests()
    await until(lambda: fake.cancelled() == [first["id"]])


async def test_a_submission_accepted_after_a_resubmit_is_cancelled(settings, fake):
    async with running_engine(OPERATIONS, settings=settings, providers=[fake], workers=2) as engine:
        database = engine.runtime.database
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "hang"})))
        first = await accepted(fake)
        sender = next(worker for worker in engine.workers if worker.running)
        rescuer = Rescuer(database, new_id(), worker_timeout=60, crash_limit=5)
        while not await rescuer.rescue():
            # The worker is alive and may send a heartbeat in between.
            await mark_worker_lost(database, sender.id)
        [parked] = (await engine.ended(execution_id)).jobs
        assert parked.error.code == "submission_unknown"

        await engine.retry(execution_id, resubmit=True)
        second = await accepted(fake, 2)
        fake.release()

        await until(lambda: fake.cancelled() == [first["id"]])
        fake.set_status(second["id"], "succeeded", **DONE)
        assert (await engine.ended(execution_id)).status == "succeeded"


# Load


async def test_many_waiting_jobs_are_polled_by_several_workers_and_collected_once(settings, fake):
    async with running_engine(OPERATIONS, settings=settings, providers=[fake], workers=2, lanes={"test": 8}) as engine:
        execution_id = await engine.submit(plan(*(job(str(n), "draw") for n in range(60))))
        for line in await until(lambda: len(fake.requests()) == 60 and fake.requests(), timeout=20):
            fake.set_status(line["id"], "succeeded", **DONE)

        execution = await engine.ended(execution_id)

        assert set(statuses(execution).values()) == {"succeeded"}
        assert len(execution.artifacts) == 60
        assert len(fake.requests()) == 60
