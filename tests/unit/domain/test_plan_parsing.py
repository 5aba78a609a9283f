"""Plans as text: valid and malicious JSON and YAML."""

import pytest

from callsheet.domain.errors import PlanRefused, TooLarge
from callsheet.domain.plan_parsing import read_plan_text


def read(text):
    return read_plan_text(text, max_bytes=100_000)


def test_json_and_yaml_give_the_same_data():
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
def test_yaml_scalars_follow_yaml_1_2(written, value):
    assert read(f"value: {written}") == {"value": value}


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('{"a": 1,\n "b": }', "line 2, column 7"),
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
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
def test_a_syntax_error_is_reported_with_its_position(text, position):
    with pytest.raises(PlanRefused) as refused:
        read(text)

    assert position in refused.value.problems[0].message


def test_a_yaml_bomb_is_rejected():
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"

    for text in (bomb, "a: &a [*a]"):
        with pytest.raises(PlanRefused, match="too large after alias expansion"):
            read(text)


def test_text_above_the_size_limit_is_rejected():
    with pytest.raises(TooLarge, match="the limit is 100,000"):
        read("x" * 100_001)
