"""Links to local files, signed by us, that expire."""

import base64
import hmac
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from callsheet.domain.errors import ConfigurationError, Unauthorized
from callsheet.settings import Settings

_LEAST_BYTES = 16
_KEY_FILE = "signing.key"


def sign_path(key: bytes, path: str, *, expires: datetime) -> str:
    """Return the query, `?expires=…&sig=…`, that makes a link to `path` valid until then.

    `path` is what the server sees, percent signs decoded.
    """
    moment = int(expires.timestamp())
    return f"?expires={moment}&sig={_signature(key, path, str(moment))}"


def verify_path(key: bytes, path: str, *, expires: str, sig: str, now: datetime | None = None) -> None:
    """Accept a signed link, or raise Unauthorized telling whether it was forged or has expired.

    `expires` and `sig` are the query's parameters, as they came.
    """
    expected = _signature(key, path, expires)
    if not hmac.compare_digest(expected.encode(), sig.encode(errors="replace")):
        raise Unauthorized("The link is not valid: its signature does not fit", reason="forged")
    if (now or datetime.now(UTC)).timestamp() >= int(expires):
        raise Unauthorized("The link has expired; ask for a new one", reason="expired")


def _signature(key: bytes, path: str, expires: str) -> str:
    # The first line keeps these signatures apart from others made with the same key.
    text = f"callsheet file link\n{expires}\n{path}"
    digest = hmac.digest(key, text.encode(errors="surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def signing_key(settings: Settings) -> bytes:
    """Return the key of this installation: the setting, or one made once and kept in the data folder.

    Raises ConfigurationError for a key that is too short, or a folder that cannot be used.
    """
    if settings.signing_key is not None:
        key = settings.signing_key.get_secret_value().encode()
        if len(key) < _LEAST_BYTES:
            raise ConfigurationError(f"CALLSHEET_SIGNING_KEY must have at least {_LEAST_BYTES} characters")
        return key
    path = settings.data_dir / _KEY_FILE
    try:
        return _read(path) if path.exists() else _make(path)
    except OSError as error:
        raise ConfigurationError(f"The signing key, {path}, cannot be used: {error.strerror}") from error


def _make(path: Path) -> bytes:
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
    return _read(path)


def _publish(draft: Path, path: Path) -> None:
    """Give the finished draft its name, unless another process was faster."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return


def _read(path: Path) -> bytes:
    key = path.read_bytes().strip()
    if len(key) < _LEAST_BYTES:
        raise ConfigurationError(f"The signing key in {path} is damaged; remove the file and a new one is made")
    return key
