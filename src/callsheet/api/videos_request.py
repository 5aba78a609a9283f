"""What is asked of `/v1/videos`, read from JSON or a form, and told as `generate` takes it."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import Request
from pydantic.alias_generators import to_camel
from starlette.datastructures import FormData, UploadFile

from callsheet.api.errors import ApiError
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.plan_validation import did_you_mean
from callsheet.files.content_sniffing import sniff_bytes
from callsheet.files.media_types import suffix_for
from callsheet.providers.model_records import GenerativeModel, Parameter
from callsheet.providers.registry import Registry

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
_OWN = frozenset({"prompt", "model", "seconds", "size", "input_reference"})
_FIELDS = {
    "modelId": "model",
    "duration": "seconds",
    "aspectRatio": "size",
    "resolution": "size",
    "image": "input_reference",
}
"""Where a problem with what `generate` takes is told: the field that it came from."""
_PLACE = re.compile(r"^(executionPlan\.)?jobs\[0\](\.params)?(\.inputs)?\.?")
_INSIDE = re.compile(r"input_reference\[(\w+)\]")
_SIZE = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})")
_NEAR = 0.06
"""So far a ratio, or a number of lines, may be from what was asked for: 1792x1024 is taken for 16:9 in 1080p."""
_UPLOADS = "uploads/videos"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a request, and where it is to be kept."""

    key: str
    data: bytes


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """A request, understood."""

    params: dict[str, Any]
    """As `generate` takes them."""
    asked: dict[str, str] = field(default_factory=dict)
    """Size and seconds, as they were asked for."""
    upload: Upload | None = None


