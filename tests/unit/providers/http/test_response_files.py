from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsheet.providers.contract import Output
from callsheet.providers.http.response_files import find_outputs

URL = "https://v3.fal.media/files/a/My%20video.mp4"


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        (URL, [Output(url=URL, name="My video.mp4")]),
        ({"url": URL}, [Output(url=URL, name="My video.mp4")]),
        (
            {"video": {"url": URL, "content_type": "video/mp4", "file_name": "out.mp4", "file_size": 5}, "seed": 1},
            [Output(url=URL, name="out.mp4", media_type="video/mp4")],
        ),
        ({"url": URL, "content_type": None, "file_name": 5}, [Output(url=URL, name="My video.mp4")]),
        ({"url": URL, "content_type": "nonsense", "file_name": ""}, [Output(url=URL, name="My video.mp4")]),
        ({"url": "no address"}, []),
        ({"url": {"deep": URL}}, [Output(url=URL, name="My video.mp4")]),
        ([URL, [URL, URL]], [Output(url=URL, name="My video.mp4")]),
        ("https://x.example/", [Output(url="https://x.example/", name=None)]),
        ("http://[::1", [Output(url="http://[::1", name=None)]),
        ("data:image/png;base64,aGVsbG8=", [Output(inline=b"hello", media_type="image/png")]),
        ("data:;base64,aGVsbG8=", [Output(inline=b"hello")]),
        (
            {"image": {"url": "data:image/png;base64,aGVsbG8=", "file_name": "a.png"}},
            [Output(None, b"hello", "a.png", "image/png")],
        ),
        ("data:image/png;base64,***", []),
        ("data:image/png;base64,é", []),
        ("data:image/png;base64,aGVs\nbG8=\n", [Output(inline=b"hello", media_type="image/png")]),
        (f" {URL}\n", [Output(url=URL, name="My video.mp4")]),
        ({"url": "", "video": {"url": URL}}, [Output(url=URL, name="My video.mp4")]),
        ({"url": None, "files": [URL]}, [Output(url=URL, name="My video.mp4")]),
        ("data:text/plain,hello", []),
        (f"see {URL} for more", []),
        ("ftp://x.example/a", []),
        ("aGVsbG8=", []),
        (None, []),
        (5, []),
    ],
)
def test_files_are_found_in_any_response(answer: Any, outputs: list[Output]) -> None:
    assert list(find_outputs(answer)) == outputs


def test_a_too_deeply_nested_response_has_no_files() -> None:
    answer: Any = URL
    for _ in range(1000):
        answer = [answer]

    assert find_outputs(answer) == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([URL, "data:;base64,QQ=="]),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("url"), inner),
    )
)
def test_every_found_file_has_a_url_or_content(answer: Any) -> None:
    assert all((output.url is None) != (output.inline is None) for output in find_outputs(answer))
