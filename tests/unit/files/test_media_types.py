import pytest

from callsheet.files.media_types import guess_media_type, is_safe_inline, suffix_for


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.MP4", "video/mp4"),
        ("a.mkv", "video/x-matroska"),
        ("a.webp", "image/webp"),
        ("a.srt", "application/x-subrip"),
        ("a.m4a", "audio/mp4"),
        ("a.safetensors", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_media_type_is_guessed_from_the_extension(name: str, kind: str) -> None:
    assert guess_media_type(name) == kind


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("video/mp4", ".mp4"),
        ("image/JPEG; q=1", ".jpg"),
        ("audio/mpeg", ".mp3"),
        ("text/vtt", ".vtt"),
        ("image/webp", ".webp"),
        ("application/octet-stream", ""),
        ("video/unheard-of", ""),
    ],
)
def test_the_extension_is_derived_from_the_media_type(kind: str, suffix: str) -> None:
    assert suffix_for(kind) == suffix


@pytest.mark.parametrize("kind", ["image/svg+xml", "text/html", "application/xhtml+xml", "text/javascript"])
def test_a_type_that_can_contain_scripts_is_not_displayed_inline(kind: str) -> None:
    assert not is_safe_inline(kind)
    assert is_safe_inline("video/mp4") and is_safe_inline("text/plain; charset=utf-8")
