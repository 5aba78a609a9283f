"""Hostile texts in every string field of every operation: no file of the worker is read or overwritten."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import CallsheetError
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import validate_params
from callsheet.operation_api.catalog import discover

from .hostile_params import ParamsMaker

OPERATIONS = discover()
CANARY = "CANARYCANARYCANARY"
TEXTS = (
    "{file}",
    "/volume={file}",
    "volume=/volume={file}",
    "loudnorm=stats_file={file}",
    "firequalizer=dumpfile={file}",
    "x':textfile='{file}",
    "x',movie='{file}",
    "x;movie={file}[o]",
    "{{\\fnx}}{{\\p1}}{file}",
    "%{{textfile:{file}}}",
    "-i {file}",
    "file:{file}",
    "concat:{file}|{file}",
    "subfile,,start,0,end,0,,:{file}",
    "data:text/plain,{file}",
    "../../../../..{file}",
)
RUN = ("concat", "extract-audio", "finish", "loudest", "mux", "preview", "probe", "render", "split", "transcode")
"""Operations that are run. `render-segments` has the params of `render`; others need a server or a model."""


@dataclass
class Canary:
    """A file of the worker, alone in its folder."""

    path: Path

    def damage(self) -> Iterator[str]:
        if self.path.read_text() != CANARY:
            yield "the file was overwritten"
        if (made := [path.name for path in self.path.parent.iterdir()]) != [self.path.name]:
            yield f"files were created: {made}"


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Canary:
    path = tmp_path_factory.mktemp("worker") / "signing.key"
    path.write_text(CANARY)
    return Canary(path)


@pytest.fixture(scope="module")
def clip(studio: Studio) -> Path:
    return studio.clip("tiny.mp4", "testsrc2=size=64x64:rate=10", seconds=0.5, sound="sine=frequency=300")


def accepted(operation: str, clip: Path, canary: Canary) -> Iterator[tuple[str, str, Model]]:
    """Yield the params that validation accepts, at most two texts for each field."""
    model = OPERATIONS[operation].params
    maker = ParamsMaker(model.model_json_schema(by_alias=True), str(clip))
    seen: dict[str, int] = {}
    for template in TEXTS:
        text = template.format(file=canary.path)
        for field, raw in maker.with_text(text):
            kind = ".".join(field.split(".")[-2:])  # the same type at several places counts once
            if seen.get(kind, 0) < 2 and (params := _validated(raw, model)) is not None:
                seen[kind] = seen.get(kind, 0) + 1
                yield field, text, params


def _validated(raw: Any, model: type[Model]) -> Model | None:
    try:
        return validate_params(raw, model)
    except CallsheetError:
        return None


@pytest.mark.parametrize("name", RUN)
async def test_no_text_reads_or_writes_a_file_of_the_worker(
    stage: FakeContext, clip: Path, canary: Canary, caplog: pytest.LogCaptureFixture, name: str
):
    caplog.set_level(logging.DEBUG)
    found: list[str] = []
    ran = 0
    for field, text, params in accepted(name, clip, canary):
        ran += 1
        try:
            result = await OPERATIONS[name].run(stage, params)
            shown = result.model_dump_json()
        except CallsheetError as error:
            shown = f"{error} {error.facts}"
        found += [f"{field} = {text}: {damage}" for damage in canary.damage()]
        if CANARY in shown:
            found.append(f"{field} = {text}: the response shows the file: {shown}")
    assert found == []
    assert ran > 0
    assert CANARY not in caplog.text
    assert not any(CANARY.encode() in path.read_bytes() for path in stage.dir.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_string_field_is_reached(name: str, clip: Path):
    schema = OPERATIONS[name].params.model_json_schema(by_alias=True)
    fields = {field for field, _ in ParamsMaker(schema, str(clip)).with_text("x")}
    top = {key for key, node in schema["properties"].items() if node.get("type") == "string" and "enum" not in node}
    assert fields or not schema["properties"]
    assert {f".{key}" for key in top} <= fields
