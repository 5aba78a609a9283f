"""What the nodes of the servers take and give: the last `GET /object_info` of each server, in the data folder.

Workers and `callsheet comfyui doctor` keep it there. A submission that cannot be judged by it
asks the servers once, for a short time.
"""

import json
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import structlog

from callsheet.comfyui.hosts import Host, parse_hosts
from callsheet.comfyui.node_schemas import NodeSchema, read_schemas
from callsheet.comfyui.parsing import read_object
from callsheet.domain.errors import ConfigurationError
from callsheet.http_clients import direct_sync_client
from callsheet.settings import Settings

log = structlog.get_logger(__name__)

MANAGED = "own"
_FRESH = 3600.0
"""Seconds for which a worker does not ask a server again."""
_TRUSTED = 30.0
"""Seconds for which a submission does not ask a server again, whether it responded or not."""
_TIMEOUT = 3.0
_asked: dict[str, float] = {}


class KnownNodes:
    """The nodes of the servers of these settings. It reads files, and may ask servers: use it in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def by_server(self) -> list[Mapping[str, NodeSchema]]:
        """Return the schemas of each server, as far as they are known."""
        paths = [_path(self._settings, name) for name in (*(host.name for host in _hosts(self._settings)), MANAGED)]
        return [schemas for path in paths if (schemas := _read(path))]

    def takes(self, class_type: str, name: str) -> bool | None:
        """Whether a node of a server takes an input; None if no server is known to have the node."""
        if not _takes(self.by_server(), class_type, name):
            self.ask_servers()
        return _takes(self.by_server(), class_type, name)

    def output_count(self, class_type: str, at_least: int) -> int | None:
        """Return the number of outputs; None if no server is known to have the node. Below `at_least`, ask again."""
        count = _output_count(self.by_server(), class_type)
        if count is None or count >= at_least:
            return count
        self.ask_servers()
        return _output_count(self.by_server(), class_type)

    def inputs(self, class_type: str) -> list[str]:
        """Return the inputs of a node, for messages."""
        return sorted(
            {name for schemas in self.by_server() if class_type in schemas for name in schemas[class_type].inputs}
        )

    def ask_servers(self) -> None:
        """Get the schemas of all servers that were not asked in the last 30 seconds."""
        for host in _hosts(self._settings):
            path = _path(self._settings, host.name)
            if time.monotonic() - _asked.get(str(path), -_TRUSTED) >= _TRUSTED and _age(path) >= _TRUSTED:
                _asked[str(path)] = time.monotonic()
                self._ask(host)

    def _ask(self, host: Host) -> None:
        try:
            with direct_sync_client(timeout=_TIMEOUT) as client:
                response = client.get(f"{host.url}/object_info")
        except httpx2.HTTPError as error:
            log.info("the nodes of a ComfyUI server are not known", server=host.name, reason=type(error).__name__)
            return
        info = read_object(response.content) if response.status_code == httpx2.codes.OK else {}
        if "LoadImage" in info:
            store_object_info(self._settings, host.name, info)


def store_object_info(settings: Settings, server: str, info: Mapping[str, Any]) -> None:
    """Keep a response of `GET /object_info`. A folder that cannot be written is logged."""
    path = _path(settings, server)
    temporary = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(info), "utf-8")
        temporary.replace(path)
    except OSError as error:
        log.warning("the nodes of a ComfyUI server cannot be stored", path=str(path), reason=error.strerror)


def is_stale(settings: Settings, server: str) -> bool:
    """Whether a worker should ask a server for its nodes again."""
    return _age(_path(settings, server)) >= _FRESH


def _takes(known: Sequence[Mapping[str, NodeSchema]], class_type: str, name: str) -> bool | None:
    nodes = [schemas[class_type] for schemas in known if class_type in schemas]
    return any(node.takes(name) for node in nodes) if nodes else None


def _output_count(known: Sequence[Mapping[str, NodeSchema]], class_type: str) -> int | None:
    return max((len(schemas[class_type].outputs) for schemas in known if class_type in schemas), default=None)


def _hosts(settings: Settings) -> list[Host]:
    try:
        return parse_hosts(settings)
    except ConfigurationError:
        return []  # reported where a job needs a server


def _path(settings: Settings, server: str) -> Path:
    # A server name may contain characters that file names cannot.
    return settings.data_dir / "comfyui-nodes" / f"{server.encode().hex()}.json"


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _read(path: Path) -> Mapping[str, NodeSchema]:
    try:
        return _read_version(path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=16)
def _read_version(path: Path, _modified: int) -> Mapping[str, NodeSchema]:
    return read_schemas(read_object(path.read_bytes()))
