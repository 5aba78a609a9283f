"""The OpenTimelineIO package, and the files that it reads and writes."""

import importlib
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from callsheet.domain.errors import BadInput, ConfigurationError, NotFound

OURS = "callsheet"
"""The name under which we keep, in the metadata of a cut, what OpenTimelineIO has no words for."""


class InvalidOtio(BadInput):
    """The file cannot be used as a cut."""

    code = "bad_cut"


def library() -> ModuleType:
    """Return the package. Raises ConfigurationError that tells how to install it."""
    try:
        return importlib.import_module("opentimelineio")
    except ImportError as error:
        raise ConfigurationError(
            f"Cuts need the package OpenTimelineIO ({error}): pip install 'callsheet[otio]'"
        ) from None


def read_otio(path: Path) -> tuple[Any, Path]:
    """Return the timeline in an .otio, .otiod or .otioz file, and the folder that its relative paths start from.

    A bundle (.otioz) is unpacked beside itself, once. Raises NotFound, and InvalidOtio for what cannot be read.
    """
    otio = library()
    if not path.exists():
        raise NotFound(f"The cut '{path}' cannot be read: there is no such file.")
    content, folder = _content(path)
    try:
        found = otio.adapters.read_from_file(str(content), adapter_name="otio_json")
    except (ValueError, KeyError, OSError, otio.exceptions.OTIOError) as error:
        raise InvalidOtio(f"'{path}' cannot be read as OpenTimelineIO: {error}") from None
    return _the_timeline(found, path, otio), folder


def write_otio(timeline: Any, path: Path) -> None:
    """Write an .otio file. Raises InvalidOtio when it is to have another ending, or cannot be written."""
    otio = library()
    if path.suffix.lower() != ".otio":
        raise InvalidOtio(f"A cut is written as an .otio file, not as '{path.name}'")
    try:
        path.write_text(otio.adapters.write_to_string(timeline, "otio_json"), encoding="utf-8")
    except OSError as error:
        raise InvalidOtio(f"'{path}' cannot be written: {error.strerror}") from None


def _content(path: Path) -> tuple[Path, Path]:
    if path.suffix.lower() == ".otioz":
        path = _unpacked(path)
    if path.is_dir():
        return path / "content.otio", path
    return path, path.resolve().parent


def _unpacked(path: Path) -> Path:
    """Return the folder form of a bundle: the same files, not packed."""
    folder = path.with_suffix(".otiod")
    if folder.exists():
        return folder
    try:
        # Whole or not at all: what lies there is used the next time.
        with TemporaryDirectory(dir=folder.parent) as passing, zipfile.ZipFile(path) as bundle:
            bundle.extractall(Path(passing) / "bundle")
            (Path(passing) / "bundle").rename(folder)
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidOtio(f"'{path}' cannot be unpacked: {error}") from None
    return folder


def _the_timeline(found: Any, path: Path, otio: ModuleType) -> Any:
    """Return the only timeline in what was read."""
    if isinstance(found, otio.schema.SerializableCollection):
        timelines = [each for each in found if isinstance(each, otio.schema.Timeline)]
        if len(timelines) == 1:
            return timelines[0]
        raise InvalidOtio(f"'{path}' holds {len(timelines)} timelines; one is needed")
    if not isinstance(found, otio.schema.Timeline):
        raise InvalidOtio(f"'{path}' holds no timeline, but a {type(found).__name__}")
    return found
