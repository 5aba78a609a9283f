"""Short forms of execution ids: a prefix, or `last`."""

import re
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from callsheet.cli.errors import AmbiguousId
from callsheet.domain.errors import NotFound

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

ExecutionId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Id of the execution, the first 4 or more characters of it, or `last` for the newest one"
    ),
]
_MIN_LENGTH = 4
_SHOWN = 10


def find_execution_id(client: "ApiClient", text: str) -> str:
    """Return the complete id of the execution that a command-line argument names.

    Raises NotFound for an unknown id, and AmbiguousId with the matching executions for a prefix of several ids.
    """
    if text == "last":
        newest = client.get("/api/executions", limit=1)["executions"]
        if not newest:
            raise NotFound("There are no executions yet. Submit a plan with `callsheet submit PLAN`.")
        return str(newest[0]["executionId"])
    if _is_complete(text):
        return text
    if not re.fullmatch("[0-9a-fA-F-]*", text) or len(text.replace("-", "")) < _MIN_LENGTH:
        raise NotFound(
            f"'{text}' is not an execution id. Give the id, at least its first {_MIN_LENGTH} characters, or `last`; "
            "`callsheet executions list` prints the ids."
        )
    found = client.get("/api/executions", idPrefix=text, limit=_SHOWN + 1)["executions"]
    if not found:
        raise NotFound(f"There is no execution whose id starts with '{text}'.")
    if len(found) > 1:
        raise AmbiguousId(text, found[:_SHOWN], more=len(found) > _SHOWN)
    return str(found[0]["executionId"])


def _is_complete(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
