"""Scopes: what an API key or a user may do."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    """A part of what a client may do. `SCOPES` explains each one."""

    READ = "read"
    SUBMIT = "submit"
    OPERATE = "operate"
    ADMIN = "admin"


SCOPES: dict[Scope, str] = {
    Scope.READ: "Read executions, their jobs, events, logs and files, and the state of the installation.",
    Scope.SUBMIT: "Submit plans, upload files, and cancel and retry executions.",
    Scope.OPERATE: "Change queues, workers, stored plans and webhooks, decide approvals, release held submissions, and "
    "cancel and retry executions.",
    Scope.ADMIN: "Everything: also keys, users, sessions and the audit log.",
}
"""What each scope allows. `admin` includes the others, which do not include each other."""

EVERYTHING = frozenset(Scope)


def granted(scopes: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes that a list of scopes grants: `admin` grants all."""
    given = frozenset(map(Scope, scopes))
    return EVERYTHING if Scope.ADMIN in given else given
