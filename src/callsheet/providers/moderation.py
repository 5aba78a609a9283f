"""Whether a provider's words about a failure tell of its censor, where it has no code for that."""

import re

_CENSOR = re.compile(
    r"nsfw|sensitive|safety|moderat|content.{0,3}polic|usage guidelines|responsible ai|risk control|prohibited content",
    re.IGNORECASE,
)


def moderation_code(reason: str | None, default: str = "provider_failed") -> str:
    """Return `content_refused` for a reason that sounds like it."""
    return "content_refused" if reason is not None and _CENSOR.search(reason) else default
