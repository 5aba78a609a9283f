"""The configuration file of the embedded PostgreSQL."""

from collections.abc import Mapping
from pathlib import Path

_DEFAULTS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    # Queue rows are updated often and live short; by default autovacuum waits until a fifth of a table is dead.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_analyze_scale_factor": "0.02",
    "autovacuum_vacuum_insert_scale_factor": "0.1",
    "autovacuum_vacuum_cost_limit": "2000",
    "random_page_cost": "1.1",
    "jit": "off",
    # Parallel queries need more shared memory than the 64 MB of /dev/shm in a container.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Parameters can contain secrets.
    "log_parameter_max_length_on_error": "0",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
}


def write_config(data: Path, settings: Mapping[str, str]) -> Path:
    """Write `callsheet.conf` with the defaults and these settings into a data directory. Return its path."""
    path = data / "callsheet.conf"
    lines = [f"{name} = {_quote(value)}\n" for name, value in {**_DEFAULTS, **settings}.items()]
    # Unlinked first: root must not write through a symlink of the server's user.
    path.unlink(missing_ok=True)
    with path.open("x", errors="surrogateescape") as file:
        # World-readable in a private folder: the server may run as another user than this process.
        path.chmod(0o644)
        file.write("include 'postgresql.conf'\n" + "".join(lines))
    return path


def _quote(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
