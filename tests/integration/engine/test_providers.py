"""Ordering from providers, and waiting for them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from plans import job, plan, statuses

from callsheet.domain.errors import SubmissionRejected
from callsheet.domain.ids import new_id
from callsheet.engine.worker.rescuer import Rescuer, mark_worker_lost
from callsheet.operation.contract import operation
from callsheet.providers.contract import Capabilities, PollPolicy, SubmitRequest, Task
from callsheet.testing.engine import running_engine
from callsheet.testing.fake_provider import FakeProvider
from callsheet.testing.operations import ALL, DrawParams, WriteResult
from callsheet.testing.waiters import until

SOON = timedelta(seconds=0.05)
EAGER = PollPolicy(initial=SOON, max_interval=SOON, webhook_interval=SOON)
PATIENT = PollPolicy(initial=timedelta(hours=1), max_interval=timedelta(hours=1), webhook_interval=timedelta(hours=1))


@operation("draw-somewhere", queue="test", on_worker_lost="resume")
async def draw_somewhere(job, params: DrawParams) -> WriteResult:
    """Have the toy draw it, or the other toy."""
    try:
        toy = job.providers["toy"]
        task = await job.submit_once(toy, SubmitRequest("crayon", {"submit": "refuse"}))
    except SubmissionRejected:
        toy = job.providers["other"]
        task = await job.submit_once(toy, SubmitRequest("pencil", {}))
    [output] = (await job.wait_for_result(task)).outputs
    return WriteResult(file=await job.keep(await toy.fetch(output, job.dir / output.name)))


@operation("draw-and-stumble", queue="test", on_worker_lost="resume")
async def draw_and_stumble(job, params: DrawParams) -> WriteResult:
    """Have the toy draw it, and fail."""
    await job.submit_once(job.providers["toy"], SubmitRequest("crayon", {}))
    raise ValueError("over its own feet")


OPERATIONS = [*ALL, draw_somewhere, draw_and_stumble]
DONE = {"files": {"picture.txt": "a picture"}}


@pytest.fixture
def settings(settings):
    return settings.model_copy(
        update={"provider_poll_interval": timedelta(seconds=0.02), "submission_recovery_timeout": timedelta(seconds=3)}
    )


@pytest.fixture
def toy(tmp_path):
    """A provider that is asked often, calls nobody, and cannot be asked for lost orders."""
    return FakeProvider(tmp_path / "toy", capabilities=Capabilities(cancel=True, progress=True), poll_policy=EAGER)


@pytest.fixture
async def engine(settings, toy):
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        yield engine


async def ordered(toy, number=1):
    """Wait until the toy has taken so many orders; returns the last."""
    return (await until(lambda: len(toy.requests()) >= number and toy.requests()))[-1]


async def kinds(engine, execution_id, *wanted):
    return [event.type for event in await engine.events(execution_id) if event.type in wanted]


async def test_a_job_waits_without_a_seat_and_ends_with_its_file(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw"), job("b", after=["a"])))
    order = await ordered(toy)
    waiting = await engine.wait(execution_id, "job.waiting")
    assert waiting.data == {"provider": "toy", "providerJobId": order["id"]}
    await until(lambda: engine.workers[0].running == 0)
    shown = await engine.job(execution_id, "a")
    assert (shown.status, shown.provider, shown.provider_job_id) == ("waiting", "toy", order["id"])
    assert shown.waiting_strategy == "polling"
    assert shown.next_poll_at is not None
    assert shown.actions == ["cancel"]

    toy.set_status(order["id"], "succeeded", cost=0.25, seconds=12.5, **DONE)

    execution = await engine.ended(execution_id)
    assert statuses(execution) == {"a": "succeeded", "b": "succeeded"}
    [file] = execution.artifacts
    assert (file.name, file.size) == ("picture.txt", 9)
    ended = execution.jobs[0]
    assert (ended.cost, ended.provider_seconds, ended.provider_status) == (0.25, 12.5, "succeeded")
    assert ended.attempts == 0
    assert len(toy.requests()) == 1


async def test_progress_and_the_provider_s_words_are_seen_once_each(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)

    toy.set_status(order["id"], "queued", "in line")
    await engine.wait(execution_id, "job.provider_status")
    toy.set_status(order["id"], "running", "sharpening", progress=0.4)
    await engine.wait(execution_id, "job.progress")
    looks = toy.polls()
    await until(lambda: toy.polls() > looks + 5)
    assert (await engine.job(execution_id, "a")).progress == pytest.approx(0.4)
    toy.set_status(order["id"], "succeeded", **DONE)
    await engine.ended(execution_id)

    said = [event.data["status"] for event in await engine.events(execution_id) if event.type == "job.provider_status"]
    assert [word for word in said if word != "drawing"] == ["in line", "sharpening", "succeeded"]
    assert await kinds(engine, execution_id, "job.progress") == ["job.progress"]


async def test_a_provider_that_asks_for_a_pause_is_looked_at_no_sooner(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)
    toy.set_status(order["id"], "running", "resting", retry_after=3600)

    async def is_resting():
        shown = await engine.job(execution_id, "a")
        return shown if shown.provider_status == "resting" else None

    shown = await until(is_resting)
    assert shown.next_poll_at > datetime.now(UTC) + timedelta(minutes=55)


async def test_a_state_that_the_provider_invents_is_looked_at_again(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)
    toy.set_status(order["id"], "running", "contemplating")
    await engine.wait(execution_id, "job.provider_status")

    toy.set_status(order["id"], "succeeded", **DONE)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def test_a_provider_that_does_not_answer_is_no_failure(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)
    toy.reachable = False
    await engine.wait(execution_id, "job.waiting")
    toy.set_status(order["id"], "succeeded", **DONE)
    await asyncio.sleep(0.2)
    assert (await engine.job(execution_id, "a")).status == "waiting"

    toy.reachable = True

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert execution.jobs[0].attempts == 0


async def test_a_task_that_failed_says_why_and_is_not_tried_again_by_itself(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)

    toy.set_status(order["id"], "failed", "FAILED", code="content_refused", message="Too colourful.", cost=0.1)

    [ended] = (await engine.ended(execution_id)).jobs
    assert (ended.error.code, ended.error.message) == ("content_refused", "Too colourful.")
    assert ended.error.facts["providerStatus"] == "FAILED"
    assert ended.cost == 0.1
    assert len(toy.requests()) == 1


async def test_after_a_failed_task_a_retry_by_hand_orders_anew(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    toy.set_status((await ordered(toy))["id"], "failed", cost=0.1)
    await engine.ended(execution_id)

    await engine.retry(execution_id)
    toy.set_status((await ordered(toy, 2))["id"], "succeeded", cost=0.25, **DONE)

    execution = await engine.ended(execution_id)
    assert execution.status == "succeeded"
    assert execution.jobs[0].cost == pytest.approx(0.35)


async def test_a_task_that_the_provider_forgot_is_lost(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)

    toy.set_status(order["id"], "lost", "404")

    [ended] = (await engine.ended(execution_id)).jobs
    assert ended.error.code == "task_lost"


async def test_a_refused_order_fails_the_job_and_may_go_elsewhere(settings, toy, tmp_path):
    other = FakeProvider(tmp_path / "other", name="other", poll_policy=EAGER)
    async with running_engine(OPERATIONS, settings=settings, providers=[toy, other]) as engine:
        refused = await engine.run(plan(job("a", "draw", params={"submit": "refuse"})))
        assert refused.jobs[0].error.code == "submission_rejected"

        execution_id = await engine.submit(plan(job("a", "draw-somewhere")))
        other.set_status((await ordered(other))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
    assert toy.requests() == []
    assert len(other.requests()) == 1


async def test_a_busy_provider_is_tried_again_as_any_passing_failure(engine, toy):
    execution = await engine.run(plan(job("a", "draw", params={"submit": "busy"})))

    assert execution.jobs[0].error.code == "provider_rate_limited"
    assert execution.jobs[0].attempts == 3
    assert toy.requests() == []


async def test_a_task_is_given_up_after_so_many_looks_and_the_provider_is_told(settings, toy):
    toy.poll_policy = PollPolicy(initial=SOON, max_interval=SOON, max_polls=3)
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        order = await ordered(toy)

        [ended] = (await engine.ended(execution_id)).jobs

        assert ended.error.code == "timed_out"
        assert ended.error.facts["polls"] == 3
        await until(lambda: toy.cancelled() == [order["id"]])


async def test_a_task_is_given_up_at_its_deadline(settings, toy):
    toy.poll_policy = PollPolicy(
        initial=timedelta(hours=1), max_interval=timedelta(hours=1), deadline=timedelta(seconds=0.3)
    )
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        order = await ordered(toy)

        [ended] = (await engine.ended(execution_id)).jobs

        assert ended.error.code == "timed_out"
        await until(lambda: toy.cancelled() == [order["id"]])


async def test_a_waiting_job_survives_the_loss_of_every_worker(settings, toy):
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        order = await ordered(toy)
        await engine.wait(execution_id, "job.waiting")
        await engine.kill_worker(engine.workers[0])
        toy.set_status(order["id"], "succeeded", **DONE)

        await engine.start_worker()

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(toy.requests()) == 1


async def test_the_files_of_a_collection_that_failed_are_collected_by_a_retry(settings, toy):
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        order = await ordered(toy)
        toy.set_status(order["id"], "succeeded")  # without the file that the operation wants
        [failed] = (await engine.ended(execution_id)).jobs
        assert failed.error.code == "internal_error"

        toy.set_status(order["id"], "succeeded", **DONE)
        await engine.retry(execution_id)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(toy.requests()) == 1


# When the answer to an order is lost


async def test_an_order_whose_fate_is_unknown_parks_the_job_with_what_was_seen(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose", "text": "a secret"})))

    [ended] = (await engine.ended(execution_id)).jobs

    assert ended.error.code == "submission_unknown"
    facts = ended.error.facts
    assert (facts["provider"], facts["model"], facts["step"]) == ("toy", "crayon", "submit")
    assert len(facts["digest"]) == 64
    assert facts["seen"][0] == "The connection broke."
    assert "a secret" not in ended.error.model_dump_json()
    assert ended.actions == ["retry"]


async def test_only_a_retry_with_resubmit_sends_an_unknown_order_again(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose"})))
    await engine.ended(execution_id)

    await engine.retry(execution_id)
    [ended] = (await engine.ended(execution_id)).jobs
    assert ended.error.code == "submission_unknown"
    assert len(toy.requests()) == 1

    await engine.retry(execution_id, resubmit=True)
    await ordered(toy, 2)


async def test_a_lost_order_is_found_again_and_goes_on(settings, tmp_path):
    toy = FakeProvider(tmp_path / "toy", capabilities=Capabilities(find_submission=True), poll_policy=EAGER)
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose"})))
        toy.set_status((await ordered(toy))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(toy.requests()) == 1


async def test_an_order_that_the_list_does_not_show_is_not_sent_again_by_itself(settings, tmp_path):
    toy = FakeProvider(tmp_path / "toy", capabilities=Capabilities(find_submission=True), poll_policy=EAGER)
    submit, find_lost, sent, asked = toy.submit, toy.find_submission, [], []

    async def counted_submit(order):
        sent.append(order.client_reference)
        return await submit(order)

    async def counted_find_lost(order, since, others=()):
        asked.append(order.client_reference)
        return await find_lost(order, since, others)

    toy.submit, toy.find_submission = counted_submit, counted_find_lost
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "drop"})))
        waiting = await engine.wait(execution_id, "job.waiting")
        assert waiting.data == {"provider": "toy"}

        [ended] = (await engine.ended(execution_id)).jobs

        assert ended.error.code == "submission_unknown"
        assert ended.error.facts["seen"] == ["The connection broke.", "The provider's task list does not contain it."]
        assert len(sent) == 1
        assert len(asked) > 3
        assert set(asked) == set(sent)


async def test_an_order_that_the_list_shows_late_is_found_as_long_as_there_is_patience(settings, tmp_path):
    toy = FakeProvider(tmp_path / "toy", capabilities=Capabilities(find_submission=True), poll_policy=EAGER)
    find_lost, asked = toy.find_submission, []

    async def find_late(order, since, others=()):
        asked.append(order.client_reference)
        return await find_lost(order, since, others) if len(asked) > 5 else None

    toy.find_submission = find_late
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "lose"})))
        toy.set_status((await ordered(toy))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(toy.requests()) == 1


async def test_a_worker_that_dies_while_it_orders_orders_nothing_twice(settings, tmp_path):
    toy = FakeProvider(tmp_path / "toy", capabilities=Capabilities(find_submission=True), poll_policy=EAGER)
    quick = settings.model_copy(
        update={"heartbeat_interval": timedelta(seconds=0.2), "worker_timeout": timedelta(seconds=0.6)}
    )
    async with running_engine(OPERATIONS, settings=quick, providers=[toy], workers=2) as engine:
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "hang"})))
        order = await ordered(toy)
        mine = next(worker for worker in engine.workers if worker.running)
        engine._tasks[mine.id].cancel()
        await asyncio.sleep(0)
        toy.set_status(order["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert len(toy.requests()) == 1


# Cancelling


async def test_cancelling_a_waiting_job_ends_it_at_once_and_reaches_the_provider(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)
    await engine.wait(execution_id, "job.waiting")

    await engine.cancel(execution_id)

    assert (await engine.ended(execution_id, timeout=1)).status == "cancelled"
    await until(lambda: toy.cancelled() == [order["id"]])


async def test_a_cancel_reaches_a_provider_that_was_away(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    order = await ordered(toy)
    await engine.wait(execution_id, "job.waiting")
    toy.reachable = False
    await engine.cancel(execution_id)
    await asyncio.sleep(0.2)
    assert toy.cancelled() == []

    toy.reachable = True

    await until(lambda: toy.cancelled() == [order["id"]])


async def test_a_cancel_while_the_order_is_on_its_way_lets_it_arrive_and_ends_it(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "hang"})))
    order = await ordered(toy)

    await engine.cancel(execution_id)
    await asyncio.sleep(0.1)
    toy.release()

    assert (await engine.ended(execution_id)).status == "cancelled"
    await until(lambda: toy.cancelled() == [order["id"]])


async def test_a_worker_that_stops_tells_the_provider_before_it_leaves(settings, toy):
    slow = settings.model_copy(update={"provider_poll_interval": timedelta(hours=1)})
    async with running_engine(OPERATIONS, settings=slow, providers=[toy]) as engine:
        execution_id = await engine.submit(plan(job("a", "draw")))
        order = await ordered(toy)
        await engine.wait(execution_id, "job.waiting")
        await engine.cancel(execution_id)

        await engine.stop_worker(engine.workers[0])

    assert toy.cancelled() == [order["id"]]


async def test_a_cancelled_job_that_is_retried_orders_anew(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw")))
    await ordered(toy)
    await engine.wait(execution_id, "job.waiting")
    await engine.cancel(execution_id)
    await engine.ended(execution_id)

    await engine.retry(execution_id)
    toy.set_status((await ordered(toy, 2))["id"], "succeeded", **DONE)

    assert (await engine.ended(execution_id)).status == "succeeded"


async def left_in_doubt(engine, submit):
    """Cancel a job that waits to learn whether its order was taken; returns its execution."""
    execution_id = await engine.submit(plan(job("a", "draw", params={"submit": submit})))
    await engine.wait(execution_id, "job.waiting")
    await engine.cancel(execution_id)
    assert (await engine.ended(execution_id, timeout=1)).status == "cancelled"
    return execution_id


async def doubts(engine, execution_id):
    events = await engine.events(execution_id)
    return [event.data for event in events if event.type == "job.log" and "submission" in (event.data or {})]


async def test_a_cancelled_job_whose_order_is_in_doubt_says_so_and_the_order_is_found_and_ended(settings, tmp_path):
    toy = FakeProvider(
        tmp_path / "toy", capabilities=Capabilities(find_submission=True, cancel=True), poll_policy=EAGER
    )
    find_lost, toy.find_submission = toy.find_submission, not_listed
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await left_in_doubt(engine, "lose")

        [doubt] = await doubts(engine, execution_id)
        assert (doubt["provider"], doubt["model"]) == ("toy", "crayon")
        assert "charge for it" in doubt["message"]
        toy.find_submission = find_lost
        await until(lambda: toy.cancelled() == [toy.requests()[0]["id"]])


async def not_listed(order, since, others=()):
    return None


async def test_an_order_in_doubt_that_is_cancelled_is_not_sent_again_by_a_plain_retry(settings, tmp_path):
    toy = FakeProvider(tmp_path / "toy", capabilities=Capabilities(webhook=True), poll_policy=PATIENT)
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        engine.runtime.settings.public_url = "https://callsheet.example"
        execution_id = await left_in_doubt(engine, "lose")

        await engine.retry(execution_id)

        [ended] = (await engine.ended(execution_id)).jobs
        assert ended.error.code == "submission_unknown"
        assert len(toy.requests()) == 1
        await engine.retry(execution_id, resubmit=True)
        await ordered(toy, 2)


async def test_an_order_in_doubt_that_is_wanted_again_is_found_and_not_ended(settings, tmp_path):
    toy = FakeProvider(
        tmp_path / "toy", capabilities=Capabilities(find_submission=True, cancel=True), poll_policy=EAGER
    )
    find_lost, toy.find_submission = toy.find_submission, not_listed
    async with running_engine(OPERATIONS, settings=settings, providers=[toy]) as engine:
        execution_id = await left_in_doubt(engine, "lose")

        await engine.retry(execution_id)
        toy.find_submission = find_lost
        toy.set_status((await ordered(toy))["id"], "succeeded", **DONE)

        assert (await engine.ended(execution_id)).status == "succeeded"
        assert toy.cancelled() == []
        assert len(toy.requests()) == 1


async def test_two_equal_orders_in_doubt_are_never_given_one_task(settings, tmp_path):
    toy = FakeProvider(tmp_path / "toy", capabilities=Capabilities(find_submission=True), poll_policy=EAGER)
    both = asyncio.Barrier(2)

    async def find_any(order, since, others=()):
        free = [line["id"] for line in toy.requests() if line["id"] not in others]
        if len(others) == 0:
            await both.wait()
        return Task("toy", free[0], {"model": "crayon"}) if free else None

    async def drop_the_second(order):
        how = "drop" if toy.requests() else "lose"
        return await submit(
            SubmitRequest(order.model, {**order.input, "submit": how}, client_reference=order.client_reference)
        )

    submit, toy.submit, toy.find_submission = toy.submit, drop_the_second, find_any
    async with running_engine(OPERATIONS, settings=settings, providers=[toy], lanes={"test": 2}) as engine:
        execution_id = await engine.submit(plan(job("a", "draw"), job("b", "draw")))
        toy.set_status((await ordered(toy))["id"], "succeeded", **DONE)

        execution = await engine.ended(execution_id)

        assert sorted(statuses(execution).values()) == ["failed", "succeeded"]
        assert len(toy.requests()) == 1


async def test_a_task_that_goes_on_is_ended_when_it_is_ordered_anew(engine, toy):
    execution_id = await engine.submit(plan(job("a", "draw-and-stumble")))
    await engine.ended(execution_id)
    assert len(toy.requests()) == 1

    await engine.retry(execution_id, resubmit=True)

    await engine.ended(execution_id)
    first, _ = toy.requests()
    await until(lambda: toy.cancelled() == [first["id"]])


async def test_an_order_that_turns_out_to_be_taken_when_it_was_ordered_anew_is_ended(settings, toy):
    async with running_engine(OPERATIONS, settings=settings, providers=[toy], workers=2) as engine:
        database = engine.runtime.database
        execution_id = await engine.submit(plan(job("a", "draw", params={"submit": "hang"})))
        first = await ordered(toy)
        sender = next(worker for worker in engine.workers if worker.running)
        rescuer = Rescuer(database, new_id(), worker_timeout=60, crash_limit=5)
        while not await rescuer.rescue():
            # It lives, and may say so in between.
            await mark_worker_lost(database, sender.id)
        [parked] = (await engine.ended(execution_id)).jobs
        assert parked.error.code == "submission_unknown"

        await engine.retry(execution_id, resubmit=True)
        second = await ordered(toy, 2)
        toy.release()

        await until(lambda: toy.cancelled() == [first["id"]])
        toy.set_status(second["id"], "succeeded", **DONE)
        assert (await engine.ended(execution_id)).status == "succeeded"


# Many


async def test_many_waiting_jobs_are_looked_at_by_several_workers_and_each_collected_once(settings, toy):
    async with running_engine(OPERATIONS, settings=settings, providers=[toy], workers=2, lanes={"test": 8}) as engine:
        execution_id = await engine.submit(plan(*(job(str(n), "draw") for n in range(60))))
        for line in await until(lambda: len(toy.requests()) == 60 and toy.requests(), timeout=20):
            toy.set_status(line["id"], "succeeded", **DONE)

        execution = await engine.ended(execution_id)

        assert set(statuses(execution).values()) == {"succeeded"}
        assert len(execution.artifacts) == 60
        assert len(toy.requests()) == 60
