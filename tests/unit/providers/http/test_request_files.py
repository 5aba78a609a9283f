from pathlib import Path

import pytest

from callsheet.domain.errors import SubmissionRejected
from callsheet.providers.contract import InputFile, Output, SubmitRequest
from callsheet.providers.http.request_files import encode_files, read_limited


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small one.png"
    path.write_bytes(b"hello")
    return path


async def test_files_are_replaced_at_any_depth(small: Path) -> None:
    inside, outside = InputFile(small, "image/png"), InputFile(small, "image/png", url="https://x.example/a?sig=1")
    given = {"prompt": "fox", "image": inside, "more": [outside, {"deep": (inside, 1, None)}], "n": 1.5, "on": True}

    assert await encode_files(given, "acme", 5) == {
        "prompt": "fox",
        "image": "data:image/png;base64,aGVsbG8=",
        "more": ["https://x.example/a?sig=1", {"deep": ["data:image/png;base64,aGVsbG8=", 1, None]}],
        "n": 1.5,
        "on": True,
    }
    assert given["image"] is inside


async def test_a_file_with_a_url_can_have_any_size(small: Path) -> None:
    assert (
        await encode_files(InputFile(small, "image/png", url="https://x.example/a"), "acme", 0) == "https://x.example/a"
    )


@pytest.mark.parametrize("limit", [0, 4])
async def test_a_too_large_file_is_rejected_with_a_hint(small: Path, limit: int) -> None:
    for given in ({"image": InputFile(small, "image/png")}, [InputFile(small, "image/png")]):
        with pytest.raises(
            SubmissionRejected, match=f"(?s)'small one.png' has 5 bytes.*acme.*{limit}.*CALLSHEET_PUBLIC_URL"
        ):
            await encode_files(given, "acme", limit)


async def test_a_file_is_read_up_to_the_limit(small: Path) -> None:
    assert await read_limited(InputFile(small, "image/png"), "acme", 5) == b"hello"


def test_secret_urls_are_not_in_the_representation(small: Path) -> None:
    file = InputFile(small, "image/png", url="https://x.example/a?sig=hidden")
    order = SubmitRequest("m", {"image": file}, webhook="https://x.example/job?token=hidden")

    assert "hidden" not in f"{order!r} {file!r} {Output(url='https://x.example/a?sig=hidden', inline=b'hidden')!r}"
