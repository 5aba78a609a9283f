"""Logging: to stderr, colored text for terminals or JSON for machines, with secrets redacted."""

import json
import logging
import os
import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from callsheet.domain.plain_text import plain_text
from callsheet.tracing import current_trace_id

_REDACTED = "[hidden]"

_MAX_CHARACTERS = 32_000
"""A longer text is cut, so that no value from outside makes a log line large or slow."""
_CUT_MARGIN = 4_000
"""Characters before the cut that are dropped as well: a secret that the cut divides is not recognized."""

_SECRET_NAMES = re.compile(
    r"authorization|cookie|password|passwd|secret|token|api_?key|access_?key|signing_?key|credential", re.IGNORECASE
)
_PLACEHOLDER = r"(?:…|\.\.\.|<[\w -]+>|(?-i:\$[A-Z_]+|\$\{[A-Z_]+\})|\[hidden\])(?=[\s`'\".,;)]|$)"
"""What advice shows in the place of a secret: `Authorization: Bearer …`."""
_SECRET_TEXTS = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in [
        # The password in a URL, for example of a database.
        (r"(://[^\s:/@]*:)(?!(?-i:PASSWORD)@)[^\s@/]+(?=@)", rf"\1{_REDACTED}"),
        # Signatures and keys in the query of a URL.
        (r"([?&](?:sig|signature|token|key|api_?key|X-Amz-[\w-]+)=)[^&\s\"'<>]+", rf"\1{_REDACTED}"),
        (rf"\b(Bearer|Basic)\s++(?!{_PLACEHOLDER})[\w.~+/=-]{{4,}}", rf"\1 {_REDACTED}"),
        (
            rf"\b(authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*+['\"]?+)"
            rf"(?!(?:(?:Bearer|Basic)\s++)?+{_PLACEHOLDER})[^\r\n'\"]+",
            rf"\1\2{_REDACTED}",
        ),
        (r"\bwhsec_[\w+/=]+", _REDACTED),
        (r"\b((?:api|access|secret)[_-]?key|password|passwd|secret|token)=[^\s&'\",;)]+", rf"\1={_REDACTED}"),
        (
            r"(['\"](?:\w*(?:api|access|secret)[_-]?key|password|secret|token)['\"]\s*:\s*['\"])[^'\"]+",
            rf"\1{_REDACTED}",
        ),
    ]
]
_SECRET_HINT = re.compile(r"://|=|bearer|basic|authorization|cookie|whsec_|key|passw|secret|token")
"""Found in every text that contains a secret, in lower case. One search of it is cheaper than all replacements."""


def configure_logging(level: str = "info", *, as_json: bool = False) -> None:
    """Send the log lines of Callsheet and of its libraries to stderr, from `level` upward."""
    number = getattr(logging, level.upper())
    # The logs of jobs contain lines from `info` upward, also when this log does not.
    logger_level = min(number, logging.INFO)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_trace_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [
        structlog.processors.format_exc_info,
        redact_event,
        structlog.processors.JSONRenderer(_json_text) if as_json else _text_renderer(),
    ]
    structlog.configure(
        processors=[*shared, _pass_to_logger],
        wrapper_class=structlog.make_filtering_bound_logger(logger_level),
        logger_factory=_EventLogger,
        cache_logger_on_first_use=True,
    )
    handler = _StderrHandler()
    handler.setLevel(number)
    handler.setFormatter(_LineFormatter(shared, rendering))
    # Facts that no line shows: finding them takes longer than the rest of a record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logger_level)
    for noisy in ("alembic", "asyncio", "httpx2", "httpcore2", "PIL", "watchfiles"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))


def _add_trace_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if (trace_id := current_trace_id()) is not None:
        event["trace_id"] = trace_id
    return event


def use_host_logging() -> None:
    """Send log lines to the standard `logging`, unless the host program has configured structlog."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.processors.format_exc_info,
                redact_event,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
            wrapper_class=structlog.stdlib.BoundLogger,
            logger_factory=structlog.stdlib.LoggerFactory(),
        )


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact secrets in a log event, by the names of values and inside texts, and remove control characters."""
    return {name: _REDACTED if _is_secret(name) else _redact(value) for name, value in event.items()}


def redact_secrets(text: str) -> str:
    """Return a text with its passwords, keys and signatures replaced. A long text is cut."""
    if len(text) > _MAX_CHARACTERS:
        head = redact_secrets(text[:_MAX_CHARACTERS])[:-_CUT_MARGIN]
        return f"{head}… [{len(text):,} characters]"
    if not _SECRET_HINT.search(text.casefold()):
        return text
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(1000)
def _is_secret(name: str) -> bool:
    """Return whether a value with this name is a secret. Cached: most lines have the same few names."""
    return _SECRET_NAMES.search(name) is not None


def _redact(value: object) -> object:
    if isinstance(value, str):
        return plain_text(redact_secrets(value))
    if isinstance(value, dict):
        return redact_event(None, "", {str(key): inner for key, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(inner) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return plain_text(redact_secrets(str(value)))


def _json_text(event: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=repr).decode()
    except TypeError:  # large integers, and halves of surrogate pairs
        return json.dumps(event, default=repr)


def _text_renderer() -> Processor:
    if _supports_color(sys.stderr):
        # Not the default formatter, which prints the values of local variables: they can be parts of requests.
        return structlog.dev.ConsoleRenderer(
            colors=True, pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    return _plain_line


_NEEDS_QUOTES = re.compile(r"[\s=\"']")


def _plain_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return the line that structlog's ConsoleRenderer writes without colors, in a tenth of its time."""
    head = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event')}"
    traces = [event.pop(name) for name in ("stack", "exception") if name in event]
    line = " ".join([head, *(f"{name}={_quoted(event[name])}" for name in sorted(event))])
    return "\n".join([line, *traces])


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text) if isinstance(value, str) and _NEEDS_QUOTES.search(text) else text


def _supports_color(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, as progress bars replace it while they are displayed."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        # What a job prints goes to the log of the job; the log of the process does not.
        return getattr(sys.stderr, "original", sys.stderr)


class _EventLogger:
    """Turns the events of structlog into log records, without `logging`'s search for the line that logs."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._root = logging.getLogger()

    def debug(self, event: EventDict) -> None:
        self._handle(logging.DEBUG, event)

    def info(self, event: EventDict) -> None:
        self._handle(logging.INFO, event)

    def warning(self, event: EventDict) -> None:
        self._handle(logging.WARNING, event)

    def error(self, event: EventDict) -> None:
        self._handle(logging.ERROR, event)

    def critical(self, event: EventDict) -> None:
        self._handle(logging.CRITICAL, event)

    def _handle(self, level: int, event: EventDict) -> None:
        self._root.handle(_EventRecord(self._name, level, "", 0, event, (), None))


class _EventRecord(logging.LogRecord):
    """A log record whose message is an event of structlog."""

    msg: Any


def _pass_to_logger(_logger: WrappedLogger, _method: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, Any]]:
    return (event,), {}


class _LineFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders events of structlog, and the records of other libraries."""

    def __init__(self, for_others: Sequence[Processor], rendering: Sequence[Processor]) -> None:
        super().__init__(foreign_pre_chain=for_others, processors=[self.remove_processors_meta, *rendering])
        self._rendering = rendering

    def format(self, record: logging.LogRecord) -> str:
        if not isinstance(record, _EventRecord):
            return super().format(record)
        # A copy: other handlers get the same event.
        event = dict(record.msg)
        for render in self._rendering:
            event = render(None, record.levelname.lower(), event)  # type: ignore[assignment]
        return str(event)
