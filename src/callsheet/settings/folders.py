"""Folders of a user who may have no home."""

import os
from pathlib import Path
from typing import Any

import platformdirs

_SERVICE_DATA = Path("/var/lib/callsheet")
"""The data folder of a user without a home: that of a service."""


def default_data_dir() -> Path:
    """Return the data folder of this user."""
    try:
        return platformdirs.user_data_path("callsheet")
    except RuntimeError:  # HOME is not set, and /etc/passwd does not name the user
        return _SERVICE_DATA


def cache_folder() -> Path | None:
    """Return the folder for caches of this user; None without a home."""
    try:
        return platformdirs.user_cache_path()
    except RuntimeError:
        return None


def split_paths(value: Any) -> Any:
    """Return the paths of a text in which ':' separates them; any other value unchanged."""
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def expand_home(value: Any) -> Any:
    """Return a path, or a list of paths, with `~` replaced. Raises ValueError if this user has no home."""
    if isinstance(value, list):
        return [expand_home(each) for each in value]
    try:
        return value.expanduser() if isinstance(value, Path) else value
    except RuntimeError:
        raise ValueError("there is no home folder for `~`: HOME is not set, and /etc/passwd does not name it") from None
