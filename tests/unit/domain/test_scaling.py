"""How many workers a queue should have."""

from datetime import UTC, datetime, timedelta

import pytest

from callsheet.domain.records import QueueRecord
from callsheet.domain.scaling import scale_queue

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def queue(*, queued=0, running=0, waited=0.0, slots=0, workers=0, **more):
    oldest = NOW - timedelta(seconds=waited) if queued else None
    facts = {"paused": False, "scheduled": 0, "waiting": 0, "operations": [], **more}
    return QueueRecord(
        name="render", queued=queued, running=running, oldest_queued_at=oldest, slots=slots, workers=workers, **facts
    )


def desired(found, **more):
    options = {"now": NOW, "target_wait": 30, "default_slots": 2, **more}
    return scale_queue(found, **options).desired_workers


def test_an_idle_queue_needs_no_worker():
    assert desired(queue(slots=8, workers=4)) == 0


def test_the_first_job_of_an_idle_queue_needs_a_worker_at_once():
    assert desired(queue(queued=1)) == 1


def test_jobs_that_have_just_come_need_no_more_workers():
    assert desired(queue(queued=10, running=4, slots=4, workers=2)) == 3


@pytest.mark.parametrize(("waited", "workers"), [(0, 3), (15, 7), (30, 12), (3600, 12)])
def test_a_queue_needs_more_workers_the_longer_its_oldest_job_waits_up_to_one_slot_per_job(waited, workers):
    assert desired(queue(queued=20, running=4, waited=waited, slots=4, workers=2)) == workers


def test_without_a_target_all_queued_jobs_count_at_once():
    assert desired(queue(queued=20, running=4, slots=4, workers=2), target_wait=0) == 12


def test_workers_with_running_jobs_are_not_superfluous():
    assert desired(queue(running=7, slots=8, workers=4)) == 4


def test_without_workers_a_lane_has_the_size_of_the_settings():
    assert desired(queue(queued=12, waited=60), default_slots=4) == 3


def test_workers_of_different_sizes_count_with_their_average():
    assert desired(queue(queued=12, waited=60, slots=6, workers=2)) == 4


def test_a_paused_queue_needs_workers_for_its_running_jobs_only():
    assert desired(queue(queued=12, running=2, waited=60, slots=2, workers=1, paused=True)) == 1


def test_no_more_workers_are_needed_than_the_limit_of_running_jobs_can_use():
    assert desired(queue(queued=50, running=2, waited=60, slots=4, workers=2, max_running=6)) == 3
    assert desired(queue(queued=50, running=8, waited=60, slots=4, workers=2, max_running=6)) == 4


@pytest.mark.parametrize(("least", "most", "workers"), [(1, 10, 10), (0, None, 30), (40, 50, 40)])
def test_the_number_stays_within_the_bounds(least, most, workers):
    assert desired(queue(queued=60, waited=60), least=least, most=most) == workers


def test_the_number_does_not_depend_on_the_number_of_workers():
    few = desired(queue(queued=20, running=4, waited=30, slots=4, workers=2))
    many = desired(queue(queued=20, running=4, waited=30, slots=20, workers=10))

    assert few == many == 12
