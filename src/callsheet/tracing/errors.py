"""Error reports to Sentry, or a server with its protocol: needs the extra `sentry`.

What is logged as an error is sent: the exception with its frames, without values of variables, and the ids of the log
line. Nothing of requests is sent. Secrets are redacted as in the log, and every secret of the settings by its value.
"""

import logging
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

import sentry_sdk
from sentry_sdk.utils import event_from_exception

from callsheet.logs import redact_event, redact_secrets

_TAGS = ("execution", "job", "job_id", "operation", "queue", "provider", "code", "request_id", "incident", "trace_id")
"""Facts of a log line by which errors can be searched."""
_LEFT_OUT = {"event", "level", "timestamp", "exc_info", "exception"}
_TIMEOUT = 2.0
_MIN_SECRET = 6
"""Characters. A shorter secret would be found in ordinary words."""


class ErrorReporter(logging.Handler):
    """Sends the errors of the log."""

    def __init__(self, dsn: str, *, environment: str | None, secrets: Iterable[str]) -> None:
        super().__init__(logging.ERROR)
        self._secrets = sorted((each for each in secrets if len(each) >= _MIN_SECRET), key=len, reverse=True)
        self._client = sentry_sdk.Client(
            dsn=dsn,
            release=f"callsheet@{version('callsheet')}",
            environment=environment,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            include_source_context=False,
            max_breadcrumbs=0,
            max_request_body_size="never",
            auto_session_tracking=False,
            before_send=self._without_secrets,
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. Records of the client itself are not sent."""
        if record.name.startswith(("sentry_sdk", "urllib3")):
            return
        event, hint = self._event(record)
        self._client.capture_event(event, hint=hint)

    def close(self) -> None:
        """Send what is left, for up to 2 seconds."""
        self._client.close(timeout=_TIMEOUT)
        super().close()

    def _event(self, record: logging.LogRecord) -> tuple[Any, Any]:
        facts: dict[str, Any] = record.msg if isinstance(record.msg, dict) else {"event": record.getMessage()}
        error = facts.get("exc_info") or record.exc_info
        event: Any = {}
        hint: Any = None
        if isinstance(error, BaseException) or (isinstance(error, tuple) and error[0] is not None):
            event, hint = event_from_exception(error, client_options=self._client.options)
        shown = redact_event(None, "", {name: value for name, value in facts.items() if name not in _LEFT_OUT})
        tags = {name: str(shown[name]) for name in _TAGS if name in shown}
        return {
            **event,
            "level": "fatal" if record.levelno >= logging.CRITICAL else "error",
            "logger": record.name or "callsheet",
            "logentry": {"message": redact_secrets(str(facts.get("event", "")))},
            "tags": tags,
            "extra": {name: value for name, value in shown.items() if name not in tags},
        }, hint

    def _without_secrets(self, event: Any, _hint: Any) -> Any:
        return self._redacted(event)

    def _redacted(self, value: Any) -> Any:
        if isinstance(value, str):
            text = redact_secrets(value)
            for secret in self._secrets:
                text = text.replace(secret, "[hidden]")
            return text
        if isinstance(value, dict):
            return {name: self._redacted(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(each) for each in value]
        return value
