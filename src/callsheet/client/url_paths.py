"""Names and ids as parts of URL paths: they name one thing, and never lead to another route."""

from urllib.parse import quote

from callsheet.domain.errors import BadInput

_SHOWN = 100
"""Characters of an argument in a message."""


def path_part(argument: str, text: str, *, slashes: bool = False) -> str:
    """Return the text of an argument, encoded for a URL path. With `slashes`, it may consist of several parts.

        path_part("name", "my render")  # my%20render

    Raises BadInput for an empty text, for the parts `.` and `..`, which clients of HTTP resolve, and for characters
    that no name has.
    """
    parts = text.split("/") if slashes else [text]
    if any(part in {"", ".", ".."} for part in parts) or not text.isprintable():
        given = text[:_SHOWN].encode("ascii", "backslashreplace").decode()
        raise BadInput(
            f"{argument}: must be a name, without control characters and the parts '.' and '..'; given: '{given}'"
        )
    return quote(text, safe="/" if slashes else "")
