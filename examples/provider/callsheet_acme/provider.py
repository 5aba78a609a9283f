"""Adapter of Acme, a provider of videos."""

from collections.abc import Mapping
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from callsheet.domain.errors import ProviderUnreachable
from callsheet.providers.base import BaseProvider
from callsheet.providers.contract import Capabilities, SubmitRequest, Task, TaskState, TaskStatus
from callsheet.providers.http.client import ProviderClient
from callsheet.providers.http.hosts import ProviderHosts
from callsheet.providers.http.json_fields import fraction, text
from callsheet.providers.http.redaction import redact_message, sanitize
from callsheet.providers.http.request_files import encode_files
from callsheet.providers.http.response_files import find_outputs
from callsheet.providers.http.transport import static_headers
from callsheet.providers.moderation import moderation_code
from callsheet.providers.poll_policy import default_poll_policy
from callsheet.providers.settings import ProviderSettings
from callsheet.settings import Settings

_STATES: Mapping[str, TaskState] = {
    "queued": "queued",
    "done": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}


class AcmeSettings(ProviderSettings):
    """Settings of Acme."""

    model_config = SettingsConfigDict(env_prefix="CALLSHEET_ACME_")

    api_key: SecretStr = Field(description="API key of Acme")
    url: str = Field("https://api.acme.example", description="Base URL of the API of Acme")


class Acme(BaseProvider):
    """Acme. Model names are plain: `clip-1`."""

    name = "acme"
    settings_class = AcmeSettings
    capabilities = Capabilities(cancel=True, progress=True, inline_limit=2**20)

    def __init__(self, settings: Settings, acme: AcmeSettings) -> None:
        auth = static_headers(Authorization=f"Bearer {acme.api_key.get_secret_value()}")
        http = ProviderClient(self.name, ProviderHosts(acme.url), settings, auth=auth)
        super().__init__(http, default_poll_policy(settings))

    async def submit(self, request: SubmitRequest) -> Task:
        """Create a task."""
        given = await encode_files(request.input, self.name, self.capabilities.inline_limit)
        response = await self._http.submit("POST", "/v1/tasks", json={"model": request.model, "input": given})
        return self._task(response, response.at("id"))

    async def get_status(self, task: Task) -> TaskStatus:
        """Return the status of a task."""
        response = await self._http.get("GET", f"/v1/tasks/{quote(task.id, safe='')}")
        if response.status == 404:
            return self._lost_status()
        fields = self._http.json_object(response)
        status = text(fields.get("status")) or "unknown"
        state = _STATES.get(status, "running")
        if state == "succeeded":
            return TaskStatus(state, status, 1.0, find_outputs(fields.get("files")))
        if state == "failed":
            reason = text(fields.get("error")) or "Acme gave no reason."
            return TaskStatus(state, status, code=moderation_code(reason), message=redact_message(reason))
        return TaskStatus(state, status, fraction(fields.get("progress")))

    async def cancel(self, task: Task) -> None:
        """Cancel a task."""
        response = await self._http.get("POST", f"/v1/tasks/{quote(task.id, safe='')}/cancel")
        if not response.ok and response.status not in (404, 409):
            raise ProviderUnreachable(f"Acme did not cancel the task: {sanitize(response)}")
