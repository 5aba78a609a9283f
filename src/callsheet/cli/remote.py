"""The client of the commands: `SyncClient`, with messages on stderr and plain JSON."""

from typing import Any

from callsheet.cli.printing import say
from callsheet.client.sync_client import SyncClient


class ApiClient(SyncClient):
    """Client of a running server that also returns responses as they are, for the output `--json`."""

    def get(self, path: str, **query: Any) -> Any:
        """Send GET and return the JSON of the response."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.request("GET", path, params=given)

    def post(self, path: str, body: Any = None) -> Any:
        """Send POST with JSON and return the JSON of the response."""
        return self.request("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        """Send PUT with JSON and return the JSON of the response."""
        return self.request("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Send DELETE and return the JSON of the response."""
        return self.request("DELETE", path)

    def patch(self, path: str, body: Any) -> Any:
        """Send PATCH with JSON and return the JSON of the response."""
        return self.request("PATCH", path, json=body)


def connect(url: str | None, api_key: str | None) -> ApiClient:
    """Return a client. What is None comes from the settings: `CALLSHEET_URL`, `CALLSHEET_API_KEY`.

    Raises ConfigurationError for settings that cannot be read, and for a key that cannot be sent.
    """
    return ApiClient(url, api_key, on_retry=say)
