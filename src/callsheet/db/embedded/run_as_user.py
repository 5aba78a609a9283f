"""Select the OS user that runs the embedded PostgreSQL.

By default the current user. PostgreSQL refuses to run as root, so root starts it in a user namespace, or, where user
namespaces are not permitted (most containers), as a separate user.
"""

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import ConfigurationError

_LAUNCHER = Path(__file__).with_name("unprivileged.py")
# Usually unused: Debian assigns ids up to 59999 and from 65000, systemd from 61184. Containers often map no ids above
# 65535.
_SERVICE_IDS = range(60_500, 60_600)


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """One way to start a program that refuses to run as root.

    `uid` and `gid` own the files of the program; None: those of the current user.
    """

    identity: str
    uid: int | None = None
    gid: int | None = None

    def command(self, program: Path, *arguments: str, folder: Path, detached: bool = False) -> list[str]:
        """Return the command line that runs `program` in `folder` under this account."""
        mode = "detach" if detached else "wait"
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), self.identity, mode, str(folder)]
        return [*launcher, str(program), *arguments]

    def with_passwd_entry(self) -> "ServerAccount":
        """Return an account with a passwd entry: `initdb` looks up the user name."""
        if self.uid is None or _has_name(self.uid):
            return self
        kind = self.identity.partition(":")[0]
        named = _named_user()
        return ServerAccount(f"{kind}:{named.pw_uid}:{named.pw_gid}", named.pw_uid, named.pw_gid)

    def try_run(self, program: Path, folder: Path) -> str | None:
        """Run `program --version` in `folder` under this account. Return the error text, or None on success."""
        command = self.command(program, "--version", folder=folder)
        done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
        return None if done.returncode == 0 else done.stderr.strip()


def select_account(program: Path, folder: Path, owner: int | None) -> ServerAccount:
    """Return the first account that works for the cluster in `folder`.

    `owner` is the user id of the cluster, None before it exists. Raises ConfigurationError that lists what was tried.
    """
    errors = []
    for account in _candidates(owner):
        error = account.with_passwd_entry().try_run(program, folder)
        if error is None:
            return account
        errors.append(error)
    raise ConfigurationError(
        "This user cannot start the embedded PostgreSQL. Run Callsheet as a regular user, set CALLSHEET_DATA_DIR to a "
        "folder that other users can enter, or set DATABASE_URL to your own PostgreSQL. Tried: " + "; ".join(errors)
    )


def owner_of(path: Path) -> int | None:
    """Return the user id of the owner of `path`, or None if it does not exist."""
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def chown_tree(tree: Path, account: ServerAccount) -> None:
    """Change the owner of a folder tree to the account. The root comes last, so that an interrupted run is repeated."""
    if account.uid is None or account.gid is None or owner_of(tree) == account.uid:
        return
    for parent, folders, files in os.walk(tree):
        for name in (*folders, *files):
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)
    os.chown(tree, account.uid, account.gid)


def private_folder(path: Path, account: ServerAccount) -> Path:
    """Create a folder that only the account can enter. Raises ConfigurationError if another user owns the path."""
    path.mkdir(mode=0o700, exist_ok=True)
    wanted = os.geteuid() if account.uid is None else account.uid
    found = path.lstat()
    ours = found.st_uid in (wanted, os.geteuid())
    if not stat.S_ISDIR(found.st_mode) or not ours or stat.S_IMODE(found.st_mode) != 0o700:
        raise ConfigurationError(
            f"{path} is not a private folder of this user, so it is not safe for the PostgreSQL socket: remove it"
        )
    if found.st_uid != wanted:
        os.chown(path, wanted, -1)
    return path


def _candidates(owner: int | None) -> Iterator[ServerAccount]:
    if os.geteuid() != 0:
        # In a container the user id may have no passwd entry. Only initdb requires one.
        named = owner is not None or _has_name(os.geteuid())
        yield ServerAccount("self" if named else f"namespace:{_named_user().pw_uid}")
        return
    if not owner:
        yield ServerAccount(f"namespace:{_named_user().pw_uid}")
    uid, gid = _ids(owner)
    yield ServerAccount(f"user:{uid}:{gid}", uid, gid)
    yield ServerAccount(f"traversing:{uid}:{gid}", uid, gid)


def _ids(owner: int | None) -> tuple[int, int]:
    if owner and _has_name(owner):
        return owner, pwd.getpwuid(owner).pw_gid
    uid = owner or next(number for number in _SERVICE_IDS if not _has_name(number))
    return uid, uid


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _named_user() -> pwd.struct_passwd:
    """Return a user that is not root, preferably one without processes."""
    users = {user.pw_name: user for user in reversed(pwd.getpwall()) if user.pw_uid != 0}
    for name in ("bin", "daemon", "nobody", *users):
        if name in users:
            return users[name]
    raise ConfigurationError("/etc/passwd has no user except root; set DATABASE_URL to your own PostgreSQL")
