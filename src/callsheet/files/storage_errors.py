"""Translates errors of the object store to Callsheet's errors.

The store's messages contain addresses, request headers and sometimes session tokens. None of that is passed on.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from callsheet.domain.errors import (
    BadSource,
    CallsheetError,
    DiskFull,
    NotFound,
    StorageRejected,
    StorageUnreachable,
)
from callsheet.files.atomic_write import DISK_FULL_ERRNOS

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"(?:<Code>|\(code: )(\w{1,64})")
"""In the body of an error response, or of a key in the response to a deletion of several keys, whose status is 200."""
_ERROR_KIND = re.compile(r"kind: (Timeout|Connect|Interrupted|Decode)\b")

_REASONS = (
    ("dns error", "its host name is unknown"),
    ("failed to lookup address", "its host name is unknown"),
    ("certificate", "its certificate is not trusted"),
    ("Connection refused", "the connection was refused"),
    ("Connection reset", "the connection was reset"),
    ("BadScheme", "its URL must start with https:// or http://"),
    ("TimedOut", "it did not respond in time"),
)
_CODES = {
    "AuthorizationHeaderMalformed": "the region is wrong",
    "ExpiredToken": "the access token has expired",
    "InvalidAccessKeyId": "the access key is unknown",
    "PermanentRedirect": "the region or the endpoint is wrong",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "SignatureDoesNotMatch": "the secret key is wrong",
}
_TEMPORARY_CODES = {"ExpiredToken", "OperationAborted", "RequestTimeout", "SlowDown"}
"""Error codes of S3 with a client error status (4xx) that a later request can pass."""
_TEMPORARY_STATUSES = {"408", "409", "425", "429"}
_REJECTED_CODES = {"AccessDenied", "InvalidArgument", "MethodNotAllowed", "NoSuchBucket"}
"""Codes of single keys that a deletion of several keys rejects."""
_REJECTED_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL_CODES = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"}


@contextmanager
def translate_errors(location: str, key: str) -> Iterator[None]:
    """Raise NotFound, DiskFull, StorageUnreachable or StorageRejected for errors of the store in the block.

    StorageRejected means that the same request fails again until its settings or permissions change.
    `location` describes the storage: "bucket 'videos' at minio:9000".
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _missing_error(location, key, str(error)) from None
    except (BaseError, OSError) as error:
        raise _failure_error(location, str(error)) from None
    except ValueError as error:
        if "parse path" not in str(error):
            raise
        raise BadSource(f"{key[:200]!r} is not a valid storage key") from None


def _missing_error(location: str, key: str, text: str) -> CallsheetError:
    if _search(_CODE, text) == "NoSuchBucket":
        return StorageRejected(f"There is no {location}")
    return NotFound(f"There is no file '{key}' in the storage", key=key)


def _failure_error(location: str, text: str) -> CallsheetError:
    number, status, code = (_search(pattern, text) for pattern in (_OS_ERROR, _STATUS, _CODE))
    if (number and int(number) in DISK_FULL_ERRNOS) or status == "507" or code in _FULL_CODES:
        return DiskFull(f"There is no space left in {location}")
    kind = StorageRejected if _is_rejected(number, status, code) else StorageUnreachable
    if status in {"401", "403"}:
        reason = _CODES.get(code or "", "check the access key, the secret key and their permissions")
        return kind(f"Access to {location} was denied ({code or status}): {reason}")
    return kind(f"The {location} cannot be used: {_reason(text, number, status, code)}")


def _is_rejected(number: str | None, status: str | None, code: str | None) -> bool:
    """Return whether the same request would fail again."""
    if status is None:
        return code in _REJECTED_CODES or (number is not None and int(number) in _REJECTED_ERRNOS)
    if code in _TEMPORARY_CODES or status in _TEMPORARY_STATUSES:
        return False
    return status.startswith(("3", "4")) or status == "501"


def _reason(text: str, number: str | None, status: str | None, code: str | None) -> str:
    if status:
        known = f", {_CODES[code]}" if code in _CODES else ""
        return f"it responded with {status}" + (f" {code}" if code else "") + known
    if code:
        return f"it responded with {code}"
    for fragment, reason in _REASONS:
        if fragment in text:
            return reason
    if number:
        return errno.errorcode.get(int(number), number) + f" ({os.strerror(int(number)).lower()})"
    kind = _search(_ERROR_KIND, text)
    if kind:
        return "it cannot be reached" if kind == "Connect" else f"the connection was interrupted ({kind.lower()})"
    return "the response ended early" if "body" in text.lower() else "its response is invalid"


def _search(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None
