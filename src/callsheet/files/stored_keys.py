"""Object keys that Callsheet itself has made up: only these can be orphans. All others belong to other programs."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

import orjson

from callsheet.files.object_keys import UPLOADS, is_valid_key

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_JOB = re.compile(rf"(?P<operation>[^/]{{1,100}})/(?P<job>{_UUID})/(?:[0-9]+/)?[^/]+")
_UPLOAD = re.compile(rf"{UPLOADS}/(?P<sha256>[0-9a-f]{{64}})(?:\.[a-z0-9]{{1,10}})?")
_DIRECT_UPLOAD = re.compile(rf"{UPLOADS}/incoming/(?P<id>{_UUID})")
_CHECK = re.compile(rf"callsheet-check/(?P<id>{_UUID})")


class KeyKind(StrEnum):
    """What the file of a key is."""

    JOB = "job"
    """Of a job."""
    UPLOAD = "upload"
    DIRECT_UPLOAD = "direct_upload"
    """What a client puts into the bucket itself, until it is verified."""
    CHECK = "check"
    """Of a check of the storage."""
    UNFINISHED = "unfinished"
    """A file in a folder whose writer has died."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key, and what every text that names it contains."""

    key: str
    kind: KeyKind
    token: str
    """Id of the job or the upload, or its SHA-256."""

    @property
    def texts(self) -> list[str]:
        """The key as texts, JSON and URLs contain it."""
        in_json = orjson.dumps(self.key).decode()[1:-1]
        return list(dict.fromkeys([self.key, in_json, quote(self.key)]))


def read_stored_key(key: str, operations: Collection[str]) -> StoredKey | None:
    """Return what a key means; None if it is not one of those that Callsheet makes up.

    `operations` are the names of all operations. In folders with other names are published files.
    """
    if not is_valid_key(key):
        return None
    if (match := _JOB.fullmatch(key)) and match["operation"] in operations:
        return StoredKey(key, KeyKind.JOB, match["job"])
    if match := _UPLOAD.fullmatch(key):
        return StoredKey(key, KeyKind.UPLOAD, match["sha256"])
    if match := _DIRECT_UPLOAD.fullmatch(key):
        return StoredKey(key, KeyKind.DIRECT_UPLOAD, match["id"])
    if match := _CHECK.fullmatch(key):
        return StoredKey(key, KeyKind.CHECK, match["id"])
    return None
