"""Request bodies of `/v1/videos`: JSON, or a form with an uploaded file."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from callsheet.api.errors import ApiError
from callsheet.api.videos_params import VideoParams, translate_request
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.json_text import read_json
from callsheet.files.content_sniffing import sniff_bytes
from callsheet.files.media_types import suffix_for
from callsheet.files.object_keys import upload_key
from callsheet.providers.registry import Registry

_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
_REFERENCE_MEMBER = re.compile(r"input_reference\[(\w+)\]")


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file and its storage key."""

    key: str
    sha256: str
    data: bytes


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """A parsed request."""

    video: VideoParams
    upload: Upload | None = None


async def read_video_request(request: Request, registry: Registry) -> VideoRequest:
    """Parse a request. Raises BadParams with every invalid field, and ApiError for a body that cannot be read."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in _FORM_TYPES:
        async with request.form(max_files=1, max_fields=100) as form:
            fields, upload = await _read_form(form)
        key = upload.key if upload is not None else None
        return VideoRequest(translate_request(registry, fields, uploaded_image=key, as_text=True), upload)
    if media_type not in ("application/json", ""):
        raise ApiError(415, "unsupported_media_type", "Send multipart/form-data or application/json.")
    fields = await asyncio.to_thread(_read_json, await request.body())
    return VideoRequest(translate_request(registry, fields, uploaded_image=None, as_text=False))


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        fields = read_json(body)
    except DocumentError as error:
        raise ApiError(400, "bad_request", f"The body is {error.located}.") from None
    if not isinstance(fields, dict):
        raise ApiError(400, "bad_request", "The body must be a JSON object.")
    return fields


async def _read_form(form: FormData) -> tuple[dict[str, Any], Upload | None]:
    fields: dict[str, Any] = {}
    upload = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != "input_reference":
                raise BadParams([Problem(name, "unknown_file", "a file can only be sent as input_reference")])
            upload = _make_upload(await value.read())
        elif member := _REFERENCE_MEMBER.fullmatch(name):
            fields["input_reference"] = {member[1]: value}
        else:
            fields[name] = value
    return fields, upload


def _make_upload(data: bytes) -> Upload:
    """Return an upload whose key is derived from its content, so that equal files are stored once."""
    media_type = sniff_bytes(data)
    if media_type is None or not media_type.startswith(("image/", "video/")):
        message = "the file is not an image or a video of a known format"
        raise BadParams([Problem("input_reference", "wrong_type", message)])
    sha256 = hashlib.sha256(data).hexdigest()
    return Upload(upload_key(sha256, f"upload{suffix_for(media_type)}"), sha256, data)
