"""Logging: to stderr, colored text for terminals or JSON for machines, with secrets redacted."""

import logging
import os
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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
_SECRET_HINT = re.compile(
    r"://|[?&][\w-]+=|bearer|basic|authorization|cookie|whsec_|key|passw|secret|token", re.IGNORECASE
)
"""Found in every text that contains a secret. One search of it is cheaper than all replacements."""


def configure_logging(level: str = "info", *, as_json: bool = False) -> None:
    """Send the log lines of Callsheet and of its libraries to stderr, from `level` upward."""
    number = getattr(logging, level.upper())
    # The logs of jobs contain lines from `info` upward, also when this log does not.
    logger_level = min(number, logging.INFO)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[Processor] = [
        structlog.processors.format_exc_info,
        redact_event,
        structlog.processors.JSONRenderer() if as_json else _console_renderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logger_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _StderrHandler()
    handler.setLevel(number)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logger_level)
    for noisy in ("alembic", "asyncio", "httpx2", "httpcore2", "PIL", "watchfiles"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))


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
    """Redact secrets in a log event: values with the name of a secret, and secrets inside texts."""
    return {name: _REDACTED if _SECRET_NAMES.search(name) else _redact(value) for name, value in event.items()}


def redact_secrets(text: str) -> str:
    """Return a text with its passwords, keys and signatures replaced. A long text is cut."""
    if len(text) > _MAX_CHARACTERS:
        head = redact_secrets(text[:_MAX_CHARACTERS])[:-_CUT_MARGIN]
        return f"{head}… [{len(text):,} characters]"
    if not _SECRET_HINT.search(text):
        return text
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def _redact(value: object) -> object:
    if isinstance(value, dict):
        return redact_event(None, "", {str(key): inner for key, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(inner) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return redact_secrets(str(value))


def _console_renderer() -> Processor:
    # Not the default formatter, which prints the values of local variables: they can be parts of requests.
    return structlog.dev.ConsoleRenderer(
        colors=_supports_color(sys.stderr), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )


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
