"""Valid plans, and every class of invalid plan."""

from typing import Any, Literal

import pytest
from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, PlanRefused
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import check_plan, read_plan, read_submission, validate_params


class Clip(Model):
    src: MediaSource
    frame_rate: int | float | None = None


class RenderParams(Model):
    clips: list[Clip]
    width: int = 1080
    fit: Literal["cover", "contain"] = "cover"


class RenderResult(Model):
    video: Artifact
    frame_count: int
    stills: list[Artifact] = Field(default_factory=list)
    notes: dict[str, str] = Field(default_factory=dict)
    extra: Any = None


class Signature:
    def __init__(self, name, params, result):
        self.name, self.params, self.result = name, params, result
        self.validation_context = None


RENDER = Signature("render", RenderParams, RenderResult)
OPERATIONS = {"render": RENDER, "render_video": RENDER}


def render(id, src="https://example.com/a.mp4", **more):
    return {"id": id, "operation": "render", "params": {"clips": [{"src": src}]}, **more}


def check(*jobs, max_jobs=100):
    return check_plan(read_plan({"jobs": list(jobs)}), OPERATIONS, max_jobs=max_jobs)


def problems(*jobs, max_jobs=100):
    with pytest.raises(PlanRefused) as refused:
        check(*jobs, max_jobs=max_jobs)
    return {problem.path: (problem.code, problem.message) for problem in refused.value.problems}


def test_a_valid_plan_gives_the_upstream_jobs():
    checked = check(
        render("a"),
        render("b", "${a.video}", dependsOn=["a"]),
        {**render("c", "${b.video}"), "operation": "render_video"},
    )

    assert checked.upstream == {"a": [], "b": ["a"], "c": ["b"]}
    assert checked.operations == {"a": "render", "b": "render", "c": "render"}


def test_all_problems_are_reported_together():
    found = problems(
        {"id": "a", "operation": "rendr"},
        render("b"),
        {"id": "b", "operation": "render", "params": {"clips": "none", "widht": 3, "fit": "stretch"}},
        render("c", "${missing.video}", dependsOn=["also-missing"]),
        render("d", "${c.picture}"),
        render("e", "${f.video}"),
        render("f", "${e.video}"),
        render("g", "${not a reference}"),
    )

    assert {path: code for path, (code, _) in found.items()} == {
        "jobs[0].operation": "unknown_operation",
        "jobs[2].id": "duplicate_id",
        "jobs[2].params.clips": "list_type",
        "jobs[2].params.widht": "extra_forbidden",
        "jobs[2].params.fit": "literal_error",
        "jobs[3].dependsOn[0]": "unknown_job",
        "jobs[3].params.clips[0].src": "unknown_job",
        "jobs[4].params.clips[0].src": "unknown_output",
        "jobs[7].params.clips[0].src": "bad_reference",
        "jobs": "cycle",
    }


def test_similar_names_are_suggested():
    found = problems(
        {"id": "intro", "operation": "rendr"},
        render("b", "${intr.video}"),
        render("c", "${b.vidoe}"),
        {**render("d"), "params": {"clps": []}},
    )

    assert found["jobs[0].operation"][1].endswith("did you mean 'render'?")
    assert found["jobs[1].params.clips[0].src"][1].endswith("did you mean 'intro'?")
    assert found["jobs[2].params.clips[0].src"][1].endswith("did you mean 'video'?")
    assert found["jobs[3].params.clps"][1].endswith("did you mean 'clips'?")


def test_a_cycle_is_reported_once_with_all_its_jobs():
    found = problems(
        render("a", "${c.video}"), render("b", "${a.video}"), render("c", "${b.video}"), render("d", "${c.video}")
    )

    assert found == {"jobs": ("cycle", "these jobs wait for each other: a → c → b → a")}


def test_a_job_that_waits_for_itself_is_a_cycle():
    assert problems(render("a", "${a.video}"))["jobs"][1] == "these jobs wait for each other: a → a"


