import unicodedata
from uuid import UUID

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import LocalStore

from callsheet.domain.errors import BadSource
from callsheet.files.object_keys import MAX_NAME_BYTES, object_key, safe_name, validate_key

JOB = UUID("0190a5f0-0000-7000-8000-000000000001")


def test_a_key_contains_the_operation_and_the_job() -> None:
    assert object_key("render", JOB, "final.mp4") == f"render/{JOB}/final.mp4"


def test_a_later_epoch_is_part_of_the_key() -> None:
    assert object_key("render", JOB, "final.mp4", epoch=3) == f"render/{JOB}/3/final.mp4"


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("final.mp4", "final.mp4"),
        ("Ein Clip 🎬 'mit' \"Namen\".mp4", "Ein Clip 🎬 'mit' \"Namen\".mp4"),
        ("👨‍👩‍👧.png", "👨‍👩‍👧.png"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\clips\\a.mp4", "C:-clips-a.mp4"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("a\x00b\nc\x1b[0m.mp4", "ab c[0m.mp4"),
        ("exe\u202e4pm.gnp", "exe4pm.gnp"),
        ("e\u0301.mp4", "é.mp4"),
        ("take #1", "take -1"),
        ("take #1.mp4", "take #1.mp4"),
        ("\ud800.mp4", "mp4"),
        ("..", "file"),
        ("", "file"),
    ],
)
def test_a_name_is_sanitized(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


def test_a_long_name_is_truncated_and_keeps_its_extension() -> None:
    name = safe_name("🎬" * 200 + ".final.mp4")

    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.startswith("🎬🎬")
    assert name.endswith("🎬.mp4")


@given(st.text(max_size=300))
def test_every_sanitized_name_is_a_valid_key(text: str) -> None:
    name = safe_name(text)

    assert validate_key(name) == name
    assert safe_name(name) == name
    assert name[0] not in ". " and "/" not in name
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in name)


@pytest.mark.parametrize("key", ["logo.png", "uploads/logo 🎬 'x'.png", "a/b/c", "a/.b", "a/…", "50%25/#1.mp4"])
def test_a_valid_key_is_accepted(key: str) -> None:
    assert validate_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        *("", "/etc/passwd", "../x", "a/../../x", "a/..", "a/./b", "a//b", "a/", "a\\..\\b", "a\nb", "a\x00"),
        *("\ud800", "x" * 2000, "x" * 250, "a/b#1", "a/\x7f"),
    ],
)
def test_an_invalid_key_is_rejected(key: str) -> None:
    with pytest.raises(BadSource, match="is not a valid storage key"):
        validate_key(key)


@given(st.lists(st.sampled_from(["..", ".", "", "a", "é", "#1", "%2e%2e", "\\", "~"]), max_size=4))
def test_every_accepted_key_is_stored_inside_the_folder(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    key = "/".join(parts)
    try:
        validate_key(key)
    except BadSource:
        return
    root = tmp_path_factory.mktemp("root")

    obstore.put(LocalStore(prefix=root), key, b"x")

    assert [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()] == [key]
