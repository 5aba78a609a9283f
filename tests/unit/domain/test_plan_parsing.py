"""Plans as text: valid and malicious JSON and YAML."""

import time

import pytest

from callsheet.domain.errors import PlanRefused, Problem, TooLarge
from callsheet.domain.plan_parsing import read_plan_text, with_lines


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

    with pytest.raises(PlanRefused, match=r"more than the allowed 250,000 values \(too large after alias expansion\)"):
        read(bomb)


def test_a_yaml_value_cannot_contain_itself():
    with pytest.raises(PlanRefused, match=r"no complete value with the anchor 'a' .*\(line 1, column 8\)"):
        read("a: &a [*a]")


def test_merge_keys_are_counted_and_do_not_override_keys_of_the_mapping():
    assert read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{y: 4}, *a]}") == {
        "a": {"x": 1, "y": 2},
        "b": {"y": 3, "x": 1},
        "c": {"y": 4, "x": 1},
    }
    bomb = f"a: &a {{{', '.join(f'k{n}: 1' for n in range(100))}}}\nb:\n" + "- {<<: [*a, *a, *a, *a, *a]}\n" * 600
    with pytest.raises(PlanRefused, match="more than the allowed 250,000 values"):
        read(bomb)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":\n ' + "1" * 4301 + "}", "4,301 digits in an integer; at most 20 are allowed (line 2, column 2)"),
        ("a: -" + "1" * 21, "21 digits in an integer; at most 20 are allowed (line 1, column 4)"),
        ("a: 0x" + "f" * 5000, "5,002 digits in an integer; at most 20 are allowed (line 1, column 4)"),
        ('{"a": 0.' + "1" * 500 + "}", "502 characters in a number; at most 400 are allowed (line 1, column 7)"),
        ("[" * 102 + "]" * 102, "nested too deeply: more than the allowed 100 levels"),
        ("a: " + "{a: " * 101 + "}" * 101, "nested too deeply: more than the allowed 100 levels (line 1, column"),
        ("[" + "0," * 250_000 + "0]", "more than the allowed 250,000 values (line 1, column 500001)"),
        ("a: &a x\nb: [" + "*a," * 10_001 + "]", "more than the allowed 10,000 aliases (line 2, column 30005)"),
        ("{" + ",".join(f'"k{n}": 1' for n in range(10_001)) + "}", "10,001 fields in one object; at most 10,000 are"),
        ("".join(f"k{n}: 1\n" for n in range(10_001)), "10,001 fields in one object; at most 10,000 are allowed"),
        ("%YAML 1.1\n" + "%TAG !a! x\n" * 11 + "--- a", "11 %TAG directives; at most 10 are allowed"),
    ],
)
def test_an_exceeded_limit_is_named_with_what_is_given_and_allowed(text, message):
    with pytest.raises(PlanRefused) as refused:
        read_plan_text(text, max_bytes=2**20)

    assert message in refused.value.problems[0].message
    assert refused.value.problems[0].code == "too_large"


def test_a_duplicate_key_is_found_in_one_pass_and_located():
    keys = ",".join(f'"k{n}": {{"a": 1}}' for n in range(9_999))

    began = time.process_time()
    with pytest.raises(PlanRefused, match=r"duplicate key 'k9998' in one object \(line 2, column 2\)"):
        read_plan_text(f'{{{keys},\n "k9998": 2}}', max_bytes=2**20)
    assert time.process_time() - began < 5


def test_text_above_the_size_limit_is_rejected():
    with pytest.raises(TooLarge, match="the limit is 100,000"):
        read("x" * 100_001)


YAML_PLAN = """\
executionPlan:
  jobs:
    - id: a
      operation: rendr
    - {id: b, operation: render, params: {clips: [{src: x}]}}
"""


def test_problems_of_a_yaml_plan_get_line_and_column():
    paths = ["executionPlan.jobs[0].operation", "jobs[1].params.clips[0].src", "jobs[0].params", "jobs[7]", "", "odd"]
    refused = PlanRefused([Problem(path, "invalid_value", "is bad") for path in paths])

    assert [problem.message for problem in with_lines(refused, YAML_PLAN).problems] == [
        "is bad (line 4, column 18)",
        "is bad (line 5, column 57)",
        "is bad (line 3, column 7)",
        "is bad (line 3, column 5)",
        "is bad (line 1, column 1)",
        "is bad (line 1, column 1)",
    ]


def test_problems_of_a_json_plan_are_unchanged():
    refused = PlanRefused([Problem("jobs[0].id", "missing", "is bad")])

    assert with_lines(refused, '{"jobs": [{}]}') is refused
