"""Signed links to the pages of approvals. They need no API key, and expire with the deadline."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from callsheet.files.signed_urls import sign_path, verify_path

SignApproval: TypeAlias = Callable[[UUID, datetime], str]
"""Returns the signed link to an approval with a deadline."""


def approval_link(key: bytes, base_url: str, approval_id: UUID, deadline: datetime) -> str:
    """Return the signed link to the page of an approval, valid until its deadline, in whole seconds after it."""
    path = _path(approval_id)
    return f"{base_url.rstrip('/')}{path}{sign_path(key, path, expires=deadline + timedelta(seconds=1))}"


def verify_approval_link(key: bytes, approval_id: UUID, *, expires: str, sig: str) -> None:
    """Verify the query parameters of a link. Raises Unauthorized with the reason `forged` or `expired`."""
    verify_path(key, _path(approval_id), expires=expires, sig=sig)


def _path(approval_id: UUID) -> str:
    return f"/approvals/{approval_id}"
