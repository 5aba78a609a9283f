"""What a step sends: one JSON object for each message.

{"progress": 0.5, "message": "half done"}
{"log": "a line for people"}
{"result": {"words": 7}, "files": [{"path": "cover.png"}]}
{"error": "the picture is too dark", "transient": false}
"""

from collections.abc import Callable
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from callsheet.domain.errors import JobError, Transient
from callsheet.domain.json_text import read_json
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_problems

MAX_MESSAGE_BYTES = 2**20
"""Maximum size of one message."""
MAX_FILES = 1_000
_MAX_TEXT = 2_000

OnProgress = Callable[[float, str | None], None]
"""Called with the share done, from 0 to 1, and a message."""
OnLog = Callable[[str], None]


class SentFile(Model):
    """A file of a result: `path` in the folder of a command, or `url` of an endpoint."""

    path: str | None = Field(None, min_length=1, max_length=1_000)
    url: str | None = Field(None, min_length=1, max_length=4_000)
    name: str | None = Field(None, min_length=1, max_length=255)
    media_type: str | None = Field(None, pattern=r"^[\w.+-]{1,60}/[\w.+-]{1,100}$")


class StepMessage(Model):
    """One message. Unknown fields are ignored, so that later versions can add some."""

    model_config = ConfigDict(extra="ignore")

    progress: float | None = Field(None, ge=0, le=1)
    message: str | None = None
    log: str | None = None
    result: dict[str, Any] | None = None
    files: list[SentFile] = Field(default_factory=list, max_length=MAX_FILES)
    error: str | None = None
    transient: bool = False
    retry_after: float | None = Field(None, ge=0, le=86_400, description="Seconds")
    status: str | None = Field(None, description="Only of polled endpoints; everything else says how it is")

    @property
    def is_end(self) -> bool:
        """Whether it is the last message: a result, files, or an error."""
        return self.result is not None or bool(self.files) or self.error is not None


class InvalidMessage(JobError):
    """A step sent something else than its contract allows."""


def read_message(data: bytes) -> StepMessage:
    """Return a message. Raises InvalidMessage for anything else than a JSON object of this form."""
    try:
        found = read_json(data)
    except ValueError as error:
        raise InvalidMessage(f"the step sent invalid JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidMessage("the step sent JSON that is no object")
    try:
        return StepMessage.model_validate(found)
    except ValidationError as error:
        problems = "; ".join(map(repr, list(validation_problems(error, StepMessage, found))[:5]))
        raise InvalidMessage(f"the step sent an invalid message: {problems}") from None


def handle(message: StepMessage, on_progress: OnProgress, on_log: OnLog) -> StepMessage | None:
    """Pass on progress and logs, and return the message if it is the last one. Raises the error of the step."""
    if message.log is not None:
        on_log(message.log[:_MAX_TEXT])
    if message.error is not None:
        text = message.error[:_MAX_TEXT] or "the step failed without a message"
        raise Transient(text, retry_after=message.retry_after) if message.transient else JobError(text)
    if message.is_end:
        return message
    if message.progress is not None:
        on_progress(message.progress, message.message[:_MAX_TEXT] if message.message else None)
    return None
