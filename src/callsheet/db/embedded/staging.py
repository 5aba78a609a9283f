"""Guards a data folder while its database is being restored or upgraded to another PostgreSQL."""

from pathlib import Path

from callsheet.domain.errors import ConfigurationError

STAGING = "restoring"
"""Folder in the data folder, while something is being restored into it."""


def refuse_during_restore(data_dir: Path) -> None:
    """Raise ConfigurationError while a restore is in progress, or after one that was killed."""
    if (data_dir / STAGING).exists():
        raise ConfigurationError(
            f"A restore into {data_dir} is in progress, or was killed: wait for its end, or repeat it. If a database "
            f"should be used that was there before, remove {data_dir / STAGING}"
        )
