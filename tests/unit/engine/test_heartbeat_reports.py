"""Reports of a worker process to its supervisor, before its runs."""

from types import SimpleNamespace

import pytest

from callsheet.engine.worker.heartbeat_thread import HeartbeatThread


@pytest.fixture
def reports():
    return []


@pytest.fixture
def runs():
    return []


@pytest.fixture
def thread(reports, runs):
    return HeartbeatThread(
        None, interval=3600, grace=30, runs=lambda: runs, on_hang=None, on_alive=lambda silence: reports.append(silence)
    )


def run(time_limit):
    return SimpleNamespace(job=SimpleNamespace(timeout_seconds=time_limit))


def test_runs_that_the_last_report_allows_for_are_not_reported_again(thread, reports):
    for _ in range(1000):
        thread.report_run(600)
    thread.report_run(60)

    assert reports == [600 + 30 + 2 * 3600]


def test_a_run_with_a_longer_time_limit_is_reported(thread, reports):
    thread.report_run(60)
    thread.report_run(600)

    assert reports == [60 + 30 + 2 * 3600, 600 + 30 + 2 * 3600]


def test_a_report_allows_for_the_longest_of_the_current_runs(thread, reports, runs):
    runs += [run(900), run(5)]
    thread.report_run(60)

    assert reports == [900 + 30 + 2 * 3600]


def test_an_old_report_is_repeated(reports, runs):
    thread = HeartbeatThread(
        None, interval=-1, grace=30, runs=lambda: runs, on_hang=None, on_alive=lambda silence: reports.append(silence)
    )
    thread.report_run(600)
    thread.report_run(600)

    assert len(reports) == 2
