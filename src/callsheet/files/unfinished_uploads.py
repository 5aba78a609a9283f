"""Deletes the parts of uploads that were never completed.

A large file is uploaded in parts. When the connection or the worker dies, the bucket keeps the uploaded parts,
invisible and at a cost, until the upload is aborted. obstore has no calls for that, so the two requests of S3 are
signed here: ListMultipartUploads and AbortMultipartUpload.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import quote, urlsplit, urlunsplit
from xml.etree import ElementTree

import httpx2
import obstore
from obstore.store import S3Store

from callsheet.domain.errors import StorageRejected, StorageUnreachable
from callsheet.files.presigned import add_query
from callsheet.http_clients import async_client

_OWN_KEY = re.compile(r"(callsheet-cache|[a-z0-9-]{1,100}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})/.*", re.DOTALL)
"""Other programs may upload to the same bucket."""
_LIFETIME = timedelta(minutes=5)
_TIMEOUT = 30.0


class UnfinishedUploads:
    """The unfinished uploads of Callsheet in a bucket."""

    def __init__(self, store: S3Store, secret_key: str, location: str) -> None:
        """`location` describes the bucket in errors."""
        self._store = store
        self._secret_key = secret_key
        self._location = location
        self._prefix = f"{store.prefix}/" if store.prefix else ""

    async def abort(self, *, before: datetime) -> int:
        """Abort the uploads that started before a time, at most 1,000. Return their number.

        Raises StorageUnreachable or StorageRejected.
        """
        async with async_client(timeout=_TIMEOUT) as client:
            found = await self._find(client, before)
            for key, upload_id in found:
                url = obstore.sign(self._store, "DELETE", key, _LIFETIME)
                await self._send(client, "DELETE", url, {"uploadId": upload_id})
        return len(found)

    async def _find(self, client: httpx2.AsyncClient, before: datetime) -> list[tuple[str, str]]:
        """Return key and upload id of unfinished uploads."""
        body = await self._send(client, "GET", self._bucket_url(), {"uploads": "", "prefix": self._prefix})
        found = []
        # Expat limits the expansion of entities, and the response is that of the operator's bucket.
        for upload in ElementTree.fromstring(body).iterfind("{*}Upload"):  # noqa: S314
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in upload}
            key = fields["Key"].removeprefix(self._prefix)
            if _OWN_KEY.fullmatch(key) and datetime.fromisoformat(fields["Initiated"]) < before:
                found.append((key, fields["UploadId"]))
        return found

    def _bucket_url(self) -> str:
        """Return a presigned URL of the bucket itself. Its signature is replaced when parameters are added."""
        parts = urlsplit(obstore.sign(self._store, "GET", "x", _LIFETIME))
        path = parts.path.removesuffix(f"{quote(self._prefix)}x")
        return urlunsplit(parts._replace(path=path))

    async def _send(self, client: httpx2.AsyncClient, method: str, url: str, parameters: dict[str, str]) -> str:
        try:
            response = await client.request(method, add_query(url, self._secret_key, parameters, method=method))
        except httpx2.TransportError as error:
            raise StorageUnreachable(f"The {self._location} does not respond: {type(error).__name__}") from None
        if response.is_error and response.status_code != 404:  # aborted or completed meanwhile
            kind = StorageUnreachable if response.is_server_error else StorageRejected
            raise kind(f"The {self._location} does not list or abort uploads: it responded {response.status_code}")
        return response.text
