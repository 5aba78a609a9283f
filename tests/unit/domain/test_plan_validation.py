"""Plans that hold, and every class of plan that does not."""

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


class FilmParams(Model):
    clips: list[Clip]
    width: int = 1080
    fit: Literal["cover", "contain"] = "cover"


class FilmResult(Model):
    video: Artifact
    frame_count: int
    stills: list[Artifact] = Field(default_factory=list)
    notes: dict[str, str] = Field(default_factory=dict)
    extra: Any = None


class Declared:
    def __init__(self, name, params, result):
        self.name, self.params, self.result = name, params, result
        self.validation_context = None


FILM = Declared("film", FilmParams, FilmResult)
OPERATIONS = {"film": FILM, "render_film": FILM}


def film(id, src="https://example.com/a.mp4", **more):
    return {"id": id, "operation": "film", "params": {"clips": [{"src": src}]}, **more}


def check(*jobs, max_jobs=100):
    return check_plan(read_plan({"jobs": list(jobs)}), OPERATIONS, max_jobs=max_jobs)


def problems(*jobs, max_jobs=100):
    with pytest.raises(PlanRefused) as refused:
        check(*jobs, max_jobs=max_jobs)
    return {problem.path: (problem.code, problem.message) for problem in refused.value.problems}


def test_a_plan_that_holds_tells_who_waits_for_whom():
    checked = check(
        film("a"), film("b", "${a.video}", dependsOn=["a"]), {**film("c", "${b.video}"), "operation": "render_film"}
    )

    assert checked.upstream == {"a": [], "b": ["a"], "c": ["b"]}
    assert checked.operations == {"a": "film", "b": "film", "c": "film"}


def test_every_problem_is_told_at_once():
    found = problems(
        {"id": "a", "operation": "flim"},
        film("b"),
        {"id": "b", "operation": "film", "params": {"clips": "none", "widht": 3, "fit": "stretch"}},
        film("c", "${nobody.video}", dependsOn=["nobody-else"]),
        film("d", "${c.picture}"),
        film("e", "${f.video}"),
        film("f", "${e.video}"),
        film("g", "${not a reference}"),
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


def test_near_misses_are_named():
    found = problems(
        {"id": "intro", "operation": "flim"},
        film("b", "${intr.video}"),
        film("c", "${b.vidoe}"),
        {**film("d"), "params": {"clps": []}},
    )

    assert found["jobs[0].operation"][1].endswith("did you mean 'film'?")
    assert found["jobs[1].params.clips[0].src"][1].endswith("did you mean 'intro'?")
    assert found["jobs[2].params.clips[0].src"][1].endswith("did you mean 'video'?")
    assert found["jobs[3].params.clps"][1].endswith("did you mean 'clips'?")


def test_a_cycle_is_named_with_all_its_jobs_and_only_once():
    found = problems(film("a", "${c.video}"), film("b", "${a.video}"), film("c", "${b.video}"), film("d", "${c.video}"))

    assert found == {"jobs": ("cycle", "these jobs wait for each other: a → c → b → a")}


def test_a_job_that_waits_for_itself_is_a_cycle():
    assert problems(film("a", "${a.video}"))["jobs"][1] == "these jobs wait for each other: a → a"


def test_a_chain_as_long_as_a_plan_may_be_is_checked():
    chain = [film("j0"), *(film(f"j{n}", dependsOn=[f"j{n - 1}"]) for n in range(1, 5_000))]

    assert len(check(*chain, max_jobs=5_000).upstream) == 5_000


@pytest.mark.parametrize(
    "path", ["video", "frameCount", "frame_count", "stills[0].key", "notes.anything", "extra.a[3].b"]
)
def test_references_into_what_the_operation_declares_hold_in_either_spelling(path):
    assert check(film("a"), film("b", "${a." + path + "}")).upstream["b"] == ["a"]


@pytest.mark.parametrize("path", ["videos", "video.nothing", "frameCount.x", "stills.key", "video[0]", "stills[0].kye"])
def test_references_into_what_the_operation_does_not_declare_are_refused(path):
    assert problems(film("a"), film("b", "${a." + path + "}"))["jobs[1].params.clips[0].src"][0] == "unknown_output"


def test_a_reference_is_found_however_deep_and_its_field_is_not_judged_yet():
    params = {"clips": [{"src": "${a.video}", "frameRate": "${a.frameCount}"}], "width": "${a.frameCount}"}

    checked = check(film("a"), {"id": "b", "operation": "film", "params": params})

    assert checked.upstream["b"] == ["a"]


def test_an_escaped_reference_is_plain_text():
    assert check(film("a", "$${nobody.video}")).upstream["a"] == []


@pytest.mark.parametrize(("count", "code"), [(0, "empty"), (4, "too_many_jobs")])
def test_a_plan_has_some_jobs_and_not_too_many(count, code):
    assert problems(*(film(f"j{n}") for n in range(count)), max_jobs=3)["jobs"][0] == code


@pytest.mark.parametrize(
    ("job", "path"),
    [
        ({"id": "a b", "operation": "film"}, "jobs[0].id"),
        ({"id": "a\n", "operation": "film"}, "jobs[0].id"),
        ({"id": "x" * 65, "operation": "film"}, "jobs[0].id"),
        ({"id": "a"}, "jobs[0].operation"),
        ({"id": "a", "operation": "film", "retries": -1}, "jobs[0].retries"),
        ({"id": "a", "operation": "film", "timeout": "soon"}, "jobs[0].timeout"),
        ({"id": "a", "operation": "film", "timeout": 0}, "jobs[0].timeout"),
        ({"id": "a", "operation": "film", "priority": 1001}, "jobs[0].priority"),
        ({"id": "a", "operation": "film", "depends_upon": []}, "jobs[0].depends_upon"),
        ("not a job", "jobs[0]"),
    ],
)
def test_a_field_of_a_job_that_does_not_fit_is_named(job, path):
    with pytest.raises(PlanRefused) as refused:
        read_plan({"jobs": [job]})

    assert path in [problem.path for problem in refused.value.problems]


@pytest.mark.parametrize("data", [None, [], "plan", 3, {}, {"executionPlan": None}, {"jobs": []}])
def test_what_is_no_submission_is_refused(data):
    with pytest.raises(PlanRefused):
        read_submission(data)


def told(params):
    with pytest.raises(BadParams) as bad:
        validate_params(params, FilmParams)
    return [(problem.path, problem.code) for problem in bad.value.problems]


def test_of_a_choice_between_kinds_only_the_kind_that_was_meant_is_told():
    assert told({"clips": [{"src": ""}]}) == [("clips[0].src", "value_error")]
    assert told({"clips": [{"src": 5}]}) == [("clips[0].src", "wrong_type")]
    assert told({"clips": [{"src": "a.mp4", "frameRate": "fast"}]}) == [("clips[0].frameRate", "wrong_type")]
    places = [path for path, _ in told({"clips": [{"src": {"artifactId": "x"}}]})]
    assert "clips[0].src.artifactId" in places
    assert not [path for path in places if "Artifact." in path or path.endswith(".str")]


def test_a_choice_of_which_nothing_fits_names_all_its_kinds():
    with pytest.raises(BadParams) as bad:
        validate_params({"clips": [{"src": 5}]}, FilmParams)

    (problem,) = bad.value.problems
    assert problem.message == "input should be a valid object or a valid string; got 5"
