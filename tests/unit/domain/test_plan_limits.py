"""Plans that are too large, and plans with very many problems."""

import pytest

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import PlanRefused
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import check_plan, read_plan, read_submission


class RenderParams(Model):
    clips: list[dict[str, str]]
    width: int = 1080


class RenderResult(Model):
    video: str


class Render:
    name, params, result, validation_context = "render", RenderParams, RenderResult, None


OPERATIONS = {"render": Render()}


def render(id, src="https://example.com/a.mp4", **more):
    return {"id": id, "operation": "render", "params": {"clips": [{"src": src}]}, **more}


def refused(read):
    with pytest.raises(PlanRefused) as error:
        read()
    return error.value


def test_the_edges_of_a_plan_are_limited():
    jobs = [render(f"j{n}", dependsOn=[f"j{k}" for k in range(n)]) for n in range(320)]

    error = refused(lambda: check_plan(read_plan({"jobs": jobs}), OPERATIONS, max_jobs=400))

    [problem] = error.problems
    assert problem.code == "too_many_edges"
    assert "more than 50,000 entries of dependsOn and references; a plan may have at most 50,000" in problem.message


def test_references_count_as_edges():
    job = render("a", src="${b.video}" * 50_001)

    assert refused(lambda: check_plan(read_plan({"jobs": [job]}), OPERATIONS, max_jobs=9)).problems[0].code == (
        "too_many_edges"
    )


def test_at_most_100_problems_are_listed_and_the_rest_is_counted():
    error = refused(lambda: check_plan(read_plan({"jobs": [render("a")] * 251}), OPERATIONS, max_jobs=300))

    assert len(error.problems) == 100
    assert error.message == "The plan was refused; nothing was stored (250 problems; the first 100 are listed)"


def test_a_plan_with_very_many_problems_is_not_checked_to_its_end():
    error = refused(lambda: read_plan({"jobs": [0] * 200_000}, OPERATIONS))

    assert len(error.problems) == 100
    assert "(more than 500 problems; the first 100 are listed)" in error.message


def test_a_long_cycle_is_shortened_in_the_message():
    jobs = [render(f"j{n}", dependsOn=[f"j{(n + 1) % 1000}"]) for n in range(1000)]

    [problem] = refused(lambda: check_plan(read_plan({"jobs": jobs}), OPERATIONS, max_jobs=1000)).problems
    assert problem.message.startswith("these jobs wait for each other: j0 → j1 → ")
    assert " → … → " in problem.message
    assert len(problem.message) < 300


def test_an_unknown_field_does_not_hide_other_problems_of_its_job():
    error = refused(
        lambda: read_submission(
            {
                "executionPlan": {
                    "jobs": [
                        {"id": "a", "operation": "rendr", "retires": 3},
                        {"operation": "render", "params": {"widht": 5, "width": "wide", "clips": []}},
                        {"id": "c", "operation": "render", "params": {"clips": []}, "depends_on": ["x"], "timeot": 1},
                    ]
                }
            },
            OPERATIONS,
        )
    )

    assert sorted((problem.path, problem.code) for problem in error.problems) == [
        ("executionPlan.jobs[0].operation", "unknown_operation"),
        ("executionPlan.jobs[0].retires", "extra_forbidden"),
        ("executionPlan.jobs[1].id", "missing"),
        ("executionPlan.jobs[1].params.widht", "extra_forbidden"),
        ("executionPlan.jobs[1].params.width", "int_parsing"),
        ("executionPlan.jobs[2].dependsOn[0]", "unknown_job"),
        ("executionPlan.jobs[2].timeot", "extra_forbidden"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"executionPlan": 5}, "input should be a valid object; got 5"),
        ({"executionPlan": {"jobs": [7]}}, "input should be a valid object; got 7"),
        ({"executionPlan": {"jobs": [{"id": "a b", "operation": "x"}]}}, "must be 1 to 64 letters, digits, '_' and"),
        ({"executionPlan": {"jobs": [{"id": "x" * 10**6, "operation": "x"}]}}, "xxx...xxx"),
        ({"executionPlan": {"jobs": []}, "metadata": [1]}, "input should be a valid object; got [1]"),
    ],
)
def test_messages_are_plain_and_short(data, message):
    [problem] = refused(lambda: read_submission(data)).problems

    assert message in problem.message
    assert len(problem.message) < 200
    for internal in ("dictionary", "instance of", "pattern", "Plan", "^["):
        assert internal not in problem.message


def test_only_names_of_a_usual_length_are_suggested():
    assert did_you_mean("rendr", ["render"]) == ", did you mean 'render'?"
    assert did_you_mean("a" * 101, ["a" * 100]) == ""
