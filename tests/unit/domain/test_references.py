"""References: finding and resolving them."""

import pytest

from callsheet.domain import references
from callsheet.domain.errors import BadParams

RESULTS = {
    "a": {"text": "hi", "list": [1, {"deep": True}], "videoFile": {"key": "k"}, "none": None, "odd": "cost $${x} ${b}"},
    "failed": None,
}


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("${a.text}", "hi"),
        ("${ a.text }", "hi"),
        ("${a.list}", [1, {"deep": True}]),
        ("${a.list[1].deep}", True),
        ("${a.video_file.key}", "k"),
        ("${a}", RESULTS["a"]),
        ("${a.none}", None),
        ("${failed.anything[3]}", None),
        ("say ${a.text}!", "say hi!"),
        ("${a.text}${a.text}", "hihi"),
        ("n=${a.list[0]}, ${a.list[1]}", 'n=1, {"deep": true}'),
        ("$${a.text}", "${a.text}"),
        ("$${a.text} is ${a.text}", "${a.text} is hi"),
        ("as it was: ${a.odd}", "as it was: cost $${x} ${b}"),
        ("${a.odd}", "cost $${x} ${b}"),
        ("costs $5 {really}", "costs $5 {really}"),
        ({"x": ["${a.text}", 3, None]}, {"x": ["hi", 3, None]}),
    ],
)
def test_a_reference_is_replaced_by_its_value(written, becomes):
    assert references.resolve(written, RESULTS) == becomes


@pytest.mark.parametrize("written", ["${a.nothing}", "${a.list[9]}", "${a.text.x}", "${a.list.x}", "x ${a.text[0]}"])
def test_an_unresolvable_reference_is_reported_with_its_path(written):
    with pytest.raises(BadParams) as bad:
        references.resolve({"deep": [written]}, RESULTS)

    assert bad.value.problems[0].path == "params.deep[0]"
    assert bad.value.problems[0].code == "bad_reference"


def test_every_reference_is_found_with_its_path():
    found = list(references.find({"a": "${x.y} and ${z}", "b": [{"c": "${bad path}"}], "d": "$${no}"}))

    assert [(path, text, reference and reference.job) for path, text, reference in found] == [
        ("params.a", "${x.y}", "x"),
        ("params.a", "${z}", "z"),
        ("params.b[0].c", "${bad path}", None),
    ]
