"""The context for operations under test."""

import hashlib

import pytest

from callsheet.domain.errors import BadSource
from callsheet.domain.media_source import MediaSource
from callsheet.testing.context import Progress, RecordingContext
from callsheet.testing.operations import (
    OnceParams,
    ProgressParams,
    WriteParams,
    pay_once,
    report_progress,
    write,
)


async def test_what_an_operation_keeps_can_be_looked_at(tmp_path):
    job = RecordingContext(tmp_path)

    result = await write.run(job, WriteParams(text="words"))

    assert job.kept == [result.file]
    assert job.path_of(result.file).read_text() == "words"
    assert result.file.sha256 == hashlib.sha256(b"words").hexdigest()
    assert (await job.open(MediaSource(result.file))).read_text() == "words"


async def test_progress_is_recorded_in_order(tmp_path):
    job = RecordingContext(tmp_path)

    await report_progress.run(job, ProgressParams(reports=2))

    assert job.progress_reports == [Progress(0.5, "1 of 2"), Progress(1.0, "2 of 2")]


async def test_a_step_is_done_once(tmp_path):
    job = RecordingContext(tmp_path)
    params = OnceParams(ledger=str(tmp_path / "ledger"))

    await pay_once.run(job, params)
    await pay_once.run(job, params)

    assert (tmp_path / "ledger").read_text() == "1\n"


@pytest.mark.parametrize("source", ["https://example.com/a.mp4", "nowhere.mp4", "storage:a"])
async def test_what_cannot_be_opened_is_a_bad_source(tmp_path, source):
    with pytest.raises(BadSource):
        await RecordingContext(tmp_path).open(MediaSource(source))
