"""Replicate: predictions of models, versions and deployments."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable, SubmissionRejected, SubmissionUnknown
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import (
    Capabilities,
    InputFile,
    SubmitRequest,
    Task,
    TaskState,
    TaskStatus,
    WebhookEvent,
)
from callsheet.providers.http.client import ProviderClient, sanitize, static_headers
from callsheet.providers.http.json_fields import as_object, number, progress_in_text, text, url
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.webhooks.refreshing import RefreshingValue
from callsheet.providers.webhooks.signatures import read_json_object, verify_standard_webhook
from callsheet.settings import Settings

_NAME = "replicate"
_STATES: Mapping[str, TaskState] = {
    "starting": "queued",
    "processing": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "aborted": "failed",
    "canceled": "cancelled",
}
_DEPLOYMENT = "deployments/"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9a-f]{64}")
_A_SECOND = 8
"""600 orders a minute are allowed, with some room for others who use the account (2026-11)."""
_LOOKS_A_SECOND = 20
"""3,000 other requests a minute are allowed, among them those that collect what is done (2026-11)."""
_PAGES = 50
_CLOCKS_DIFFER = timedelta(minutes=2)

_CAPABILITIES = Capabilities(
    webhook=True,
    signed=True,
    cancel=True,
    progress=True,
    find_submission=True,
    retention=timedelta(hours=1),
    inline_limit=256 * 1024,
    quirks={
        "aborted": "2026-11: a deadline that passes before the start ends as `aborted`; it is not billed",
        "webhook_retries": "2026-11: the last delivery comes about a minute after the end, so that looks go on",
        "private_versions": "2026-11: official models tell their version as `hidden`",
    },
)


def open_replicate(settings: Settings) -> "Replicate":
    """Return Replicate by the settings. Raises ConfigurationError where the token is missing."""
    if settings.replicate_api_token is None:
        raise ConfigurationError("Replicate needs REPLICATE_API_TOKEN")
    return Replicate(settings, settings.replicate_api_token.get_secret_value())


class Replicate(BaseProvider):
    """Models are `owner/name`, `owner/name:version`, or `deployments/owner/name`."""

    name = _NAME
    capabilities = _CAPABILITIES
    hosts = frozenset({"replicate.delivery"})

    def __init__(self, settings: Settings, token: str) -> None:
        http = ProviderClient(
            _NAME,
            settings.replicate_url,
            settings,
            keys=static_headers(Authorization=f"Bearer {token}"),
            at_once=settings.provider_concurrency,
            submits_per_second=_A_SECOND,
        )
        super().__init__(http, default_poll_policy(settings, per_second=_LOOKS_A_SECOND))
        own = settings.replicate_webhook_secret
        self._secrets = RefreshingValue(self._ask_secret if own is None else _given(own.get_secret_value()))

    async def submit(self, order: SubmitRequest) -> Task:
        """Create a prediction."""
        path, named = _place(order)
        body: dict[str, Any] = {**named, "input": await encode_files(order.input, _NAME, _CAPABILITIES.inline_limit)}
        if order.webhook:
            body |= {"webhook": order.webhook, "webhook_events_filter": ["completed"]}
        deadline = {"Cancel-After": _duration(self.poll_policy.deadline)}
        answer = await self._http.submit("POST", path, json=body, headers=deadline)
        return self._task(answer, answer.fields().get("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Read a prediction."""
        answer = await self._http.get("GET", f"/v1/predictions/{quote(task.id, safe='')}")
        if answer.status == 404:
            return self._lost_status()
        return _look(self._http.json_object(answer))

    async def cancel(self, task: Task) -> None:
        """Cancel a prediction."""
        answer = await self._http.get("POST", f"/v1/predictions/{quote(task.id, safe='')}/cancel")
        if not answer.ok and answer.status not in (404, 409, 422):
            raise ProviderUnreachable(f"Replicate did not cancel the prediction: {sanitize(answer)}")

    async def find_submission(self, order: SubmitRequest, since: datetime, others: Collection[str] = ()) -> Task | None:
        """Look through the list of predictions for the one with this input."""
        found, doubtful = [], False
        async for listed in self._listed(since - _CLOCKS_DIFFER):
            if listed.get("id") in others:
                continue
            same = _is_of(order, listed)
            doubtful = doubtful or bool(listed.get("data_removed")) or same is None
            if same:
                found.append(listed)
        if len(found) == 1 and isinstance(found[0].get("id"), str):
            return Task(_NAME, found[0]["id"])
        if found:
            raise SubmissionUnknown(f"Replicate has {len(found)} predictions with the same input.", provider=_NAME)
        if doubtful:
            raise SubmissionUnknown(
                "Replicate does not tell, or has removed, what would tell its predictions apart.", provider=_NAME
            )
        return None

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Check and read a prediction that Replicate sends."""
        message_id = await self._secrets.verify(
            lambda secret: verify_standard_webhook(secret.split(), headers, body, now)
        )
        told_fields = read_json_object(body)
        return WebhookEvent(text(told_fields.get("id")), message_id, text(told_fields.get("status")) or "")

    async def _listed(self, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        after = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        path: str | None = f"/v1/predictions?{urlencode({'created_after': after})}"
        for _ in range(_PAGES):
            if path is None:
                return
            page = self._http.json_object(await self._http.get("GET", path))
            for listed in page.get("results") or ():
                yield as_object(listed)
            path = url(page.get("next"))
        raise SubmissionUnknown("Replicate has more predictions than are looked through.", provider=_NAME)

    async def _ask_secret(self) -> str:
        answer = await self._http.get("GET", "/v1/webhooks/default/secret")
        key = text(self._http.json_object(answer).get("key"))
        if key is None:
            raise ProviderUnreachable("Replicate did not tell the secret of its webhooks")
        return key


def _given(secret: str) -> Callable[[], Awaitable[str]]:
    async def load() -> str:
        return secret

    return load


def _place(order: SubmitRequest) -> tuple[str, dict[str, str]]:
    """Return the path that takes the order, and how the body names the model."""
    model, _, version = order.model.partition(":")
    version = order.version or version
    parts = model.removeprefix(_DEPLOYMENT).split("/")
    if len(parts) != 2 or not all(_WORD.fullmatch(part) for part in parts):
        raise SubmissionRejected(f"'{order.model}' is not a model at Replicate; they are called owner/name")
    if model.startswith(_DEPLOYMENT):
        return f"/v1/deployments/{parts[0]}/{parts[1]}/predictions", {}
    if version:
        return "/v1/predictions", {"version": version}
    return f"/v1/models/{parts[0]}/{parts[1]}/predictions", {}


def _look(prediction: Mapping[str, Any]) -> TaskStatus:
    status = text(prediction.get("status")) or "unknown"
    state = _STATES.get(status, "running")
    seconds = number(as_object(prediction.get("metrics")).get("predict_time"))
    if state == "succeeded" and prediction.get("data_removed") and not prediction.get("output"):
        return TaskStatus(
            "failed", status, code="output_expired", message="Replicate has removed the prediction's files."
        )
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, find_outputs(prediction.get("output")), seconds=seconds)
    if state == "failed" or _was_late(state, prediction):
        return _failed(status, prediction, seconds)
    return TaskStatus(state, status, progress_in_text(prediction.get("logs")), seconds=seconds)


def _failed(status: str, prediction: Mapping[str, Any], seconds: float | None) -> TaskStatus:
    reason = text(prediction.get("error"))
    if status != "failed":
        message = reason or "Replicate stopped the prediction, whose deadline had passed."
        return TaskStatus("failed", status, code="deadline", message=message, seconds=seconds)
    return TaskStatus(
        "failed", status, code=moderation_code(reason), message=reason or "Replicate gave no reason.", seconds=seconds
    )


def _was_late(state: TaskState, prediction: Mapping[str, Any]) -> bool:
    """Tell a deadline that passed while it ran from a cancellation that somebody asked for: both are `canceled`."""
    ended, deadline = _moment(prediction.get("completed_at")), _moment(prediction.get("deadline"))
    return state == "cancelled" and ended is not None and deadline is not None and ended >= deadline


def _is_of(order: SubmitRequest, listed: Mapping[str, Any]) -> bool | None:
    """Tell whether a prediction is the one that was ordered; None where it does not say what it was ordered of."""
    given = as_object(listed.get("input"))
    if not all(_is_same(value, given.get(name)) for name, value in order.input.items()):
        return False
    model, _, version = order.model.partition(":")
    version = order.version or version
    if model.startswith(_DEPLOYMENT):
        named = listed.get("deployment")
        return None if named is None else bool(named == model.removeprefix(_DEPLOYMENT))
    if not version:
        return bool(listed.get("model") == model)
    told_version = text(listed.get("version")) or ""
    if told_version == version.rpartition(":")[2]:
        return True
    # Official models hide their version.
    hidden = _VERSION.fullmatch(told_version) is None and listed.get("model") in (model, version)
    return None if hidden else False


def _is_same(ours: Any, theirs: Any) -> bool:
    """Compare a value of an input; files only by their presence, since their addresses change."""
    if isinstance(ours, InputFile):
        return isinstance(theirs, str)
    if isinstance(ours, Mapping):
        return isinstance(theirs, Mapping) and all(_is_same(value, theirs.get(name)) for name, value in ours.items())
    if isinstance(ours, list | tuple):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(_is_same, ours, theirs))
    return bool(ours == theirs)


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _duration(length: timedelta) -> str:
    minutes, seconds = divmod(max(int(length.total_seconds()), 5), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
