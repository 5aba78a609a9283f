"""PostgreSQL and PgBouncer as Debian packages them, on Unix sockets in a temporary folder."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
"""Of the oldest installed PostgreSQL."""
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_CONFIG = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_buffers = 16MB
fsync = off
hot_standby = on
"""
_POOLER = """
[databases]
* = host={server}
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = trust
auth_file = {folder}/users
logfile = {folder}/log
pidfile = {folder}/pid
pool_mode = {mode}
"""


@contextlib.contextmanager
def running_postgres():
    """Start a new server; yield its folder, which is the host of its socket."""
    with _folder() as folder:
        _run(
            folder,
            "initdb",
            "-D",
            str(folder / "data"),
            "-U",
            "boss",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        )
        with (folder / "data/postgresql.conf").open("a") as file:
            file.write(_CONFIG.format(folder=folder))
        with _started(folder):
            yield folder


@contextlib.contextmanager
def running_standby(primary):
    """Start a hot standby of a server; yield its folder."""
    with _folder() as folder:
        _run(folder, "pg_basebackup", "-h", str(primary), "-U", "boss", "-D", str(folder / "data"), "-R", "-c", "fast")
        with (folder / "data/postgresql.conf").open("a") as file:
            file.write(_CONFIG.format(folder=folder))
        with _started(folder):
            yield folder


@contextlib.contextmanager
def running_pgbouncer(server, *, mode):
    """Start PgBouncer in front of a server; yield its folder, which is the host of its socket, at port 6432."""
    with _folder() as folder:
        (folder / "pgbouncer.ini").write_text(_POOLER.format(server=server, folder=folder, mode=mode))
        (folder / "users").write_text('"boss" ""\n"lost" ""\n')
        process = subprocess.Popen([PGBOUNCER, "-q", str(folder / "pgbouncer.ini")], cwd=folder, **_user())
        try:
            yield folder
        finally:
            process.kill()
            process.wait()


def dsn(folder, database, *, user="boss", port=5432):
    """Return the address of a database behind a socket."""
    return f"postgresql://{user}@/{database}?host={folder}&port={port}"


@contextlib.contextmanager
def _started(folder):
    _run(folder, "pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "server.log"), "-w", "-t", "120", "start")
    try:
        yield
    finally:
        _run(folder, "pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")


@contextlib.contextmanager
def _folder():
    # In /tmp: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="callsheet-debian-", dir="/tmp") as name:
        folder = Path(name)
        if user := _user().get("user"):
            shutil.chown(folder, user)
        folder.chmod(0o755)
        yield folder


def _run(folder, program, *arguments):
    with (folder / "log").open("ab") as log:
        done = subprocess.run(
            [BINARIES / program, *arguments], cwd=folder, stdout=log, stderr=log, timeout=180, **_user()
        )
    assert done.returncode == 0, (folder / "log").read_text()


def _user():
    """Neither program runs as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
