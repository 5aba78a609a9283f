"""Plans as text: JSON and YAML, honest and hostile."""

import pytest

from callsheet.domain.errors import PlanRefused, TooLarge
from callsheet.domain.plan_parsing import read_plan_text


def read(text):
    return read_plan_text(text, max_bytes=100_000)


def test_json_and_yaml_say_the_same():
    assert read('{"jobs": [{"id": "a"}]}') == read("jobs:\n  - id: a\n")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("16:9", "16:9"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("~", None),
        ("-3", -3),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ('"5"', "5"),
        ("15m", "15m"),
    ],
)
def test_yaml_values_are_what_they_look_like(written, value):
    assert read(f"value: {written}") == {"value": value}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("a: 1\nb: [\n", "line 3"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1"),
        ("? [a]\n: b", "line 1"),
        ("a: !!python/object/apply:os.system [id]", "line 1"),
        ("a: !!int x", "not YAML"),
        (b"\xff\xfe{", "not YAML"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ("[" * 50_000, "nested too deeply"),
        ("a: " + "[" * 20_000, "nested too deeply"),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_its_place(text, place):
    with pytest.raises(PlanRefused) as refused:
        read(text)

    assert place in refused.value.problems[0].message


def test_a_small_yaml_cannot_grow_huge():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"

    for text in (bomb, "a: &a [*a]"):
        with pytest.raises(PlanRefused, match="grows too large"):
            read(text)


def test_text_beyond_the_limit_is_not_even_read():
    with pytest.raises(TooLarge, match="at most 100,000"):
        read("x" * 100_001)
