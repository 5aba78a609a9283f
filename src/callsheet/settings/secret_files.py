"""Secrets in files, whose paths are in variables with the suffix `_FILE`."""

import os
from pathlib import Path


def read_secret_file(variable: str) -> str | None:
    """Return the secret in the file that `<variable>_FILE` names; None without that variable. Raises OSError."""
    path = os.environ.get(f"{variable}_FILE")
    return Path(path).read_text("utf-8").strip() if path else None
