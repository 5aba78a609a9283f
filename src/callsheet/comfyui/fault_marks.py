"""Marks of faulty servers, by which the processes that share a data folder see what a worker knows about a server."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import get_args

import structlog

from callsheet.comfyui.server import Fault, Server, ServerFault
from callsheet.settings import Settings

log = structlog.get_logger(__name__)


def write_fault(settings: Settings, server: Server) -> None:
    """Mark the fault of a server, or remove the mark of one that responds. A folder that is not writable is logged."""
    path = _folder(settings) / server.name.encode().hex()
    try:
        if server.fault is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        fault = server.fault
        facts = {"kind": fault.kind, "reason": fault.reason, "since": fault.since.isoformat(), "prompt": fault.prompt}
        text = json.dumps(facts)
        temporary = path.with_suffix(".part")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    except OSError as error:
        log.warning("the state of a ComfyUI server cannot be stored", path=str(path), reason=error.strerror)


def read_faults(settings: Settings) -> dict[str, ServerFault]:
    """Return the marked faults by the names of the servers."""
    folder = _folder(settings)
    return dict(_read(folder)) if folder.is_dir() else {}


def _read(folder: Path) -> Iterator[tuple[str, ServerFault]]:
    for path in folder.iterdir():
        if path.suffix:
            continue
        try:
            fields = json.loads(path.read_text("utf-8"))
            since = datetime.fromisoformat(fields["since"])
            fault = ServerFault(fields["kind"], fields["reason"], since, fields.get("prompt"))
            name = bytes.fromhex(path.name).decode()
        except (OSError, ValueError, KeyError, TypeError):
            continue  # removed meanwhile, or not a mark
        if fault.kind in get_args(Fault):
            yield name, fault


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "comfyui-faults"
