"""The transition table and the manual actions."""

import pytest

from callsheet.domain.retry_policy import RetryState, jobs_to_retry
from callsheet.domain.statuses import (
    ENDED,
    EXECUTION_ENDED,
    TRANSITIONS,
    ExecutionStatus,
    JobStatus,
    Transition,
    actions_from,
    execution_actions_from,
    is_allowed,
)

S = JobStatus


def test_every_status_is_reachable_and_only_success_is_permanent():
    left = {start for start, _ in TRANSITIONS}
    reached = {end for ends in TRANSITIONS.values() for end in ends}

    assert left == set(S) - {S.SUCCEEDED}
    assert reached == set(S)


def test_a_final_status_changes_only_by_a_retry():
    assert {reason for (start, reason) in TRANSITIONS if start in ENDED} == {Transition.RETRY}


def test_unfinished_jobs_can_be_cancelled():
    assert {status for status in S if "cancel" in actions_from(status)} == set(S) - ENDED


def test_only_unsuccessful_jobs_can_be_retried():
    assert {status for status in S if "retry" in actions_from(status)} == {S.FAILED, S.CANCELLED, S.SKIPPED}


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (S.QUEUED, S.RUNNING, True),
        (S.RUNNING, S.QUEUED, True),
        (S.RUNNING, S.SCHEDULED, True),
        (S.PENDING, S.RUNNING, False),
        (S.SCHEDULED, S.RUNNING, False),
        (S.QUEUED, S.SUCCEEDED, False),
        (S.SUCCEEDED, S.RUNNING, False),
        (S.CANCELLED, S.SUCCEEDED, False),
        (S.QUEUED, S.QUEUED, False),
    ],
)
def test_transitions_are_allowed_by_the_table(before, after, allowed):
    assert is_allowed(before, after) is allowed


@pytest.mark.parametrize("status", list(ExecutionStatus))
def test_an_execution_can_be_cancelled_until_it_ends(status):
    assert ("cancel" in execution_actions_from(status)) is (status not in EXECUTION_ENDED)


def states(**statuses):
    return {name: RetryState(status) for name, status in statuses.items()}


def test_a_retry_selects_all_unsuccessful_jobs():
    jobs = states(a=S.SUCCEEDED, b=S.FAILED, c=S.SKIPPED, d=S.CANCELLED, e=S.RUNNING, f=S.PENDING)

    assert jobs_to_retry(jobs, []) == {"b", "c", "d"}


def test_a_retry_of_one_job_selects_its_failed_upstream_and_skipped_downstream_jobs():
    jobs = states(root=S.FAILED, a=S.SKIPPED, b=S.SKIPPED, other=S.FAILED, both=S.SKIPPED, after_both=S.SKIPPED)
    edges = [("root", "a"), ("a", "b"), ("a", "both"), ("other", "both"), ("both", "after_both")]

    assert jobs_to_retry(jobs, edges, "root") == {"root", "a", "b"}
    assert jobs_to_retry(jobs, edges, "b") == {"root", "a", "b"}
    assert jobs_to_retry(jobs, edges, "other") == {"other"}
    assert jobs_to_retry(jobs, edges, "both") == {"root", "a", "b", "other", "both", "after_both"}


def test_a_tolerated_failure_is_not_retried():
    jobs = {"may": RetryState(S.FAILED, continue_on_failure=True), "bad": RetryState(S.FAILED)}

    assert jobs_to_retry(jobs, [("may", "bad")], "bad") == {"bad"}
