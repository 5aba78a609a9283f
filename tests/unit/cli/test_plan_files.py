"""Which texts of a plan are local files."""

import pytest
from pydantic import Field

from callsheet.cli.plan_files import find_plan_files, may_have_local_files
from callsheet.domain.errors import PlanRefused
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.operation_api.catalog import discover
from callsheet.operation_api.contract import Context, operation
from callsheet.operation_api.manifest import describe, manifest


class Mixed(Model):
    files: list[MediaSource] = Field(default_factory=list)
    named: dict[str, MediaSource | int] = Field(default_factory=dict)
    label: str = ""
    anything: dict[str, object] = Field(default_factory=dict)


class Nothing(Model):
    pass


@operation("mixed")
async def mixed(job: Context, params: Mixed) -> Nothing:
    """Take files in many places."""
    return Nothing()


OPERATIONS = [record.model_dump(mode="json", by_alias=True) for record in [*manifest(discover()), describe(mixed)]]


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "b.png", "sub/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def found(params, folder, operation="mixed", **around):
    plan = {"jobs": [{"id": "j", "operation": operation, "params": params}], **around}
    result = find_plan_files(plan, OPERATIONS, [folder])
    for each in result.files:
        each.replace(f"storage:{each.file.name}")
    return params, result


def test_local_files_are_replaced_wherever_the_schema_takes_a_media_source(folder):
    params, _ = found(
        {
            "files": ["a.mp4", "./sub/c.wav", "https://example.com/a.mp4", "${b.file}", "data:,x", "storage:a.mp4"],
            "named": {"x": "b.png", "y": 3},
        },
        folder,
    )

    assert params == {
        "files": [
            "storage:a.mp4",
            "storage:c.wav",
            "https://example.com/a.mp4",
            "${b.file}",
            "data:,x",
            "storage:a.mp4",
        ],
        "named": {"x": "storage:b.png", "y": 3},
    }


def test_texts_are_not_files_even_if_a_file_has_their_name(folder):
    (folder / "a red fox").write_text("")
    params, _ = found({"label": "a.mp4", "anything": {"prompt": "a red fox", "image": "b.png"}}, folder)

    assert params == {"label": "a.mp4", "anything": {"prompt": "a red fox", "image": "storage:b.png"}}


def test_files_of_a_timeline_and_of_a_model_are_found(folder):
    params, _ = found({"scenes": ["a.mp4", {"src": "b.png"}], "soundtrack": {"src": "sub/c.wav"}}, folder, "render")
    assert params == {
        "scenes": ["storage:a.mp4", {"src": "storage:b.png"}],
        "soundtrack": {"src": "storage:c.wav"},
    }
    params, _ = found(
        {"model": "m", "prompt": "a.mp4", "image": "b.png", "inputs": {"tail": "./a.mp4"}}, folder, "generate"
    )
    assert params == {"model": "m", "prompt": "a.mp4", "image": "storage:b.png", "inputs": {"tail": "storage:a.mp4"}}


def test_every_missing_or_forbidden_relative_path_is_reported_with_its_place(folder):
    with pytest.raises(PlanRefused) as refused:
        found({"files": ["gone.mp4", "../outside.mp4"], "named": {"x": "none.png"}}, folder)

    assert [problem.path for problem in refused.value.problems] == [
        "jobs[0].params.files[0]",
        "jobs[0].params.files[1]",
        "jobs[0].params.named.x",
    ]
    assert "--allow DIR" in refused.value.problems[1].message


def test_absolute_paths_that_are_not_allowed_here_are_left_for_the_workers(folder):
    params, result = found({"files": ["/srv/media/a.mp4", str(folder / "a.mp4")]}, folder)

    assert params == {"files": ["/srv/media/a.mp4", "storage:a.mp4"]}
    assert result.left_for_workers == ["jobs[0].params.files[0]: /srv/media/a.mp4"]


@pytest.mark.parametrize("plan", [None, [], "x", {"jobs": 3}, {"jobs": [3, {"operation": ["x"], "params": 3}]}])
def test_plans_without_files_or_without_sense_are_left_to_the_server(plan, folder):
    assert not may_have_local_files(plan)
    assert find_plan_files(plan, OPERATIONS, [folder]).files == []


@pytest.mark.parametrize("wrap", [lambda jobs: jobs, lambda jobs: {"jobs": jobs}, lambda jobs: {"executionPlan": jobs}])
def test_every_form_of_a_plan_is_read(wrap, folder):
    jobs = [{"id": "j", "operation": "probe", "params": {"src": "a.mp4"}}]

    assert may_have_local_files(wrap(jobs))
    assert [each.file for each in find_plan_files(wrap(jobs), OPERATIONS, [folder]).files] == [folder / "a.mp4"]
