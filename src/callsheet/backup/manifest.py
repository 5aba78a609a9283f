"""What a backup contains, in `manifest.json`. It is written last: a backup without it is incomplete."""

from datetime import datetime

from pydantic import ValidationError

from callsheet.domain.errors import BadInput
from callsheet.domain.model import Model

FORMAT = 1
"""Version of the layout. A later layout that this version cannot read has another number."""
MANIFEST, DUMP, KEY, FILE_LIST, FILES = "manifest.json", "database.dump", "signing.key", "files.jsonl", "files/"
"""Names in a backup."""


class StoredPart(Model):
    """A part of a backup: `size` in bytes, `sha256` in hexadecimal."""

    size: int
    sha256: str


class StoredFile(StoredPart):
    """A file of the storage. A line of `files.jsonl`."""

    key: str


class FilesPart(Model):
    """The files of the storage."""

    included: bool
    location: str
    """Where they are in the installation: a folder or a bucket."""
    count: int
    bytes: int
    list: StoredPart | None
    """`files.jsonl`; None without files."""


class Manifest(Model):
    """What a backup contains."""

    format: int
    callsheet: str
    """Version of Callsheet that made it."""
    created_at: datetime
    """The moment of its database."""
    schema_revision: str
    database_schema: str
    postgresql: str
    """Version of the server."""
    rows: dict[str, int]
    """Number of rows of each table."""
    database: StoredPart
    files: FilesPart
    signing_key: StoredPart | None
    """None: it is in the settings, or there is none yet."""
    problems: list[str]
    """What was already wrong in the installation, such as files that are missing."""


def parse_manifest(data: bytes) -> Manifest:
    """Return a manifest. Raises BadInput if it is none, or of a layout that this version does not know."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise BadInput(
            f"This is not a backup of this version of Callsheet: its {MANIFEST} is invalid ({error})"
        ) from None
    if manifest.format != FORMAT:
        raise BadInput(
            f"The backup was made by Callsheet {manifest.callsheet} in the format {manifest.format}, and this version "
            f"reads the format {FORMAT}: upgrade Callsheet."
        )
    return manifest
