"""The OpenTimelineIO package, and reading and writing of its files."""

import importlib
import json
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from callsheet.domain.document_limits import check_size
from callsheet.domain.errors import BadInput, ConfigurationError, NotFound

_MAX_ENTRIES = 10_000
"""Files of a bundle."""
_MAX_UNPACKED_BYTES = 200 * 2**30
_MAX_RATIO = 20
"""Unpacked size in relation to the size of the bundle. Media in a bundle is not compressed."""
_MIN_UNPACKED_BYTES = 100 * 2**20
"""Allowed at any ratio: the timeline is text and compresses well."""

METADATA_KEY = "callsheet"
"""Key in the metadata of OpenTimelineIO objects. It holds what OpenTimelineIO cannot represent."""


class InvalidOtio(BadInput):
    """The file is not a usable OpenTimelineIO file.

    It is defined here because only this optional feature raises it.
    """

    code = "invalid_otio"


def load_otio() -> ModuleType:
    """Import and return the package `opentimelineio`. Raises ConfigurationError if it is not installed."""
    try:
        return importlib.import_module("opentimelineio")
    except ImportError as error:
        raise ConfigurationError(
            f"OpenTimelineIO files need the package OpenTimelineIO ({error}): pip install 'callsheet[otio]'"
        ) from None


def read_otio(path: Path) -> tuple[Any, Path]:
    """Return the Timeline in an .otio, .otiod or .otioz file, and the base folder of its relative paths.

    A bundle (.otioz) is unpacked once, next to itself. Raises NotFound for a missing file and InvalidOtio for a file
    that cannot be read.
    """
    otio = load_otio()
    if not path.exists():
        raise NotFound(f"The OpenTimelineIO file '{path}' does not exist.")
    content, folder = _content_file(path)
    try:
        text = content.read_text(encoding="utf-8")
        _check_depth(text)
        root = otio.adapters.read_from_string(text, adapter_name="otio_json")
    except (ValueError, KeyError, OSError, otio.exceptions.OTIOError) as error:
        raise InvalidOtio(f"'{path}' cannot be read as OpenTimelineIO: {error}") from None
    return _single_timeline(root, path, otio), folder


def write_otio(timeline: Any, path: Path) -> None:
    """Write an OpenTimelineIO Timeline to an .otio file.

    Raises InvalidOtio for another suffix, and for a file that cannot be written.
    """
    otio = load_otio()
    if path.suffix.lower() != ".otio":
        raise InvalidOtio(f"A timeline is exported to an .otio file, not to '{path.name}'")
    try:
        path.write_text(otio.adapters.write_to_string(timeline, "otio_json"), encoding="utf-8")
    except OSError as error:
        raise InvalidOtio(f"'{path}' cannot be written: {error.strerror}") from None


def _check_depth(text: str) -> None:
    """Raise ValueError for text that is not JSON or nested too deeply: the library would end the process for it."""
    try:
        check_size(json.loads(text), max_values=None)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _content_file(path: Path) -> tuple[Path, Path]:
    """Return the JSON file, and the base folder of its relative paths."""
    if path.suffix.lower() == ".otioz":
        path = _unpack(path)
    if path.is_dir():
        return path / "content.otio", path
    return path, path.resolve().parent


def _unpack(path: Path) -> Path:
    """Unpack an .otioz bundle to an .otiod folder next to it, unless it exists, and return the folder."""
    folder = path.with_suffix(".otiod")
    if folder.exists():
        return folder
    try:
        # Atomic, because an existing folder is reused the next time.
        with TemporaryDirectory(dir=folder.parent) as temporary, zipfile.ZipFile(path) as bundle:
            _check_bundle(path, bundle.infolist())
            # Reads no more of an entry than its checked size.
            bundle.extractall(Path(temporary) / "bundle")
            (Path(temporary) / "bundle").rename(folder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise InvalidOtio(f"'{path}' cannot be unpacked: {error}") from None
    return folder


def _check_bundle(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise InvalidOtio for a bundle with too many entries, too much data, or a path outside of its folder."""
    if len(entries) > _MAX_ENTRIES:
        raise InvalidOtio(f"'{path}' has {len(entries):,} entries; at most {_MAX_ENTRIES:,} are allowed")
    size = sum(entry.file_size for entry in entries)
    packed = path.stat().st_size
    if size > _MAX_UNPACKED_BYTES or size > packed * _MAX_RATIO + _MIN_UNPACKED_BYTES:
        raise InvalidOtio(
            f"'{path}' would unpack from {packed:,} to {size:,} bytes; at most {_MAX_UNPACKED_BYTES:,} bytes and "
            f"{_MAX_RATIO} times the size of the file are allowed"
        )
    for entry in entries:
        parts = PurePosixPath(entry.filename)
        if parts.is_absolute() or ".." in parts.parts or "\\" in entry.filename:
            raise InvalidOtio(f"'{path}' has an entry outside of its folder: '{entry.filename[:200]}'")


def _single_timeline(root: Any, path: Path, otio: ModuleType) -> Any:
    """Return the only Timeline of a file."""
    if isinstance(root, otio.schema.SerializableCollection):
        timelines = [each for each in root if isinstance(each, otio.schema.Timeline)]
        if len(timelines) == 1:
            return timelines[0]
        raise InvalidOtio(f"'{path}' contains {len(timelines)} timelines; exactly one is required")
    if not isinstance(root, otio.schema.Timeline):
        raise InvalidOtio(f"'{path}' contains a {type(root).__name__}, not a Timeline")
    return root
