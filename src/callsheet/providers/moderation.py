"""Detection of content moderation in error messages of providers that have no error code for it."""

import re

_MODERATION = re.compile(
    r"nsfw|sensitive|safety|moderat|content.{0,3}polic|usage guidelines|responsible ai|risk control|prohibited content",
    re.IGNORECASE,
)


def moderation_code(reason: str | None, default: str = "provider_failed") -> str:
    """Return `content_refused` for an error message about content moderation, else `default`."""
    return "content_refused" if reason is not None and _MODERATION.search(reason) else default
