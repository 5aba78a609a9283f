"""What the object store reports, in our own errors.

The store's texts hold addresses, request headers and sometimes session tokens; none of that is passed on.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from callsheet.domain.errors import BadSource, CallsheetError, DiskFull, NotFound, StorageUnreachable
from callsheet.files.atomic_write import DISK_FULL_ERRNOS

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_KIND = re.compile(r"kind: (Timeout|Connect|Interrupted|Decode)\b")

_CAUSES = (
    ("dns error", "its host name is not known"),
    ("failed to lookup address", "its host name is not known"),
    ("certificate", "its certificate is not trusted"),
    ("Connection refused", "the connection was refused"),
    ("Connection reset", "the connection was reset"),
    ("BadScheme", "its address must begin with https:// or http://"),
    ("TimedOut", "it did not answer in time"),
)
_CODES = {
    "AuthorizationHeaderMalformed": "the region is wrong",
    "ExpiredToken": "the access token has expired",
    "InvalidAccessKeyId": "the access key is not known there",
    "PermanentRedirect": "the region or the address is wrong",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "SignatureDoesNotMatch": "the secret key is wrong",
}
_FULL_CODES = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage"}


@contextmanager
def translate_errors(place: str, key: str) -> Iterator[None]:
    """Raise NotFound, DiskFull or StorageUnreachable for what goes wrong inside.

    `place` names the storage in a sentence: "bucket 'films' at minio:9000".
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(place, key, str(error)) from None
    except (BaseError, OSError) as error:
        raise _failure(place, str(error)) from None
    except ValueError as error:
        if "parse path" not in str(error):
            raise
        raise BadSource(f"{key[:200]!r} cannot be a storage key") from None


def _missing(place: str, key: str, text: str) -> CallsheetError:
    if _first(_CODE, text) == "NoSuchBucket":
        return StorageUnreachable(f"There is no {place}")
    return NotFound(f"There is no file '{key}' in the storage", key=key)


def _failure(place: str, text: str) -> CallsheetError:
    number, status, code = (_first(pattern, text) for pattern in (_OS_ERROR, _STATUS, _CODE))
    if (number and int(number) in DISK_FULL_ERRNOS) or status == "507" or code in _FULL_CODES:
        return DiskFull(f"There is no space left in {place}")
    if status in {"401", "403"}:
        why = _CODES.get(code or "", "check the access key, the secret key and what they allow")
        return StorageUnreachable(f"Access to {place} was refused ({code or status}): {why}")
    return StorageUnreachable(f"The {place} cannot be used: {_why(text, number, status, code)}")


def _why(text: str, number: str | None, status: str | None, code: str | None) -> str:
    if status:
        known = f", {_CODES[code]}" if code in _CODES else ""
        return f"it answered {status}" + (f" {code}" if code else "") + known
    for sign, words in _CAUSES:
        if sign in text:
            return words
    if number:
        return errno.errorcode.get(int(number), number) + f" ({os.strerror(int(number)).lower()})"
    kind = _first(_KIND, text)
    if kind:
        return "it cannot be reached" if kind == "Connect" else f"the connection broke off ({kind.lower()})"
    return "it broke off in the middle" if "body" in text.lower() else "it gave an answer that makes no sense"


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None
