"""Durations, media sources, and values for the database."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from callsheet.domain.durations import Duration
from callsheet.domain.json_storage import storable_json, storable_text
from callsheet.domain.media_source import MediaSource, SourceKind

DURATION = TypeAdapter(Duration)
ARTIFACT = {
    "artifactId": "0190b0a0-0000-7000-8000-000000000001",
    "name": "a",
    "key": "k",
    "mediaType": "video/mp4",
    "size": 1,
    "sha256": "0" * 64,
}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("90s", 90),
        ("15m", 900),
        ("1.5h", 5400),
        ("2d", 172800),
        ("250ms", 0.25),
        (" 5 s ", 5),
    ],
)
def test_durations_are_parsed(written, seconds):
    assert DURATION.validate_python(written) == timedelta(seconds=seconds)
    assert DURATION.dump_python(DURATION.validate_python(written), mode="json") == seconds


@pytest.mark.parametrize(
    "written",
    ["", "soon", "5 weeks", "-3s", "1h30m", True, None, [], "٣s", float("nan"), float("inf"), 1e300, "9" * 400],
)
def test_invalid_durations_are_rejected(written):
    with pytest.raises(ValidationError):
        DURATION.validate_python(written)


@pytest.mark.parametrize(
    ("written", "kind", "text"),
    [
        ("https://example.com/a.mp4?sig=secret", SourceKind.URL, "https://example.com/a.mp4"),
        ("HTTP://example.com/a.mp4", SourceKind.URL, "http://example.com/a.mp4"),
        ("data:image/png;base64," + "A" * 99, SourceKind.DATA, "data:image/png;base64,AAAAAAAAAA…"),
        ("storage:uploads/logo.png", SourceKind.KEY, "storage:uploads/logo.png"),
        ("./intro.mp4", SourceKind.PATH, "./intro.mp4"),
        ("C:/videos/a.mp4", SourceKind.PATH, "C:/videos/a.mp4"),
        (ARTIFACT, SourceKind.ARTIFACT, f"artifact:{ARTIFACT['artifactId']}"),
        (f"artifact:{ARTIFACT['artifactId']}", SourceKind.ARTIFACT, f"artifact:{ARTIFACT['artifactId']}"),
    ],
)
def test_a_media_source_has_a_kind_and_a_text_without_secrets(written, kind, text):
    source = MediaSource.model_validate(written)

    assert source.kind is kind
    assert source.text == text


@pytest.mark.parametrize("written", ["", "  ", "a\0b", "artifact:", "artifact:zzz", 3, None, {"artifactId": "x"}])
def test_invalid_media_sources_are_rejected(written):
    with pytest.raises(ValidationError):
        MediaSource.model_validate(written)


def test_any_text_can_be_stored():
    assert storable_text("fine 🎬") == "fine 🎬"
    assert storable_text("nul \0, half \ud800") == "nul ␀, half ?"


def test_any_value_can_be_stored():
    value = {
        1: 2**70,
        "path": Path("/x"),
        "nan": float("nan"),
        "set": (1, "\0"),
        "bytes": b"\xff",
        "deep": {"a": [None, True, 1.5]},
    }

    assert json.loads(storable_json(value)) == {
        "1": str(2**70),
        "path": "/x",
        "nan": "nan",
        "set": [1, "␀"],
        "bytes": "b'\\xff'",
        "deep": {"a": [None, True, 1.5]},
    }
