"""Signed URLs: expiring links to files that this server delivers, and the signing key."""

import base64
import hmac
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from callsheet.domain.errors import ConfigurationError, Unauthorized
from callsheet.settings import Settings

_MIN_KEY_BYTES = 16
_KEY_FILE = "signing.key"


def signed_file_url(key: bytes, base_url: str, artifact_id: UUID, *, expires: datetime) -> str:
    """Return the signed URL under which this server delivers an artifact until `expires`."""
    path = f"/files/{artifact_id}"
    return f"{base_url.rstrip('/')}{path}{sign_path(key, path, expires=expires)}"


def signed_upload_url(key: bytes, base_url: str, object_key: str, *, expires: datetime) -> str:
    """Return the signed URL under which this server delivers an upload, `uploads/…`, until `expires`."""
    path = f"/files/{object_key}"
    return f"{base_url.rstrip('/')}{path}{sign_path(key, path, expires=expires)}"


def sign_path(key: bytes, path: str, *, expires: datetime) -> str:
    """Return the query string `?expires=…&sig=…` that authorizes `path` until `expires`.

    `path` is the decoded path, as the server receives it.
    """
    moment = int(expires.timestamp())
    return f"?expires={moment}&sig={_signature(key, path, str(moment))}"


def verify_path(key: bytes, path: str, *, expires: str, sig: str, now: datetime | None = None) -> None:
    """Verify a signed link. `expires` and `sig` are the unmodified query parameters.

    Raises Unauthorized with the reason `forged` or `expired`.
    """
    expected = _signature(key, path, expires)
    if not hmac.compare_digest(expected.encode(), sig.encode(errors="replace")):
        raise Unauthorized("The link is not valid: its signature does not match", reason="forged")
    if (now or datetime.now(UTC)).timestamp() >= int(expires):
        raise Unauthorized("The link has expired; request a new one", reason="expired")


def _signature(key: bytes, path: str, expires: str) -> str:
    # The first line separates these signatures from other uses of the same key.
    text = f"callsheet file link\n{expires}\n{path}"
    digest = hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def signing_key(settings: Settings) -> bytes:
    """Return the signing key of this installation: the setting, or a key generated once in the data folder.

    Raises ConfigurationError for a key that is too short, or an unusable data folder.
    """
    if settings.signing_key is not None:
        key = settings.signing_key.get_secret_value().encode()
        if len(key) < _MIN_KEY_BYTES:
            raise ConfigurationError(f"CALLSHEET_SIGNING_KEY must have at least {_MIN_KEY_BYTES} characters")
        return key
    path = settings.data_dir / _KEY_FILE
    try:
        return _read_key(path) if path.exists() else _create_key(path)
    except OSError as error:
        raise ConfigurationError(f"The signing key, {path}, cannot be used: {error.strerror}") from error


def _create_key(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, path)
    finally:
        draft.unlink()
    return _read_key(path)


def _publish(draft: Path, path: Path) -> None:
    """Link the finished draft to its name, unless another process was first."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return


def _read_key(path: Path) -> bytes:
    key = path.read_bytes().strip()
    if len(key) < _MIN_KEY_BYTES:
        raise ConfigurationError(f"The signing key in {path} is damaged; delete the file to have a new key generated")
    return key
