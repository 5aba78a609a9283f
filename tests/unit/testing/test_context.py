"""RecordingContext."""

import hashlib

import pytest

from callsheet.domain.errors import BadSource
from callsheet.domain.media_source import MediaSource
from callsheet.operation_api.contract import ChildJob, RunChildJobs
from callsheet.testing.context import ProgressReport, RecordingContext
from callsheet.testing.operations import (
    CachedPieceParams,
    OnceParams,
    ProgressParams,
    RunChildrenParams,
    WriteParams,
    pay_once,
    piece,
    report_progress,
    run_children,
    write,
)


async def test_kept_files_are_recorded_and_readable(tmp_path):
    job = RecordingContext(tmp_path)

    result = await write.run(job, WriteParams(text="hello"))

    assert job.kept == [result.file]
    assert job.path_of(result.file).read_text() == "hello"
    assert result.file.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert (await job.fetch_input(MediaSource(result.file))).read_text() == "hello"


async def test_progress_is_recorded_in_order(tmp_path):
    job = RecordingContext(tmp_path)

    await report_progress.run(job, ProgressParams(reports=2))

    assert job.progress_reports == [ProgressReport(0.5, "1 of 2"), ProgressReport(1.0, "2 of 2")]


async def test_a_once_step_runs_once(tmp_path):
    job = RecordingContext(tmp_path)
    params = OnceParams(ledger=str(tmp_path / "ledger"))

    await pay_once.run(job, params)
    await pay_once.run(job, params)

    assert (tmp_path / "ledger").read_text() == "1\n"


@pytest.mark.parametrize("source", ["https://example.com/a.mp4", "nowhere.mp4", "storage:a"])
async def test_unsupported_sources_raise_bad_source(tmp_path, source):
    with pytest.raises(BadSource):
        await RecordingContext(tmp_path).fetch_input(MediaSource(source))


async def test_contexts_with_the_same_folder_share_a_cache(tmp_path):
    params = CachedPieceParams(digest="ab" * 32)

    first = await piece.run(RecordingContext(tmp_path), params)
    second = await piece.run(RecordingContext(tmp_path), params)

    assert (first.value, second.value) == ("made", "found")


async def test_child_jobs_and_the_host_count_are_simulated(tmp_path):
    params = RunChildrenParams(jobs=[{"id": "a", "params": {"value": 1}}])

    with pytest.raises(RunChildJobs) as raised:
        await run_children.run(RecordingContext(tmp_path), params)
    result = await run_children.run(RecordingContext(tmp_path, children_done=True, host_count=3), params)

    assert raised.value.jobs == (ChildJob("a", "noop", {"value": 1}),)
    assert result.value == 3
