"""The context for operations under test."""

import hashlib

import pytest

from callsheet.domain.errors import BadSource
from callsheet.domain.media_source import MediaSource
from callsheet.operation.contract import ChildJob, RunChildJobs
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


async def test_what_an_operation_keeps_can_be_looked_at(tmp_path):
    job = RecordingContext(tmp_path)

    result = await write.run(job, WriteParams(text="words"))

    assert job.kept == [result.file]
    assert job.path_of(result.file).read_text() == "words"
    assert result.file.sha256 == hashlib.sha256(b"words").hexdigest()
    assert (await job.fetch_input(MediaSource(result.file))).read_text() == "words"


async def test_progress_is_recorded_in_order(tmp_path):
    job = RecordingContext(tmp_path)

    await report_progress.run(job, ProgressParams(reports=2))

    assert job.progress_reports == [ProgressReport(0.5, "1 of 2"), ProgressReport(1.0, "2 of 2")]


async def test_a_step_is_done_once(tmp_path):
    job = RecordingContext(tmp_path)
    params = OnceParams(ledger=str(tmp_path / "ledger"))

    await pay_once.run(job, params)
    await pay_once.run(job, params)

    assert (tmp_path / "ledger").read_text() == "1\n"


@pytest.mark.parametrize("source", ["https://example.com/a.mp4", "nowhere.mp4", "storage:a"])
async def test_what_cannot_be_opened_is_a_bad_source(tmp_path, source):
    with pytest.raises(BadSource):
        await RecordingContext(tmp_path).fetch_input(MediaSource(source))


async def test_contexts_of_one_folder_share_a_cache(tmp_path):
    params = CachedPieceParams(digest="ab" * 32)

    made = await piece.run(RecordingContext(tmp_path), params)
    found = await piece.run(RecordingContext(tmp_path), params)

    assert (made.value, found.value) == ("made", "found")


async def test_a_context_is_told_what_ran_first_and_how_many_hosts_there_are(tmp_path):
    params = RunChildrenParams(jobs=[{"id": "a", "params": {"value": 1}}])

    with pytest.raises(RunChildJobs) as wish:
        await run_children.run(RecordingContext(tmp_path), params)
    result = await run_children.run(RecordingContext(tmp_path, children_done=True, host_count=3), params)

    assert wish.value.jobs == (ChildJob("a", "noop", {"value": 1}),)
    assert result.value == 3
