"""Drain marks: servers that get no new jobs from the workers that share a data folder."""

from datetime import UTC, datetime
from pathlib import Path

from callsheet.settings import Settings


def drained_servers(settings: Settings) -> frozenset[str]:
    """Return the names of the drained servers."""
    return frozenset(drained_since(settings))


def drained_since(settings: Settings) -> dict[str, datetime]:
    """Return since when each server is drained, by its name."""
    folder = _folder(settings)
    marks = list(folder.iterdir()) if folder.is_dir() else []
    found: dict[str, datetime] = {}
    for mark in marks:
        try:
            found[mark.read_text("utf-8")] = datetime.fromtimestamp(mark.stat().st_mtime, UTC)
        except FileNotFoundError:
            continue  # the server was resumed meanwhile
    return found


def set_drained(settings: Settings, name: str, *, drained: bool) -> None:
    """Drain a server, or let it get jobs again. Running jobs continue."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    # A server name may contain characters that file names cannot.
    mark = folder / name.encode().hex()
    if drained and not mark.exists():
        mark.write_text(name, "utf-8")
    elif not drained:
        mark.unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "comfyui-drained"