def test_a_long_chain_of_jobs_is_checked():
    chain = [render("j0"), *(render(f"j{n}", dependsOn=[f"j{n - 1}"]) for n in range(1, 5_000))]

    assert len(check(*chain, max_jobs=5_000).upstream) == 5_000


@pytest.mark.parametrize(
    "path", ["video", "frameCount", "frame_count", "stills[0].key", "notes.anything", "extra.a[3].b"]
)
def test_references_to_declared_outputs_are_valid_in_both_spellings(path):
    assert check(render("a"), render("b", "${a." + path + "}")).upstream["b"] == ["a"]


@pytest.mark.parametrize("path", ["videos", "video.nothing", "frameCount.x", "stills.key", "video[0]", "stills[0].kye"])
def test_references_to_undeclared_outputs_are_rejected(path):
    assert problems(render("a"), render("b", "${a." + path + "}"))["jobs[1].params.clips[0].src"][0] == "unknown_output"


def test_nested_references_are_found_and_their_fields_not_validated_yet():
    params = {"clips": [{"src": "${a.video}", "frameRate": "${a.frameCount}"}], "width": "${a.frameCount}"}

    checked = check(render("a"), {"id": "b", "operation": "render", "params": params})

    assert checked.upstream["b"] == ["a"]


def test_an_escaped_reference_is_plain_text():
    assert check(render("a", "$${missing.video}")).upstream["a"] == []


@pytest.mark.parametrize(("count", "code"), [(0, "empty"), (4, "too_many_jobs")])
def test_the_number_of_jobs_is_limited(count, code):
    assert problems(*(render(f"j{n}") for n in range(count)), max_jobs=3)["jobs"][0] == code


@pytest.mark.parametrize(
    ("job", "path"),
    [
        ({"id": "a b", "operation": "render"}, "jobs[0].id"),
        ({"id": "a\n", "operation": "render"}, "jobs[0].id"),
        ({"id": "x" * 65, "operation": "render"}, "jobs[0].id"),
        ({"id": "a"}, "jobs[0].operation"),
        ({"id": "a", "operation": "render", "retries": -1}, "jobs[0].retries"),
        ({"id": "a", "operation": "render", "timeout": "soon"}, "jobs[0].timeout"),
        ({"id": "a", "operation": "render", "timeout": 0}, "jobs[0].timeout"),
        ({"id": "a", "operation": "render", "priority": 1001}, "jobs[0].priority"),
        ({"id": "a", "operation": "render", "depends_upon": []}, "jobs[0].depends_upon"),
        ("not a job", "jobs[0]"),
    ],
)
def test_an_invalid_field_of_a_job_is_named(job, path):
    with pytest.raises(PlanRefused) as refused:
        read_plan({"jobs": [job]})

    assert path in [problem.path for problem in refused.value.problems]


@pytest.mark.parametrize("data", [None, [], "plan", 3, {}, {"executionPlan": None}, {"jobs": []}])
def test_invalid_submissions_are_rejected(data):
    with pytest.raises(PlanRefused):
        read_submission(data)


def params_problems(params):
    with pytest.raises(BadParams) as bad:
        validate_params(params, RenderParams)
    return [(problem.path, problem.code) for problem in bad.value.problems]


def test_only_the_matching_member_of_a_union_is_reported():
    assert params_problems({"clips": [{"src": ""}]}) == [("clips[0].src", "value_error")]
    assert params_problems({"clips": [{"src": 5}]}) == [("clips[0].src", "wrong_type")]
    assert params_problems({"clips": [{"src": "a.mp4", "frameRate": "fast"}]}) == [("clips[0].frameRate", "wrong_type")]
    places = [path for path, _ in params_problems({"clips": [{"src": {"artifactId": "x"}}]})]
    assert "clips[0].src.artifactId" in places
    assert not [path for path in places if "Artifact." in path or path.endswith(".str")]


def test_a_union_without_a_matching_member_lists_all_members():
    with pytest.raises(BadParams) as bad:
        validate_params({"clips": [{"src": 5}]}, RenderParams)

    (problem,) = bad.value.problems
    assert problem.message == "input should be a valid object or a valid string; got 5"
