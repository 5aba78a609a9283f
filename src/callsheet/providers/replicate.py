"""Replicate: predictions of models, versions and deployments."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ProviderUnreachable, SubmissionRejected, SubmissionUnknown
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import (
    Capabilities,
    InputFile,
    ListedTask,
    SubmitRequest,
    Task,
    TaskState,
    TaskStatus,
    WebhookEvent,
)
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import as_object, number, progress_in_text, text, url
from callsheet.providers.http.redaction import sanitize
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.http.transport import ClientLimits, static_headers
from callsheet.providers.key_check import FreeRequest
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.providers.webhooks.refreshing import RefreshingValue
from callsheet.providers.webhooks.signatures import read_json_object, verify_standard_webhook
from callsheet.settings import Settings

_STATES: Mapping[str, TaskState] = {
    "starting": "queued",
    "processing": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    # The deadline passed before the start; it is not billed (2026-11).
    "aborted": "failed",
    "canceled": "cancelled",
}
_DEPLOYMENT = "deployments/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9a-f]{64}")
_SUBMITS_PER_SECOND = 8
"""600 submissions per minute are allowed (2026-11); the rest is left to other users of the account."""
_POLLS_PER_SECOND = 20
"""3,000 other requests per minute are allowed, downloads included (2026-11)."""
_MAX_PAGES = 50
_CLOCK_TOLERANCE = timedelta(minutes=2)


class ReplicateSettings(ProviderSettings):
    """Settings of Replicate."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_REPLICATE_")

    api_token: SecretStr = Field(
        validation_alias=AliasChoices("CALLSHEET_REPLICATE_API_TOKEN", "REPLICATE_API_TOKEN"),
        description="API token of Replicate",
    )
    url: str = Field("https://api.replicate.com", description="Base URL of the API of Replicate")
    webhook_secret: SecretStr | None = Field(
        None, description="Signing secret of Replicate's webhooks; unset: requested from Replicate on first use"
    )