async def read_video_request(request: Request, registry: Registry) -> VideoRequest:
    """Read what a film is asked for with; raises BadParams with everything that cannot be used, or Refusal."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORMS:
        async with request.form(max_files=1, max_fields=100) as form:
            fields, upload = await _of_form(form)
        return _Reading(registry, fields, upload, as_text=True).done()
    if kind not in ("application/json", ""):
        raise ApiError(415, "unsupported_media_type", "Send multipart/form-data or application/json.")
    return _Reading(registry, _of_json(await request.body()), None, as_text=False).done()


def to_openai_errors(problems: list[Problem]) -> BadParams:
    """Return the problems of a plan as those of the request that it was made from."""
    told = []
    for problem in problems:
        name = _PLACE.sub("", problem.path)
        told.append(Problem(_FIELDS.get(name, name), problem.code, problem.message))
    return BadParams(told)


def _of_json(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ApiError(400, "bad_request", "The body is no JSON.") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "bad_request", "The body must be a JSON object.")
    return fields


async def _of_form(form: FormData) -> tuple[dict[str, Any], Upload | None]:
    fields: dict[str, Any] = {}
    upload = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "input_reference":
                raise BadParams([Problem(name, "unknown_file", "a file can only be sent as input_reference")])
            upload = _upload(await value.read())
        elif inside := _INSIDE.fullmatch(name):
            fields["input_reference"] = {inside[1]: value}
        else:
            fields[name] = value
    return fields, upload


def _upload(data: bytes) -> Upload:
    """Name a file by its contents, so that one that is sent twice is kept once."""
    kind = sniff_bytes(data)
    if kind is None or not kind.startswith(("image/", "video/")):
        message = "the file is neither a picture nor a film of a kind that is known"
        raise BadParams([Problem("input_reference", "wrong_type", message)])
    return Upload(f"{_UPLOADS}/{hashlib.sha256(data).hexdigest()}{suffix_for(kind)}", data)


class _Reading:
    """One request as it is read; every problem is gathered."""

    def __init__(self, registry: Registry, fields: Mapping[str, Any], upload: Upload | None, *, as_text: bool) -> None:
        self._registry = registry
        self._fields = fields
        self._upload = upload
        self._as_text = as_text
        self._problems: list[Problem] = []
        self._params: dict[str, Any] = {}
        self._asked: dict[str, str] = {}

    def done(self) -> VideoRequest:
        model = self._model()
        takes = {name: p for offer in reversed(model.offers) for name, p in offer.parameters.items()} if model else {}
        self._params["prompt"] = self._fields.get("prompt")
        self._params["image"] = self._reference()
        if model is not None:
            self._seconds()
            self._size(takes)
            self._params["inputs"] = self._inputs(takes)
        if self._problems:
            raise BadParams(self._problems)
        params = {name: value for name, value in self._params.items() if value is not None}
        return VideoRequest(_literal(params), self._asked, self._upload)

    def _wrong(self, path: str, code: str, message: str) -> None:
        self._problems.append(Problem(path, code, message))

    def _model(self) -> GenerativeModel | None:
        name = self._fields.get("model")
        films = [model.id for model in self._registry.values() if model.makes == "video"]
        if not isinstance(name, str) or name not in self._registry:
            known = did_you_mean(str(name), films) or f"; there are {', '.join(films)}"
            self._wrong("model", "model_not_found", f"there is no model '{str(name)[:100]}'{known}")
            return None
        model = self._registry[name]
        if model.makes != "video":
            self._wrong("model", "model_not_found", f"{model.id} makes {model.makes}, not video")
            return None
        self._params["modelId"] = name
        return model

    def _reference(self) -> Any:
        if self._upload is not None:
            return f"storage:{self._upload.key}"
        given = self._fields.get("input_reference")
        if not isinstance(given, Mapping):
            return given
        if set(given) != {"image_url"}:
            self._wrong("input_reference", "unsupported", "give {image_url}; files are not kept under ids here")
            return None
        if not isinstance(given["image_url"], str):
            self._wrong("input_reference", "invalid_value", "image_url must be a text")
            return None
        return given["image_url"]

    def _seconds(self) -> None:
        given = self._fields.get("seconds")
        if given is None:
            return
        seconds = _number(given)
        if seconds is None:
            self._wrong("seconds", "invalid_value", f"a number of seconds is needed, not {given!r:.60}")
            return
        self._params["duration"] = seconds
        self._asked["seconds"] = str(given)

    def _size(self, takes: Mapping[str, Parameter]) -> None:
        given = self._fields.get("size")
        if given is None:
            return
        size = _SIZE.fullmatch(given) if isinstance(given, str) else None
        if size is None:
            self._wrong("size", "invalid_value", f"a size such as 1280x720 is needed, not {given!r:.60}")
            return
        self._asked["size"] = size[0]
        if "size" in takes:
            return  # one of its inputs
        try:
            self._params |= _inputs_for_size(int(size[1]), int(size[2]), takes)
        except ValueError as error:
            self._wrong("size", "invalid_value", str(error))

    def _inputs(self, takes: Mapping[str, Parameter]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for name, value in self._fields.items():
            its_own = name not in _OWN or (name == "size" and "size" in takes)
            if its_own and value is not None:
                known = name if name in takes else to_camel(name)
                if self._params.get(known) is not None:
                    self._wrong(name, "given_twice", f"{_FIELDS.get(known, known)} says it already")
                parameter = takes.get(known)
                inputs[known] = _read(value, parameter) if self._as_text and parameter else value
        return inputs


def _inputs_for_size(width: int, height: int, takes: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return a size as the model knows it: shape and number of lines. Raises ValueError where it knows no such."""
    ratio, lines = takes.get("aspectRatio"), takes.get("resolution")
    if ratio is None and lines is None:
        raise ValueError("the model has one size only")
    found: dict[str, Any] = {}
    if ratio is not None:
        found["aspectRatio"] = _nearest(ratio, width / height, _shape_of, f"the shape of {width}x{height}")
    if lines is not None:
        found["resolution"] = _nearest(lines, min(width, height), _lines_of, f"{min(width, height)} lines")
    return found


def _nearest(parameter: Parameter, wanted: float, measure: Callable[[str], float | None], what: str) -> Any:
    measured = {choice: measure(str(choice)) for choice in parameter.choices or ()}
    apart = {choice: abs(found / wanted - 1) for choice, found in measured.items() if found is not None}
    near = min(apart, key=apart.__getitem__, default=None)
    if near is None or apart[near] > _NEAR:
        raise ValueError(f"the model does not make {what}, but {', '.join(map(str, apart)) or 'one size only'}")
    return near


def _shape_of(choice: str) -> float | None:
    shape = re.fullmatch(r"(\d+)[:x](\d+)", choice)
    return int(shape[1]) / int(shape[2]) if shape and int(shape[2]) else None


def _lines_of(choice: str) -> float | None:
    lines = re.fullmatch(r"(\d+)[pP]", choice)
    return float(lines[1]) if lines else 2160.0 if choice.lower() == "4k" else None


def _read(text: Any, parameter: Parameter) -> Any:
    """Return the value that a form's text stands for; what cannot be read stays, and is told to be wrong later."""
    readers: dict[str, Callable[[str], Any]] = {
        "integer": int,
        "number": float,
        "boolean": {"true": True, "false": False}.__getitem__,
    }
    try:
        return readers[parameter.kind](text)
    except (KeyError, ValueError):
        return text


def _number(given: Any) -> float | None:
    try:
        number = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _literal(value: Any) -> Any:
    """Return a value in which nothing is taken for a reference to another job."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {name: _literal(item) for name, item in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list) else value
