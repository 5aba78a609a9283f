"""Inputs of plans: their values, their insertion, and all problems at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from callsheet.domain import references
from callsheet.domain.errors import PlanRefused
from callsheet.domain.plan import Plan, Submission
from callsheet.domain.plan_inputs import Insertion, PlanInput, inputs_schema
from callsheet.domain.plan_validation import check_submission, check_without_values
from callsheet.operation_api.catalog import Catalog
from callsheet.testing.operations import noop

OPERATIONS = Catalog([noop])


def plan(inputs, params, **job):
    return Plan.model_validate(
        {
            "name": "Card: ${inputs.text}",
            "inputs": inputs,
            "jobs": [{"id": "a", "operation": "noop", "params": params, **job}],
        }
    )


def filled(inputs, params, **values):
    submission = Submission(execution_plan=plan(inputs, params), inputs=values)
    done, _ = check_submission(submission, OPERATIONS, max_jobs=10)
    return done.execution_plan


def problems_of(call):
    with pytest.raises(PlanRefused) as caught:
        call()
    return {(each.path, each.message) for each in caught.value.problems}


TEXT = {"text": {"type": "string", "maxLength": 40}}


def test_a_value_replaces_its_reference_with_its_type():
    inputs = {**TEXT, "count": {"type": "integer"}, "list": {"type": "array"}}
    params = {
        "value": {"n": "${inputs.count}", "second": "${inputs.list[1].x}", "line": "${inputs.count} × ${inputs.text}"}
    }

    done = filled(inputs, params, text="Lamp", count=3, list=[0, {"x": True}])

    assert done.jobs[0].params == {"value": {"n": 3, "second": True, "line": "3 × Lamp"}}
    assert done.name == "Card: Lamp"


def test_a_default_is_used_and_may_be_null():
    inputs = {"text": {"default": "Hello"}, "photo": {"type": "file", "default": None}}

    done = filled(inputs, {"value": ["${inputs.text}", "${inputs.photo}"]})

    assert done.jobs[0].params == {"value": ["Hello", None]}


@given(st.text(max_size=40))
def test_a_text_of_a_client_arrives_unchanged_and_is_no_reference(text):
    params = {"value": ["<${inputs.text}>", "${inputs.text}", "${inputs.text}{a}", "{a.b} ${inputs.text}"]}
    done = filled({"text": {"maxLength": 100}}, params, text=text)

    assert not list(references.find(done.jobs[0].params))
    assert references.resolve(done.jobs[0].params, {}) == {"value": [f"<{text}>", text, text + "{a}", "{a.b} " + text]}


@given(st.text(st.sampled_from("${}ab."), max_size=6), st.text(st.sampled_from("${}ab."), max_size=6))
def test_two_values_that_meet_are_no_reference(first, second):
    inputs = {"text": {}, "more": {}}
    try:
        done = filled(inputs, {"value": "${inputs.text}${inputs.more}"}, text=first, more=second)
    except PlanRefused:
        assert first.endswith("$")
        assert second.startswith("$")
        return

    assert references.resolve(done.jobs[0].params, {}) == {"value": first + second}


@pytest.mark.parametrize("text", ["${other.video}", "$${x}", "${inputs.text}", "$$${a}", "a$"])
def test_texts_that_look_like_references_are_literal(text):
    done = filled(TEXT, {"value": ["${inputs.text}", "-${inputs.text}-"]}, text=text)

    assert references.resolve(done.jobs[0].params, {}) == {"value": [text, f"-{text}-"]}


def test_an_escaped_reference_to_an_input_stays():
    done = filled(TEXT, {"value": "$${inputs.text}"}, text="x")

    assert references.resolve(done.jobs[0].params, {}) == {"value": "${inputs.text}"}


def test_all_problems_of_values_and_jobs_are_reported_together():
    inputs = {
        **TEXT,
        "seconds": {"type": "number", "minimum": 1, "maximum": 60},
        "format": {"enum": ["mp4", "webm"], "default": "mp4"},
        "brief": {"minLength": 3},
        "tags": {"type": "array", "maxLength": 1, "default": []},
        "photo": {"type": "file"},
    }
    bad = plan(inputs, {"value": "${inputs.txt}", "other": "${missing.video}"}, dependsOn=["ghost"])
    values = {
        "text": 7, "seconds": 90, "format": "avi", "tags": [1, 2], "photo": "", "colour": "red",
    }  # fmt: skip

    found = problems_of(
        lambda: check_submission(Submission(execution_plan=bad, inputs=values), OPERATIONS, max_jobs=10)
    )

    assert found >= {
        ("inputs.text", "must be of type string; got 7"),
        ("inputs.seconds", "must be at most 60; got 90"),
        ("inputs.format", "must be one of 'mp4', 'webm'; got 'avi'"),
        ("inputs.tags", "must have at most 1 items; got 2"),
        ("inputs.brief", "is required"),
        ("inputs.photo", "must name a file: a URL, an artifact, or the source of an upload; got ''"),
        ("inputs.colour", "unknown input"),
        ("jobs[0].params.value", "${inputs.txt}: there is no input 'txt', did you mean 'text'?"),
        ("jobs[0].dependsOn[0]", "there is no job 'ghost'"),
        ("jobs[0].params.other", "${missing.video}: there is no job 'missing'"),
    }


def test_a_boolean_is_no_number_and_a_number_no_text():
    declared = PlanInput(type="integer")

    assert declared.problem_of(True) == "must be of type integer; got True"
    assert declared.problem_of(1.5) == "must be of type integer; got 1.5"
    assert declared.problem_of(2) is None


def test_a_path_that_a_value_does_not_have_is_a_problem_of_the_job():
    found = problems_of(lambda: filled({"scene": {"type": "object"}}, {"value": "${inputs.scene.text}"}, scene={}))

    assert found == {
        ("jobs[0].params.value", "${inputs.scene.text} cannot be resolved: the result of 'inputs' has no 'text'")
    }


def test_values_for_a_plan_without_inputs_are_refused():
    submission = Submission(
        execution_plan=Plan.model_validate({"jobs": [{"id": "a", "operation": "noop"}]}), inputs={"x": 1}
    )

    assert problems_of(lambda: check_submission(submission, OPERATIONS, max_jobs=10)) == {("inputs.x", "unknown input")}


def test_a_job_cannot_take_the_name_of_the_inputs():
    bad = Plan.model_validate(
        {
            "inputs": TEXT,
            "jobs": [{"id": "inputs", "operation": "noop"}, {"id": "b", "operation": "noop", "dependsOn": ["inputs"]}],
        }
    )

    found = problems_of(lambda: check_without_values(bad, OPERATIONS, max_jobs=10))

    assert [path for path, _ in sorted(found)] == ["jobs[0].id", "jobs[1].dependsOn[0]"]


def test_a_plan_without_inputs_may_have_a_job_of_that_name():
    plain = Plan.model_validate(
        {
            "jobs": [
                {"id": "inputs", "operation": "noop"},
                {"id": "b", "operation": "noop", "params": {"value": "${inputs}"}},
            ]
        }
    )

    assert check_without_values(plain, OPERATIONS, max_jobs=10).upstream == {"inputs": [], "b": ["inputs"]}


@pytest.mark.parametrize(
    "declared",
    [
        {"type": "integer", "default": "x"},
        {"default": 5},
        {"enum": [1]},
        {"type": "date"},
        {"minLength": -1},
        {"lenght": 1},
    ],
)
def test_an_invalid_declaration_is_refused(declared):
    with pytest.raises(ValidationError):
        PlanInput.model_validate(declared)


def test_values_cannot_blow_up_a_plan():
    insertion = Insertion({"text": "x" * 2**20})

    with pytest.raises(PlanRefused, match="plan was refused"):
        insertion.into(["${inputs.text}"] * 100, "params")


def test_the_schema_of_the_values_has_required_inputs_and_limits():
    inputs = {"text": PlanInput(max_length=40), "tags": PlanInput(type="array", default=[], max_length=3)}

    assert inputs_schema(inputs) == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "maxLength": 40},
            "tags": {"type": "array", "default": [], "maxItems": 3},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