class Replicate(BaseProvider):
    """Replicate. Model names are `owner/name`, `owner/name:version`, or `deployments/owner/name`.

    The last webhook delivery can arrive about a minute after the end (2026-11); polling continues beside webhooks.
    """

    name = "replicate"
    settings_class = ReplicateSettings
    capabilities = Capabilities(
        webhook=True,
        signed=True,
        cancel=True,
        progress=True,
        find_submission=True,
        list_tasks=True,
        retention=timedelta(hours=1),
        inline_limit=256 * 1024,
    )
    file_hosts = frozenset({"replicate.delivery"})

    def __init__(self, settings: Settings, replicate: ReplicateSettings) -> None:
        http = ProviderClient(
            self.name,
            ProviderHosts(replicate.url),
            settings,
            auth=static_headers(Authorization=f"Bearer {replicate.api_token.get_secret_value()}"),
            limits=ClientLimits(submits_per_second=_SUBMITS_PER_SECOND),
        )
        super().__init__(http, default_poll_policy(settings, per_second=_POLLS_PER_SECOND))
        secret = replicate.webhook_secret
        self._webhook_secrets = RefreshingValue(
            self._load_secret if secret is None else _constant(secret.get_secret_value())
        )

    def free_request(self, model: str | None) -> FreeRequest | None:  # noqa: ARG002
        """Return the request that reads the account."""
        return FreeRequest("GET", "/v1/account")

    async def submit(self, request: SubmitRequest) -> Task:
        """Create a prediction."""
        path, body = _endpoint(request)
        body["input"] = await encode_files(request.input, self.name, self.capabilities.inline_limit)
        if request.webhook:
            body |= {"webhook": request.webhook, "webhook_events_filter": ["completed"]}
        headers = {"Cancel-After": _duration(self.poll_policy.deadline)}
        response = await self._http.submit("POST", path, json=body, headers=headers)
        return self._task(response, response.at("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a prediction."""
        response = await self._http.get("GET", f"/v1/predictions/{quote(task.id, safe='')}")
        if response.status == 404:
            return self._lost_status()
        return _status(self._http.json_object(response))

    async def cancel(self, task: Task) -> None:
        """Cancel a prediction."""
        response = await self._http.get("POST", f"/v1/predictions/{quote(task.id, safe='')}/cancel")
        if not response.ok and response.status not in (404, 409, 422):
            raise ProviderUnreachable(f"Replicate did not cancel the prediction: {sanitize(response)}")

    async def find_submission(
        self, request: SubmitRequest, since: datetime, others: Collection[str] = ()
    ) -> Task | None:
        """Search the list of predictions for the one with the model and input of the request."""
        matches, inconclusive = [], False
        async for prediction in self._list_predictions(since - _CLOCK_TOLERANCE):
            if prediction.get("id") in others:
                continue
            match = _matches(request, prediction)
            # A prediction whose input was removed or whose model is hidden can be the one: never report "not found".
            inconclusive = inconclusive or bool(prediction.get("data_removed")) or match is None
            if match:
                matches.append(prediction)
        if len(matches) == 1 and isinstance(matches[0].get("id"), str):
            return Task(self.name, matches[0]["id"])
        if matches:
            message = f"Replicate has {len(matches)} predictions with the same input."
            raise SubmissionUnknown(message, provider=self.name)
        if inconclusive:
            message = "Replicate hides or has removed data that is needed to distinguish its predictions."
            raise SubmissionUnknown(message, provider=self.name)
        return None

    async def list_tasks(self, since: datetime) -> Sequence[ListedTask]:
        """Return the predictions of the account."""
        return [
            ListedTask(
                id,
                text(prediction.get("model")),
                text(prediction.get("status")) or "unknown",
                _parse_time(prediction.get("created_at")),
            )
            async for prediction in self._list_predictions(since)
            if (id := text(prediction.get("id"))) is not None
        ]

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify and parse a webhook, which contains the prediction."""
        message_id = await self._webhook_secrets.verify(
            lambda secret: verify_standard_webhook(secret.split(), headers, body, now)
        )
        prediction = read_json_object(body)
        return WebhookEvent(text(prediction.get("id")), message_id, text(prediction.get("status")) or "")

    async def _list_predictions(self, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        after = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        path: str | None = f"/v1/predictions?{urlencode({'created_after': after})}"
        for _ in range(_MAX_PAGES):
            if path is None:
                return
            page = self._http.json_object(await self._http.get("GET", path))
            for prediction in page.get("results") or ():
                yield as_object(prediction)
            path = url(page.get("next"))
        raise SubmissionUnknown(f"Replicate lists more than {_MAX_PAGES} pages of predictions.", provider=self.name)

    async def _load_secret(self) -> str:
        response = await self._http.get("GET", "/v1/webhooks/default/secret")
        key = text(self._http.json_object(response).get("key"))
        if key is None:
            raise ProviderUnreachable("Replicate returned no webhook secret")
        return key


def _constant(secret: str) -> Callable[[], Awaitable[str]]:
    async def load() -> str:
        return secret

    return load


def _endpoint(request: SubmitRequest) -> tuple[str, dict[str, Any]]:
    """Return the path of the submission, and the field of its body that identifies the model, if any."""
    model, _, version = request.model.partition(":")
    version = request.version or version
    parts = model.removeprefix(_DEPLOYMENT).split("/")
    if len(parts) != 2 or not all(_NAME.fullmatch(part) for part in parts):
        raise SubmissionRejected(f"'{request.model}' is not a model name of Replicate; the form is owner/name")
    if model.startswith(_DEPLOYMENT):
        return f"/v1/deployments/{parts[0]}/{parts[1]}/predictions", {}
    if version:
        return "/v1/predictions", {"version": version}
    return f"/v1/models/{parts[0]}/{parts[1]}/predictions", {}


def _status(prediction: Mapping[str, Any]) -> TaskStatus:
    status = text(prediction.get("status")) or "unknown"
    state = _STATES.get(status, "running")
    seconds = number(as_object(prediction.get("metrics")).get("predict_time"))
    if state == "succeeded" and prediction.get("data_removed") and not prediction.get("output"):
        message = "Replicate has deleted the files of the prediction."
        return TaskStatus("failed", status, code="output_expired", message=message)
    if state == "succeeded":
        return TaskStatus(state, status, 1.0, find_outputs(prediction.get("output")), seconds=seconds)
    if state == "failed" or _deadline_passed(state, prediction):
        return _failed_status(status, prediction, seconds)
    return TaskStatus(state, status, progress_in_text(prediction.get("logs")), seconds=seconds)


def _failed_status(status: str, prediction: Mapping[str, Any], seconds: float | None) -> TaskStatus:
    reason = text(prediction.get("error"))
    if status != "failed":
        message = reason or "Replicate stopped the prediction at its deadline."
        return TaskStatus("failed", status, code="deadline", message=message, seconds=seconds)
    message = reason or "Replicate gave no reason."
    return TaskStatus("failed", status, code=moderation_code(reason), message=message, seconds=seconds)


def _deadline_passed(state: TaskState, prediction: Mapping[str, Any]) -> bool:
    """Return whether a cancelled prediction reached its deadline; a requested cancellation is `canceled` as well."""
    ended, deadline = _parse_time(prediction.get("completed_at")), _parse_time(prediction.get("deadline"))
    return state == "cancelled" and ended is not None and deadline is not None and ended >= deadline


def _matches(request: SubmitRequest, prediction: Mapping[str, Any]) -> bool | None:
    """Return whether a prediction belongs to the request; None where its model or deployment is not shown."""
    given = as_object(prediction.get("input"))
    if not all(_same_value(value, given.get(name)) for name, value in request.input.items()):
        return False
    model, _, version = request.model.partition(":")
    version = request.version or version
    if model.startswith(_DEPLOYMENT):
        deployment = prediction.get("deployment")
        return None if deployment is None else bool(deployment == model.removeprefix(_DEPLOYMENT))
    if not version:
        return bool(prediction.get("model") == model)
    shown_version = text(prediction.get("version")) or ""
    if shown_version == version.rpartition(":")[2]:
        return True
    # Official models show the version `hidden` (2026-11).
    hidden = _VERSION.fullmatch(shown_version) is None and prediction.get("model") in (model, version)
    return None if hidden else False


def _same_value(ours: Any, theirs: Any) -> bool:
    """Compare a value of an input. Any text equals a file, because the URL of a file changes."""
    if isinstance(ours, InputFile):
        return isinstance(theirs, str)
    if isinstance(ours, Mapping):
        return isinstance(theirs, Mapping) and all(_same_value(value, theirs.get(name)) for name, value in ours.items())
    if isinstance(ours, list | tuple):
        return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(_same_value, ours, theirs))
    return bool(ours == theirs)


def _parse_time(value: Any) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed if parsed is None or parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _duration(length: timedelta) -> str:
    minutes, seconds = divmod(max(int(length.total_seconds()), 5), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
