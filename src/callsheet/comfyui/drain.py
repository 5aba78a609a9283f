"""Drain marks: servers that get no new jobs from the workers that share a data folder."""

from pathlib import Path

from callsheet.settings import Settings


def drained_servers(settings: Settings) -> frozenset[str]:
    """Return the names of the drained servers."""
    folder = _folder(settings)
    return frozenset(mark.read_text("utf-8") for mark in folder.iterdir()) if folder.is_dir() else frozenset()


def set_drained(settings: Settings, name: str, *, drained: bool) -> None:
    """Drain a server, or let it get jobs again. Running jobs continue."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    # A server name may contain characters that file names cannot.
    mark = folder / name.encode().hex()
    if drained:
        mark.write_text(name, "utf-8")
    else:
        mark.unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "comfyui-drained"
