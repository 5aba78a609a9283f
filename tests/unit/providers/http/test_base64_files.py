import base64

import pytest

from callsheet.fakes.providers.task_script import sample_image, sample_video
from callsheet.providers.http.base64_files import decode_base64, with_data_uris


@pytest.mark.parametrize(
    ("data", "media_type"), [(sample_video().data, "video/mp4"), (sample_image().data, "image/png")]
)
def test_bare_base64_of_a_file_becomes_a_data_uri(data, media_type):
    written = base64.b64encode(data).decode()

    assert with_data_uris({"a": [written]}) == {"a": [f"data:{media_type};base64,{written}"]}


def test_line_breaks_in_base64_are_removed():
    written = base64.encodebytes(sample_image().data).decode()

    assert with_data_uris(written) == f"data:image/png;base64,{base64.b64encode(sample_image().data).decode()}"


@pytest.mark.parametrize(
    "value", ["", "iVBORw0KGgo=", "A fox " * 40, "QUJD" * 40, 5, None, True, "data:image/png;base64,AA=="]
)
def test_other_values_are_unchanged(value):
    assert with_data_uris({"a": value}) == {"a": value}


def test_deep_nesting_is_limited():
    deep = "leaf"
    for _ in range(500):
        deep = [deep]

    assert with_data_uris(deep) is not None


def test_text_that_is_not_base64_is_none():
    assert decode_base64("not base64!") is None
    assert decode_base64("é") is None
    assert decode_base64("YWJj\n") == b"abc"
