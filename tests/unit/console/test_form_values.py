"""Fields of forms, and the values that are read from them."""

import pytest

from callsheet.console.form_fields import fields_of
from callsheet.console.form_values import empty_form, filled_form, read_values
from callsheet.domain.errors import Problem
from callsheet.domain.plan_inputs import PlanInput, inputs_schema

SCHEMA = {
    "properties": {
        "name": {"type": "string", "title": "Name", "maxLength": 80},
        "text": {"type": "string", "maxLength": 2000, "default": "a\nb"},
        "width": {"type": "integer", "minimum": 16, "maximum": 7680, "default": 1080, "unit": "px"},
        "start": {"anyOf": [{"type": "number"}, {"type": "string"}], "default": 0.5},
        "fit": {"anyOf": [{"enum": ["cover", "fill"], "type": "string"}, {"type": "null"}], "default": None},
        "factor": {"enum": [2, 4], "type": "integer"},
        "mute": {"type": "boolean", "default": True},
        "loud": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
        "src": {"$ref": "#/$defs/MediaSource", "description": "A video"},
        "tags": {"type": "array", "items": {"type": "string"}, "default": ["x", "y"]},
        "parts": {"type": "array", "items": {"type": "integer"}},
        "scenes": {"type": "array", "items": {"$ref": "#/$defs/Scene"}},
        "style": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Scene"}], "default": "plain"},
    },
    "required": ["name", "src"],
    "$defs": {
        "MediaSource": {"anyOf": [{"type": "object"}, {"type": "string"}], "format": "media-source", "title": "X"},
        "Scene": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Scene"}}},
    },
}
FIELDS = {field.name: field for field in fields_of(SCHEMA)}
UNCHANGED = {
    "field.text": "a\r\nb",
    "field.width": "1080",
    "field.start": "0.5",
    "field.mute": "true",
    "field.tags": "x\r\ny",
    "field.style": "plain",
}


def read(**texts):
    return read_values(FIELDS.values(), UNCHANGED | {f"field.{name}": text for name, text in texts.items()}, "inputs")


def test_each_type_has_its_kind_of_field():
    assert {name: field.kind for name, field in FIELDS.items()} == {
        "name": "text",
        "text": "multiline",
        "width": "number",
        "start": "text",
        "fit": "choice",
        "factor": "choice",
        "mute": "boolean",
        "loud": "choice",
        "src": "file",
        "tags": "list",
        "parts": "list",
        "scenes": "json",
        "style": "json",
    }
    assert (FIELDS["width"].hint, FIELDS["src"].label) == ("16 to 7,680 px", "Src")
    assert FIELDS["src"].is_required


def test_defaults_are_shown_and_left_out_of_the_values():
    shown = {filled.field.name: filled.text for filled in empty_form(FIELDS.values())}

    assert (shown["width"], shown["tags"], shown["fit"], shown["mute"]) == ("1080", "x\ny", "", "true")
    assert read() == ({}, [])


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", " a ", " a "),
        ("name", "5", "5"),
        ("text", "", ""),
        ("text", "x\r\ny", "x\ny"),
        ("width", "720", 720),
        ("width", "wide", "wide"),
        ("start", "2", 2),
        ("start", "00:01", "00:01"),
        ("fit", "fill", "fill"),
        ("factor", "4", 4),
        ("factor", "3", "3"),
        ("mute", "", False),
        ("loud", "false", False),
        ("src", " https://a.example/b.mp4 ", "https://a.example/b.mp4"),
        ("tags", "a\r\n\r\n b ", ["a", "b"]),
        ("tags", '["a, b"]', ["a, b"]),
        ("parts", "1\n2\nx", [1, 2, "x"]),
        ("scenes", '[{"next": {}}]', [{"next": {}}]),
        ("style", "bold", "bold"),
        ("style", '{"next": {}}', {"next": {}}),
    ],
)
def test_a_text_is_read_as_the_type_of_its_field(name, text, value):
    assert read(**{name: text}) == ({name: value}, [])


def test_text_that_is_not_json_is_a_problem_of_its_field():
    values, [problem] = read(scenes="[{")

    assert (values, problem.path) == ({}, "inputs.scenes")
    assert "not JSON" in problem.message


def test_problems_are_beside_their_fields_and_texts_are_kept():
    problems = [
        Problem("inputs.width", "x", "too small"),
        Problem("inputs.scenes[0].src", "x", "bad"),
        Problem("name", "x", "y"),
    ]

    filled, others = filled_form(FIELDS.values(), {"field.width": "7"}, problems, "inputs")

    found = {each.field.name: (each.text, each.problems) for each in filled if each.problems}
    assert found == {"width": ("7", ["too small"]), "scenes": ("", ["[0].src: bad"])}
    assert [problem.path for problem in others] == ["name"]


def test_a_plan_has_a_field_for_each_input():
    inputs = {
        "seconds": PlanInput(type="number", default=3, minimum=1, unit="s", title="Length"),
        "clip": PlanInput(type="file", default=None),
        "lines": PlanInput(type="array", max_length=5),
    }

    seconds, clip, lines = fields_of(inputs_schema(inputs))

    assert (seconds.label, seconds.hint, seconds.default) == ("Length", "at least 1 s", 3)
    assert (clip.kind, clip.is_required, lines.kind, lines.is_required) == ("file", False, "list", True)


def test_a_schema_without_properties_is_one_field_of_json():
    [field] = fields_of({"type": "object", "additionalProperties": True})

    assert read_values([field], {field.key: '{"a": 1}'}, "params") == ({"": {"a": 1}}, [])
