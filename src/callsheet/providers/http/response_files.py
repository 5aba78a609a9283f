"""Search for output files in the JSON of a provider."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from callsheet.providers.contract import Output
from callsheet.providers.http.base64_files import decode_base64

_MAX_DEPTH = 32


def find_outputs(value: Any) -> tuple[Output, ...]:
    """Return the files in a JSON value, in order and without duplicates: URLs, data URIs, objects with a `url`."""
    found = {output.url or output.inline: output for output in _walk(value, 0)}
    return tuple(found.values())


def _walk(value: Any, depth: int) -> Iterator[Output]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield from _in_text(value)
    elif isinstance(value, Mapping):
        yield from _in_object(value) or (found for inner in value.values() for found in _walk(inner, depth + 1))
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, depth + 1)


def _in_text(text: str) -> Iterator[Output]:
    text = text.strip()
    # A URL inside a sentence is not an output.
    if text.startswith(("https://", "http://")) and not any(character.isspace() for character in text):
        yield Output(url=text, name=_name(text))
    elif text.startswith("data:"):
        yield from _from_data_uri(text)


def _in_object(file: Mapping[str, Any]) -> list[Output]:
    """Return the file that an object describes by its `url`; an empty list for another object."""
    url, name, media_type = file.get("url"), file.get("file_name"), file.get("content_type")
    return [
        Output(
            url=output.url,
            inline=output.inline,
            name=name if isinstance(name, str) and name else output.name,
            media_type=media_type if isinstance(media_type, str) and "/" in media_type else output.media_type,
        )
        for output in (_in_text(url) if isinstance(url, str) else ())
    ]


def _from_data_uri(text: str) -> Iterator[Output]:
    header, comma, payload = text.removeprefix("data:").partition(",")
    if not comma or not header.endswith(";base64"):
        return
    data = decode_base64(payload)
    if data is not None:
        yield Output(inline=data, media_type=header.split(";", 1)[0] or None)


def _name(url: str) -> str | None:
    try:
        return unquote(PurePosixPath(urlsplit(url).path).name) or None
    except ValueError:
        return None
