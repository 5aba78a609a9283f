"""Kling: videos from text and from images.

This adapter uses the form of the API that Kling's documentation calls legacy (2026-11).
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import quote

import jwt
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import BadWebhook, ProviderRateLimited, ProviderUnreachable, SubmissionRejected
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import (
    Capabilities,
    InputFile,
    Output,
    SubmitRequest,
    Task,
    TaskState,
    TaskStatus,
    WebhookEvent,
)
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, text, url
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import file_as_base64, replace_files
from callsheet.providers.http.response import ProviderResponse
from callsheet.providers.key_check import UNKNOWN_TASK, FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.providers.webhooks.signatures import read_json_object
from callsheet.settings import Settings

_STATES: Mapping[str, TaskState] = {
    "submitted": "queued",
    "processing": "running",
    "succeed": "succeeded",
    "failed": "failed",
}
# Values of the field `code`. It is 0 for a success, whatever the HTTP status (2026-11).
_RATE_LIMIT_CODES = (1302, 1303)
"""Too many requests, and more parallel tasks than the resource pack allows. Those are rejected, not queued (2026-11).
"""
_MODERATION_CODE = 1301
_UNKNOWN_TASK_CODE = 1203
_FIRST_SERVER_ERROR_CODE = 5000
_TASK_ID = ("data", "task_id")
_KINDS = ("text2video", "image2video")
_MIN_RETRY_AFTER = 1.0
_TOKEN_LIFETIME = 1800
"""Seconds."""
_CLOCK_TOLERANCE = 5
"""Seconds."""


class KlingSettings(ProviderSettings):
    """Settings of Kling."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_KLING_")

    access_key: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_KLING_ACCESS_KEY", "KLING_ACCESS_KEY"),
        description="Access key: identifies the account at Kling",
    )
    secret_key: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_KLING_SECRET_KEY", "KLING_SECRET_KEY"),
        description="Secret key: signs the tokens that authenticate requests to Kling",
    )
    url: str = Field("https://api-singapore.klingai.com", description="Base URL of the API of Kling")


class Kling(BaseProvider):
    """Kling. Model names are plain: `kling-v2-1`. With an image, the image is animated."""

    name = "kling"
    settings_class = KlingSettings
    capabilities = Capabilities(webhook=True, retention=timedelta(days=30), inline_limit=10 * 2**20)
    # The hosts of its files are undocumented (2026-11).
    file_hosts = None

    def __init__(self, settings: Settings, kling: KlingSettings) -> None:
        async def auth() -> Mapping[str, str]:
            token = _token(kling.access_key.get_secret_value(), kling.secret_key.get_secret_value())
            return {"Authorization": f"Bearer {token}"}

        http = ProviderClient(self.name, ProviderHosts(kling.url), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return the request that reads a task that does not exist."""
        return FreeRequest("GET", f"/v1/videos/text2video/{UNKNOWN_TASK}", also_accepted=(400, 404))

    async def submit(self, request: SubmitRequest) -> Task:
        """Create a task."""
        kind = _KINDS[bool({"image", "image_tail"} & set(request.input))]
        body = {"model_name": request.model, **await replace_files(request.input, self._encode_file)}
        if request.webhook:
            body["callback_url"] = request.webhook
        if request.client_reference:
            # Kling echoes it; whether tasks can be searched by it is undocumented (2026-11).
            body["external_task_id"] = request.client_reference
        response = await self._http.submit("POST", f"/v1/videos/{kind}", task_id_path=_TASK_ID, json=body)
        self._raise_for_code(response)
        return self._task(response, response.at(*_TASK_ID), kind=kind)

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task of either kind."""
        # The kind of a task that is known from its webhook only is unknown.
        for kind in (task.handle["kind"],) if "kind" in task.handle else _KINDS:
            response = await self._http.get("GET", f"/v1/videos/{kind}/{quote(task.id, safe='')}")
            if response.status != 404 and response.at("code") != _UNKNOWN_TASK_CODE:
                return self._parse_status(response)
        return self._lost_status()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Parse a callback. Callbacks are unsigned and arrive at each change (2026-11): only the URL is secret."""
        fields = read_json_object(body)
        task_id, status = text(fields.get("task_id")), text(fields.get("task_status")) or ""
        if task_id is None:
            raise BadWebhook("The callback contains no task id.")
        return WebhookEvent(task_id, f"{task_id}:{status}", status)

    async def _encode_file(self, file: InputFile) -> str:
        # Bare base64: Kling rejects data URIs.
        return file.url or await file_as_base64(file, self.name, self.capabilities.inline_limit)

    def _parse_status(self, response: ProviderResponse) -> TaskStatus:
        fields = self._http.json_object(response)
        if fields.get("code") != 0:
            raise ProviderUnreachable(f"Kling responded with code {fields.get('code')}: {sanitize(response)}")
        return _status(as_object(fields.get("data")))

    def _raise_for_code(self, response: ProviderResponse) -> None:
        """Raise the error that a code other than 0 means for a submission."""
        code = response.at("code")
        if code == 0:
            return
        if not isinstance(code, int) or code >= _FIRST_SERVER_ERROR_CODE:
            self._http.raise_unreadable_submission(response)
        self._http.raise_if_task_named(response, *_TASK_ID)
        _raise_rejection(code, response)


def _raise_rejection(code: int, response: ProviderResponse) -> NoReturn:
    details = f"code {code}, {sanitize(response)}"
    if code in _RATE_LIMIT_CODES:
        raise ProviderRateLimited(f"Kling rate limit reached: {details}", retry_after=_MIN_RETRY_AFTER)
    facts = {"reason": "content_refused"} if code == _MODERATION_CODE else {}
    raise SubmissionRejected(f"Kling rejected the submission: {details}", providerCode=code, **facts)


def _token(access_key: str, secret_key: str) -> str:
    now = int(time.time())
    claims = {"iss": access_key, "exp": now + _TOKEN_LIFETIME, "nbf": now - _CLOCK_TOLERANCE}
    return jwt.encode(claims, secret_key, algorithm="HS256", headers={"typ": "JWT"})


def _status(task: Mapping[str, Any]) -> TaskStatus:
    status = text(task.get("task_status")) or "unknown"
    state = _STATES.get(status, "running")
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, _outputs(as_object(task.get("task_result"))))
    if state == "failed":
        reason = text(task.get("task_status_msg")) or "Kling gave no reason."
        return TaskStatus(state, status, code=moderation_code(reason), message=redact_message(reason))
    return TaskStatus(state, status)


def _outputs(result: Mapping[str, Any]) -> tuple[Output, ...]:
    files = [as_object(each) for each in (*_list(result.get("videos")), *_list(result.get("images")))]
    return tuple(Output(url=file_url) for file_url in (url(file.get("url")) for file in files) if file_url is not None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
