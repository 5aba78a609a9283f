"""Texts for an agent: errors that say what to correct, and texts from outside, cut and without secrets."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import CallsheetError, ProblemList, Unauthorized
from callsheet.domain.validation_messages import plain_message, shown_value
from callsheet.logs import redact_secrets

_MAX_CHARACTERS = 2_000
_MAX_NAME = 100


def outside_text(text: str | None, *, limit: int = _MAX_CHARACTERS) -> str | None:
    """Return a text of a file, a program or a provider, cut to `limit` characters, with secrets hidden."""
    if text is None:
        return None
    clean = redact_secrets(text)
    return clean if len(clean) <= limit else f"{clean[:limit]}… [{len(clean):,} characters]"


def error_text(error: CallsheetError) -> str:
    """Return the message of an error with its code, and every problem with the path of its field."""
    lines = [f"{error.code}: {error.message}"]
    if isinstance(error, ProblemList):
        lines += [f"  {problem!r}" for problem in error.problems]
    if isinstance(error, Unauthorized):
        lines.append("  The person who runs `callsheet mcp` must set CALLSHEET_API_KEY to the key of the server.")
    return redact_secrets("\n".join(lines))


def argument_error_text(tool: str, error: ValidationError, allowed: Sequence[str]) -> str:
    """Return one line for each argument that does not fit: its name, what is allowed, and what was given."""
    return "\n".join([f"bad_arguments: {tool} was not called.", *dict.fromkeys(_argument_lines(error, allowed))])


def _argument_lines(error: ValidationError, allowed: Sequence[str]) -> Iterator[str]:
    for item in error.errors(include_url=False):
        name = ".".join(map(str, item["loc"]))[:_MAX_NAME]
        if item["type"] == "extra_forbidden":
            similar = did_you_mean(name, allowed)
            yield f"  {name}: unknown argument{similar}; allowed: {', '.join(allowed) or 'none'}"
        else:
            given = "" if item["type"] == "missing" else f"; given: {shown_value(item['input'])}"
            yield redact_secrets(f"  {name}: {plain_message(item)}{given}")
