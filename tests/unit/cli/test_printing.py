"""Files of unfinished runs are marked, on the command line and in the console."""

from datetime import UTC, datetime

import pytest

from callsheet.cli.printing import media_text
from callsheet.console.rendering import render_macro
from callsheet.domain.ids import new_id
from callsheet.domain.records import StoredArtifact

MARK = "kept from an unfinished run"


@pytest.mark.parametrize("unfinished", [False, True])
def test_a_file_of_an_unfinished_run_is_marked(unfinished):
    artifact = StoredArtifact(
        artifact_id=new_id(),
        name="face-000001.safetensors",
        key="train-lora/face-000001.safetensors",
        media_type="application/octet-stream",
        size=88,
        sha256="0" * 64,
        execution_id=new_id(),
        job_id="lora",
        job_record_id=new_id(),
        created_at=datetime.now(UTC),
        from_unfinished_run=unfinished,
    )

    assert (MARK in media_text(artifact.model_dump(mode="json", by_alias=True))) is unfinished
    assert (MARK in render_macro("parts.html", "artifact", artifact)) is unfinished
