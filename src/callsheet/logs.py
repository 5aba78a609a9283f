"""Where log lines go and how they look: stderr, in colour for people, as JSON for machines, without secrets."""

import logging
import os
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_HIDDEN = "[hidden]"

_SECRET_NAMES = re.compile(
    r"authorization|cookie|password|passwd|secret|token|api_?key|access_?key|signing_?key|credential", re.IGNORECASE
)
_SECRET_TEXTS = [
    (re.compile(look, re.IGNORECASE), shown)
    for look, shown in [
        # The password of a database address, and of any other.
        (r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", rf"\1{_HIDDEN}"),
        # What signs a URL.
        (r"([?&](?:sig|signature|token|key|api_?key|X-Amz-[\w-]+)=)[^&\s\"'<>]+", rf"\1{_HIDDEN}"),
        (r"\b(Bearer|Basic)\s+[\w.~+/=-]{4,}", rf"\1 {_HIDDEN}"),
        (r"\b(authorization|(?:set-)?cookie)(['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+", rf"\1\2{_HIDDEN}"),
        (r"\bwhsec_[\w+/=]+", _HIDDEN),
    ]
]


def configure_logging(level: str = "info", *, as_json: bool = False) -> None:
    """Send the log lines of Callsheet and of what it stands on to stderr, from `level` upward."""
    number = getattr(logging, level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact_event,
                structlog.processors.JSONRenderer() if as_json else _for_people(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for noisy in ("alembic", "asyncio", "httpx2", "httpcore2", "PIL"):
        logging.getLogger(noisy).setLevel(max(number, logging.WARNING))


def use_host_logging() -> None:
    """Hand log lines to the standard `logging`, unless the program that uses Callsheet has set up structlog."""
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
    """Replace whatever opens a door: by the name it goes by, and by its look inside texts."""
    return {name: _HIDDEN if _SECRET_NAMES.search(name) else _cleaned(value) for name, value in event.items()}


def redact_secrets(text: str) -> str:
    """Return a text without the passwords, keys and signatures in it."""
    for look, shown in _SECRET_TEXTS:
        text = look.sub(shown, text)
    return text


def _cleaned(value: object) -> object:
    if isinstance(value, dict):
        return redact_event(None, "", {str(key): inner for key, inner in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(inner) for inner in value]
    if value is None or isinstance(value, int | float):
        return value
    return redact_secrets(str(value))


def _for_people() -> Processor:
    return structlog.dev.ConsoleRenderer(colors=_in_colour(sys.stderr), pad_event_to=0)


def _in_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is at the moment: progress bars stand in for it while they are drawn."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr
