"""Description of `/v1/videos` for the OpenAPI document. Its bodies and errors have the format of OpenAI."""

from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_VIDEO = {
    "id": "video_019ab1f0000070008000000000000001",
    "object": "video",
    "status": "in_progress",
    "progress": 40,
    "model": "bytedance/seedance-1-pro",
    "prompt": "A paper boat on a river",
    "seconds": "5",
    "size": "1280x720",
    "created_at": 1795339800,
    "completed_at": None,
    "expires_at": None,
    "error": None,
    "remixed_from_video_id": None,
}
_CREATE = {"model": "bytedance/seedance-1-pro", "prompt": "A paper boat on a river", "seconds": "5", "size": "1280x720"}

ErrorKind = Literal[
    "authentication_error", "invalid_request_error", "permission_error", "rate_limit_error", "server_error"
]


class OpenAIErrorDetail(BaseModel):
    """Why a request failed."""

    message: str
    type: ErrorKind
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """The body of an error response under `/v1/`."""

    error: OpenAIErrorDetail


class InputReference(BaseModel):
    """A picture to start from."""

    image_url: str


class VideoCreateRequest(BaseModel):
    """A video to make. Further fields are inputs of the model, as `GET /api/models/{id}` lists them."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="Id or alias of a model")
    prompt: str
    seconds: str | float | None = Field(None, description="Duration of the video")
    size: str | None = Field(None, description="Width x height, such as 1280x720")
    input_reference: InputReference | str | None = Field(
        None, description="Picture to start from: its URL, or a file if the body is a form"
    )


def video_responses(*statuses: int, example: dict[str, Any] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a route. The errors 401, 403, 414, 429, 431 and 503 are always among them."""
    responses: dict[int | str, dict[str, Any]] = {
        status: _error(status) for status in sorted({*statuses, 400, 401, 403, 414, 429, 431, 503})
    }
    if example is not None:
        responses[200] = {"description": "Done", "content": {"application/json": {"example": example}}}
    return responses


def _error(status: int) -> dict[str, Any]:
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": HTTPStatus(status).description or HTTPStatus(status).phrase, "type": kind}
    schema = {"$ref": f"#/components/schemas/{OpenAIError.__name__}"}
    example = {"error": {**error, "param": None, "code": None}}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": schema, "example": example}},
    }


_SCHEMA = {"$ref": f"#/components/schemas/{VideoCreateRequest.__name__}"}

video = _VIDEO
page = {"object": "list", "data": [_VIDEO], "first_id": _VIDEO["id"], "last_id": _VIDEO["id"], "has_more": False}
deleted = {"id": _VIDEO["id"], "object": "video.deleted", "deleted": True}
create = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _SCHEMA, "example": _CREATE},
            "multipart/form-data": {"schema": _SCHEMA, "example": _CREATE},
        },
    }
}
_FILE = {"video/mp4": {"schema": {"type": "string", "format": "binary"}, "example": "…"}}
content: dict[int | str, dict[str, Any]] = {
    **video_responses(404),
    200: {"description": "The whole file", "content": _FILE},
    206: {"description": "The requested range", "content": _FILE},
    304: {"description": "The client has the current file"},
    416: _error(416),
}
