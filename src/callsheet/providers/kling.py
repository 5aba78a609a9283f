"""Kling: videos of texts and of pictures."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import quote

import jwt

from callsheet.domain.errors import (
    BadWebhook,
    ConfigurationError,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
)
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
from callsheet.providers.http.client import ProviderClient, ProviderResponse, redact_message, sanitize
from callsheet.providers.http.json_fields import as_object, text, url
from callsheet.providers.http.request_files import file_as_base64, replace_files
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.webhooks.signatures import read_json_object
from callsheet.settings import Settings

_NAME = "kling"
_STATES: Mapping[str, TaskState] = {
    "submitted": "queued",
    "processing": "running",
    "succeed": "succeeded",
    "failed": "failed",
}
_TOO_MANY = (1302, 1303)
"""Too fast, and more tasks at a time than the resource pack allows."""
_CENSORED = 1301
_UNKNOWN_TASK = 1203
_OF_THEIR_MACHINES = 5000
_ID = ("data", "task_id")
_KINDS = ("text2video", "image2video")
_LEAST_WAIT = 1.0
_LIFE = 1800
_CLOCKS_DIFFER = 5


def open_kling(settings: Settings) -> "Kling":
    """Return Kling by the settings. Raises ConfigurationError where a key is missing."""
    if settings.kling_access_key is None or settings.kling_secret_key is None:
        raise ConfigurationError("Kling needs KLING_ACCESS_KEY and KLING_SECRET_KEY")
    return Kling(settings, settings.kling_access_key.get_secret_value(), settings.kling_secret_key.get_secret_value())


class Kling(BaseProvider):
    """Models are plain words, as in `kling-v2-1`; with a picture, they make it move."""

    name = _NAME
    capabilities = Capabilities(
        webhook=True,
        retention=timedelta(days=30),
        inline_limit=10 * 2**20,
        quirks={
            "code": "2026-11: success is told by `code` 0, whatever the HTTP status",
            "parallel": "2026-11: more tasks than the resource pack allows are refused with code 1303, not queued",
            "unsigned": "2026-11: callbacks are not signed, and come at each change",
            "legacy": "2026-11: Kling's documentation calls this form of its API legacy",
            "mark": "2026-11: external_task_id is echoed; whether it can be asked for is not documented",
            "hosts": "2026-11: the hosts of its files are not documented, so that any public one is asked",
        },
    )
    hosts = None

    def __init__(self, settings: Settings, access_key: str, secret_key: str) -> None:
        async def keys() -> Mapping[str, str]:
            return {"Authorization": f"Bearer {_token(access_key, secret_key)}"}

        http = ProviderClient(_NAME, settings.kling_url, settings, keys=keys, at_once=settings.provider_concurrency)
        super().__init__(http, default_poll_policy(settings))

    async def submit(self, order: SubmitRequest) -> Task:
        """Create a task."""
        kind = _KINDS[bool({"image", "image_tail"} & set(order.input))]
        body = {"model_name": order.model, **await replace_files(order.input, self._file)}
        if order.webhook:
            body["callback_url"] = order.webhook
        if order.client_reference:
            body["external_task_id"] = order.client_reference
        answer = await self._http.submit("POST", f"/v1/videos/{kind}", names=_ID, json=body)
        self._refuse(answer)
        return self._task(answer, answer.at(*_ID), kind=kind)

    async def get_status(self, task: Task) -> TaskStatus:
        """Read a task, of whichever kind it is."""
        # Of a task that only its callback told of, the kind is not known.
        for kind in (task.handle["kind"],) if "kind" in task.handle else _KINDS:
            answer = await self._http.get("GET", f"/v1/videos/{kind}/{quote(task.id, safe='')}")
            if answer.status != 404 and answer.fields().get("code") != _UNKNOWN_TASK:
                return self._look(answer)
        return self._lost_status()

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:  # noqa: ARG002
        """Read a callback, which nothing proves but the address it came to."""
        fields = read_json_object(body)
        task_id, status = text(fields.get("task_id")), text(fields.get("task_status")) or ""
        if task_id is None:
            raise BadWebhook("The callback names no task.")
        return WebhookEvent(task_id, f"{task_id}:{status}", status)

    async def _file(self, file: InputFile) -> str:
        # Bare base64: a data URI is refused.
        return file.url or await file_as_base64(file, _NAME, self.capabilities.inline_limit)

    def _look(self, answer: ProviderResponse) -> TaskStatus:
        fields = self._http.json_object(answer)
        if fields.get("code") != 0:
            raise ProviderUnreachable(f"Kling answered code {fields.get('code')}: {sanitize(answer)}")
        return _look(as_object(fields.get("data")))

    def _refuse(self, answer: ProviderResponse) -> None:
        """Raise what a code other than 0 means for an order."""
        code = answer.fields().get("code")
        if code == 0:
            return
        if not isinstance(code, int) or code >= _OF_THEIR_MACHINES:
            self._http.raise_unreadable_submission(answer)
        self._http.raise_if_task_named(answer, *_ID)
        _refused(code, answer)


def _refused(code: int, answer: ProviderResponse) -> NoReturn:
    words = f"code {code}, {sanitize(answer)}"
    if code in _TOO_MANY:
        raise ProviderRateLimited(f"Kling is busy: {words}", retry_after=_LEAST_WAIT)
    facts = {"reason": "content_refused"} if code == _CENSORED else {}
    raise SubmissionRejected(f"Kling refused: {words}", providerCode=code, **facts)


def _token(access_key: str, secret_key: str) -> str:
    now = int(time.time())
    claims = {"iss": access_key, "exp": now + _LIFE, "nbf": now - _CLOCKS_DIFFER}
    return jwt.encode(claims, secret_key, algorithm="HS256", headers={"typ": "JWT"})


def _look(task: Mapping[str, Any]) -> TaskStatus:
    status = text(task.get("task_status")) or "unknown"
    state = _STATES.get(status, "running")
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, _outputs(as_object(task.get("task_result"))))
    if state == "failed":
        reason = text(task.get("task_status_msg")) or "Kling gave no reason."
        return TaskStatus(state, status, code=moderation_code(reason), message=redact_message(reason))
    return TaskStatus(state, status)


def _outputs(result: Mapping[str, Any]) -> tuple[Output, ...]:
    listed = [as_object(each) for each in (*_list(result.get("videos")), *_list(result.get("images")))]
    return tuple(Output(url=url) for url in (url(each.get("url")) for each in listed) if url is not None)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
