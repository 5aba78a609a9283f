"""Under which user the embedded PostgreSQL runs.

As ourselves, wherever that is possible. PostgreSQL refuses root, so root starts it in a user namespace; where the
machine permits none (most containers), as a user of its own.
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
# Commonly free: Debian gives out numbers up to 59999 and from 65000, systemd from 61184. Above 65535 a container often
# has no ids at all.
_SERVICE_IDS = range(60_500, 60_600)


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """One way to start a program that refuses root. `uid` is the owner of the files it can use, None: ours."""

    identity: str
    uid: int | None = None
    gid: int | None = None

    def command(self, program: Path, *arguments: str, folder: Path, detached: bool = False) -> list[str]:
        """Return the argument list that runs `program` in `folder` under this account."""
        manner = "detach" if detached else "wait"
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER), self.identity, manner, str(folder)]
        return [*launcher, str(program), *arguments]

    def with_a_name(self) -> "ServerAccount":
        """Return an account that stands in the system's list of users: `initdb` asks for its name."""
        if self.uid is None or _has_name(self.uid):
            return self
        kind = self.identity.partition(":")[0]
        named = _named_user()
        return ServerAccount(f"{kind}:{named.pw_uid}:{named.pw_gid}", named.pw_uid, named.pw_gid)

    def refusal(self, program: Path, folder: Path) -> str | None:
        """Try it: return why `program` cannot be run in `folder` like this, None if it can."""
        command = self.command(program, "--version", folder=folder)
        done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
        return None if done.returncode == 0 else done.stderr.strip()


def choose_account(program: Path, folder: Path, owner: int | None) -> ServerAccount:
    """Find the account for the cluster in `folder`; `owner` is the user id it belongs to, None before it exists.

    Raises ConfigurationError telling what was tried.
    """
    refusals = []
    for account in _candidates(owner):
        refusal = account.with_a_name().refusal(program, folder)
        if refusal is None:
            return account
        refusals.append(refusal)
    raise ConfigurationError(
        "The embedded PostgreSQL cannot be started by this user. Run Callsheet as an ordinary user, point "
        "CALLSHEET_DATA_DIR to a folder that others may enter, or set DATABASE_URL to a PostgreSQL of your own. "
        "Tried: " + "; ".join(refusals)
    )


def owner_of(path: Path) -> int | None:
    """Return the user id that `path` belongs to, None if it does not exist."""
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


def hand_over(tree: Path, account: ServerAccount) -> None:
    """Give a folder with all it holds to the account; the folder itself last, so that a half-done one is seen."""
    if account.uid is None or account.gid is None or owner_of(tree) == account.uid:
        return
    for parent, folders, files in os.walk(tree):
        for name in (*folders, *files):
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)
    os.chown(tree, account.uid, account.gid)


def private_folder(path: Path, account: ServerAccount) -> Path:
    """Make a folder that only the account can enter; raises ConfigurationError if somebody else's stands there."""
    path.mkdir(mode=0o700, exist_ok=True)
    wanted = os.geteuid() if account.uid is None else account.uid
    found = path.lstat()
    ours = found.st_uid in (wanted, os.geteuid())
    if not stat.S_ISDIR(found.st_mode) or not ours or stat.S_IMODE(found.st_mode) != 0o700:
        raise ConfigurationError(
            f"{path} is not a folder of ours alone, so PostgreSQL's socket is not put there: remove it"
        )
    if found.st_uid != wanted:
        os.chown(path, wanted, -1)
    return path


def _candidates(owner: int | None) -> Iterator[ServerAccount]:
    if os.geteuid() != 0:
        # A container may run under a number that has no name, which only the making of a cluster minds.
        named = owner is not None or _has_name(os.geteuid())
        yield ServerAccount("self" if named else f"namespace:{_named_user().pw_uid}")
        return
    if not owner:
        yield ServerAccount(f"namespace:{_named_user().pw_uid}")
    uid, gid = _ids(owner)
    yield ServerAccount(f"user:{uid}:{gid}", uid, gid)
    yield ServerAccount(f"searching:{uid}:{gid}", uid, gid)


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
    """Return a user that is not root, best one under which nothing runs."""
    users = {user.pw_name: user for user in reversed(pwd.getpwall()) if user.pw_uid != 0}
    for name in ("bin", "daemon", "nobody", *users):
        if name in users:
            return users[name]
    raise ConfigurationError("The list of users (/etc/passwd) names nobody but root; set DATABASE_URL to a PostgreSQL")
