"""The plans that come with Callsheet."""

import pytest

from callsheet.domain.plan import Submission
from callsheet.domain.plan_inputs import INPUTS, inputs_schema
from callsheet.domain.plan_validation import check_submission, check_without_values
from callsheet.domain.references import find
from callsheet.operation_api.catalog import discover
from callsheet.ready_plans import ready_plans

PLANS = ready_plans()


def test_there_are_ready_plans():
    shipped = {"vertical-ad", "talking-avatar", "product-loop", "podcast-clip", "upscale-and-subtitle", "ab-batch"}
    assert shipped <= PLANS.keys()


@pytest.mark.parametrize("name", PLANS)
def test_a_ready_plan_is_valid_and_described(name):
    plan = PLANS[name]

    assert check_without_values(plan, discover(), max_jobs=100).plan is plan
    assert plan.name
    assert plan.description


@pytest.mark.parametrize("name", PLANS)
def test_a_ready_plan_accepts_values_of_its_inputs_and_its_defaults(name):
    plan = PLANS[name]
    required = {
        key: "https://example.com/file" if declared.type == "file" else "A text"
        for key, declared in plan.inputs.items()
        if declared.is_required
    }
    submission = Submission(execution_plan=plan, inputs=required)

    filled, _ = check_submission(submission, discover(), max_jobs=100)

    assert not [text for job in filled.execution_plan.jobs for _, text, _ in find(job.params) if "inputs." in text]


@pytest.mark.parametrize("name", PLANS)
def test_a_ready_plan_uses_each_of_its_inputs(name):
    plan = PLANS[name]
    used = {
        reference.steps[0]
        for job in plan.jobs
        for _, _, reference in find(job.params)
        if reference is not None and reference.job == INPUTS
    }

    assert used == inputs_schema(plan.inputs)["properties"].keys()
