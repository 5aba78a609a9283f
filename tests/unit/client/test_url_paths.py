import pytest

from callsheet.client.url_paths import path_part
from callsheet.domain.errors import BadInput


@pytest.mark.parametrize("text", ["", ".", "..", "a\0b", "\ud800", "a\nb"])
def test_an_argument_that_is_no_name_is_refused_with_its_field(text):
    with pytest.raises(BadInput, match=r"^name: must be a name"):
        path_part("name", text)


@pytest.mark.parametrize("text", ["../executions", "a/../../b", "/", "a//b", "a/."])
def test_an_id_with_slashes_cannot_lead_to_another_route(text):
    with pytest.raises(BadInput, match=r"^job: must be a name"):
        path_part("job", text, slashes=True)


def test_other_names_are_encoded():
    assert path_part("name", "a/b?c#d") == "a%2Fb%3Fc%23d"
    assert path_part("job", "cut/part-1", slashes=True) == "cut/part-1"
    assert path_part("name", "..%2fx") == "..%252fx"
