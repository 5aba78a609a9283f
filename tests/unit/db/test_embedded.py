"""The embedded PostgreSQL, with real processes that start, stop and are killed."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from tests.support.ended import is_gone

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.domain.errors import ConfigurationError

MEMBER = Path(__file__).with_name("member.py")
CONTAINED = Path(__file__).with_name("contained.py")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="requires root")


def ask(dsn, query, *arguments):
    async def once():
        connection = await asyncpg.connect(dsn, timeout=20)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    return asyncio.run(once())


def insert_value(dsn, value):
    ask(dsn, "CREATE TABLE IF NOT EXISTS kept (value text)")
    ask(dsn, "INSERT INTO kept VALUES ($1)", value)


def stored_values(dsn):
    return ask(dsn, "SELECT string_agg(value, ' ') FROM kept")


def until(condition, what, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: did not happen within {seconds} s"
        time.sleep(0.005)
    return found


def wait_for_exit(pid):
    """Wait for the exit of a process, which releases its locks an instant earlier."""
    return until(lambda: is_gone(pid), f"the end of process {pid}", seconds=5)


class Member:
    """Another process that uses the server. `end` lets it leave the members, `kill` does not."""

    def __init__(self, folder, *prefix):
        command = [*prefix, sys.executable, str(MEMBER), str(folder)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "CALLSHEET_API_KEY": "a secret"},
        )

    def joined(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        pid, self.dsn = line.strip().split(" ")
        self.server_pid = int(pid)
        return self

    def failed_output(self):
        _, output = self.process.communicate(timeout=30)
        assert self.process.returncode != 0
        return output

    def end(self):
        _, output = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, output

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=30)

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.communicate(timeout=30)


@pytest.fixture
def members():
    started = []

    def start(folder, *prefix):
        started.append(Member(folder, *prefix))
        return started[-1]

    yield start
    for member in started:
        if member.process.poll() is None:
            member.kill()


@contextlib.contextmanager
def folder_in_memory():
    """A folder in memory if possible, because initdb mostly waits for the disk."""
    memory = Path("/dev/shm")
    parent = Path(tempfile.mkdtemp(prefix="callsheet-test-", dir=memory if os.access(memory, os.W_OK) else None))
    yield parent
    shutil.rmtree(parent)


@pytest.fixture
def tmp_path():
    with folder_in_memory() as parent:
        yield parent


@pytest.fixture(scope="module")
def initialized():
    with folder_in_memory() as parent:
        with EmbeddedPostgres(parent / "postgres"):
            pass
        yield parent / "postgres"


@pytest.fixture
def new_folder(tmp_path):
    yield (parent := tmp_path / "postgres")
    end_servers(parent)


@pytest.fixture
def folder(new_folder, initialized):
    """A folder with an initialized database."""
    shutil.copytree(initialized, new_folder)
    return new_folder


@pytest.fixture
def public_folder(tmp_path):
    """A folder that all users can enter."""
    tmp_path.chmod(0o755)
    yield tmp_path
    end_servers(tmp_path / "postgres")


def end_servers(folder):
    if (folder / "cluster" / "PG_VERSION").exists():
        with contextlib.suppress(ConfigurationError):
            postgres = EmbeddedPostgres(folder)
            postgres.start()
            postgres.stop()
    # No assertion, to not hide the error of a failed test.
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[1:3] == ["-D", str(folder / "cluster")]:
            process.kill()


def test_it_is_configured_for_durability(new_folder):
    with EmbeddedPostgres(new_folder, config={"work_mem": "9MB"}) as dsn:
        insert_value(dsn, "ünïcode 🎬")

        settings = {
            name: ask(dsn, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "data_checksums", "server_encoding", "timezone", "work_mem")
        }
        provider = ask(dsn, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'postgres'")

    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "work_mem": "9MB",
    }
    assert provider == "bC.UTF-8"
    with EmbeddedPostgres(new_folder) as dsn:
        assert stored_values(dsn) == "ünïcode 🎬"


def test_alter_system_overrides_the_default_settings(folder):
    with EmbeddedPostgres(folder) as dsn:
        ask(dsn, "ALTER SYSTEM SET max_connections = 77")

    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SHOW max_connections") == "77"


def test_concurrent_starts_share_one_server(new_folder, members):
    processes = [members(new_folder) for _ in range(5)]

    pids = {member.joined().server_pid for member in processes}

    assert len(pids) == 1
    for member in processes:
        member.end()
    assert wait_for_exit(pids.pop())


def test_only_the_last_member_stops_the_server(folder, members):
    first, second = members(folder).joined(), None
    second = members(folder).joined()

    first.end()

    assert ask(second.dsn, "SELECT 1") == 1
    second.end()
    assert wait_for_exit(second.server_pid)
    assert "database system is shut down" in (folder / "postgres.log").read_text()


def test_killing_the_starting_process_does_not_stop_the_server(folder, members):
    starter = members(folder).joined()
    other = members(folder).joined()

    starter.kill()

    assert ask(other.dsn, "SELECT 1") == 1
    other.end()
    assert wait_for_exit(other.server_pid)


def test_ctrl_c_in_the_terminal_of_the_starting_process_does_not_reach_the_server(folder, members):
    starter = members(folder).joined()
    other = members(folder).joined()

    starter.interrupt()

    assert starter.process.returncode == -signal.SIGINT
    assert ask(other.dsn, "SELECT 1") == 1
    assert not is_gone(other.server_pid)


def test_a_server_whose_members_were_all_killed_is_joined_and_stopped(folder, members):
    killed_members = [members(folder).joined(), members(folder).joined()]
    insert_value(killed_members[0].dsn, "before")
    for member in killed_members:
        member.kill()

    with EmbeddedPostgres(folder) as dsn:
        assert stored_values(dsn) == "before"
        pid = EmbeddedPostgres(folder).server_pid

    assert pid == killed_members[0].server_pid
    assert wait_for_exit(pid)


def test_a_killed_server_recovers_all_committed_data(folder):
    postgres = EmbeddedPostgres(folder)
    insert_value(postgres.start(), "committed")
    killed = postgres.server_pid

    postgres.kill()
    dsn = postgres.start()

    assert stored_values(dsn) == "committed"
    assert postgres.server_pid not in (killed, None)
    postgres.stop()
    assert postgres.server_pid is None


@pytest.mark.parametrize("step", ["start", "stop"])
def test_children_of_a_killed_server_do_not_block(folder, step):
    postgres = EmbeddedPostgres(folder)
    dsn = postgres.start()

    async def leave_a_query_running():
        connection = await asyncpg.connect(dsn)
        child = connection.get_server_pid()
        endless = asyncio.ensure_future(connection.execute("DO $$ BEGIN LOOP END LOOP; END $$"))
        process = psutil.Process(child)
        await asyncio.to_thread(until, lambda: process.cpu_times().user > 0.05, "the endless query")
        postgres.kill()
        assert not is_gone(child)
        await asyncio.to_thread(getattr(postgres, step))
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            await asyncio.wait_for(endless, 20)
        return child

    child = asyncio.run(leave_a_query_running())

    assert wait_for_exit(child)
    assert ask(postgres.start(), "SELECT 1") == 1
    postgres.stop()


def test_a_stale_pid_file_with_a_reused_process_id_is_ignored(folder):
    postgres = EmbeddedPostgres(folder)
    insert_value(postgres.start(), "kept")
    postgres.kill()
    pid_file = folder / "cluster" / "postmaster.pid"
    _, *rest = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *rest]) + "\n")
    (folder / "cluster" / ".s.PGSQL.5432.lock").write_text("\n".join([str(os.getpid()), *rest]) + "\n")

    dsn = postgres.start()

    assert stored_values(dsn) == "kept"
    postgres.stop()


def test_a_process_that_reuses_the_id_of_a_stale_pid_file_is_not_killed(folder):
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    postgres.kill()
    pid_file = folder / "cluster" / "postmaster.pid"
    other_process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    _, *rest = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(other_process.pid), *rest]) + "\n")

    assert postgres.server_pid is None
    postgres.kill()
    postgres.stop()

    assert other_process.poll() is None
    other_process.communicate(b"\n")


def test_restarting_keeps_the_members(folder, members):
    other = members(folder).joined()
    postgres = EmbeddedPostgres(folder)
    postgres.start()

    dsn = postgres.restart()

    assert postgres.server_pid not in (other.server_pid, None)
    postgres.stop()
    assert ask(dsn, "SELECT 1") == 1
    other.end()
    assert postgres.server_pid is None


def test_start_and_stop_are_idempotent(folder):
    postgres = EmbeddedPostgres(folder)

    assert postgres.start() == postgres.start()

    postgres.stop()
    postgres.stop()
    assert postgres.server_pid is None


def test_an_interrupted_initialization_is_repeated(new_folder, members):
    interrupted = members(new_folder)
    until((new_folder / "cluster.new" / "cluster" / "global").exists, "the start of initdb")
    interrupted.kill()
    assert not (new_folder / "cluster").exists()

    with EmbeddedPostgres(new_folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1

    assert not (new_folder / "cluster.new").exists()


def test_leftovers_of_an_interrupted_initialization_are_deleted(new_folder):
    (new_folder / "cluster.new" / "cluster" / "base").mkdir(parents=True)
    (new_folder / "cluster.new" / "cluster" / "PG_VERSION").write_text("18\n")
    (new_folder / "cluster").mkdir()

    with EmbeddedPostgres(new_folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1


@pytest.mark.parametrize("name", ['it\'s a "film" 🎬', "a, b", "100% #1?&x=y@z", "back\\slash", " edges "])
def test_a_folder_may_have_any_name(tmp_path, name):
    folder = tmp_path / name / "postgres"

    try:
        with EmbeddedPostgres(folder) as dsn:
            assert ask(dsn, "SELECT 1") == 1
        assert (folder / "cluster" / "PG_VERSION").exists()
    finally:
        end_servers(folder)


def test_a_folder_name_with_a_line_break_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="a folder with this name"):
        EmbeddedPostgres(tmp_path / "two\nlines")


def test_a_path_too_long_for_a_socket_uses_a_short_private_folder(tmp_path, members):
    folder = tmp_path / ("long " * 20) / ("and longer " * 10) / "postgres"
    try:
        member = members(folder).joined()
        sockets = Path(ask(member.dsn, "SHOW unix_socket_directories"))

        assert sockets.parent == Path(tempfile.gettempdir())
        assert sockets.stat().st_mode & 0o777 == 0o700
        member.end()
        assert wait_for_exit(member.server_pid)
        sockets.rmdir()
        sockets.symlink_to(tmp_path)
        with pytest.raises(ConfigurationError, match="not a private folder of this user"):
            EmbeddedPostgres(folder).start()
        sockets.unlink()
    finally:
        end_servers(folder)


def test_the_socket_and_the_files_are_private(folder):
    with EmbeddedPostgres(folder) as dsn:
        assert Path(ask(dsn, "SHOW unix_socket_directories")) == folder / "cluster"
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}

    assert modes.pop("cluster") == 0o700
    assert set(modes.values()) == {0o600}


def test_no_tcp_port_is_open_by_default(folder):
    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SHOW listen_addresses") == ""
    with pytest.raises(ConfigurationError, match="no TCP port"):
        _ = EmbeddedPostgres(folder).tcp_dsn


def test_a_tcp_port_requires_the_password(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    postgres = EmbeddedPostgres(folder, port=port)
    with postgres as dsn:
        assert ask(dsn, "SHOW listen_addresses") == "127.0.0.1"
        assert ask(postgres.tcp_dsn, "SELECT host(inet_client_addr())") == "127.0.0.1"
        with pytest.raises(asyncpg.InvalidPasswordError):
            ask(f"postgresql://callsheet:guess@127.0.0.1:{port}/postgres", "SELECT 1")
        with EmbeddedPostgres(folder) as joined:
            assert joined == dsn
        with pytest.raises(ConfigurationError, match="not on port 1"):
            EmbeddedPostgres(folder, port=1).start()
        assert ask(dsn, "SELECT 1") == 1


def test_the_server_does_not_inherit_secrets(folder, members):
    member = members(folder).joined()

    environment = psutil.Process(member.server_pid).environ()

    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("CALLSHEET")]


def test_a_database_of_another_postgresql_version_is_reported(folder):
    with EmbeddedPostgres(folder):
        pass
    (folder / "cluster" / "PG_VERSION").write_text("16\n")

    with pytest.raises(
        ConfigurationError, match=r"created by PostgreSQL 16, but this is PostgreSQL 18\. It was not changed"
    ):
        EmbeddedPostgres(folder).start()


def test_a_folder_with_other_files_is_not_touched(new_folder):
    (new_folder / "cluster").mkdir(parents=True)
    (new_folder / "cluster" / "holiday.mov").write_text("mine")

    with pytest.raises(ConfigurationError, match="not empty and not a PostgreSQL database"):
        EmbeddedPostgres(new_folder).start()

    assert (new_folder / "cluster" / "holiday.mov").read_text() == "mine"


def test_a_failed_start_reports_the_server_log(folder):
    with pytest.raises(ConfigurationError, match='unrecognized configuration parameter "work_memory"'):
        EmbeddedPostgres(folder, config={"work_memory": "9MB"}).start()

    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1


def test_an_unusable_folder_is_reported(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"cannot use .*/file/postgres .*CALLSHEET_DATA_DIR.*DATABASE_URL"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()


def test_a_large_log_is_rotated_once(folder):
    with EmbeddedPostgres(folder):
        pass
    for _ in range(2):
        (folder / "postgres.log").write_bytes(b"noise\n" * 2**20)
        with EmbeddedPostgres(folder):
            pass

    logs = {path.name: path.stat().st_size for path in folder.glob("postgres.log*")}
    assert set(logs) == {"postgres.log", "postgres.log.1"}
    assert logs["postgres.log"] < 2**20


@pytest.fixture
def small_disk(tmp_path):
    parent = tmp_path / "disk"
    parent.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", parent], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not permitted here")
    yield parent
    subprocess.run(["umount", parent], check=True)


@needs_root
def test_a_disk_too_full_for_a_new_database_is_reported_and_nothing_is_created(small_disk):
    with pytest.raises(ConfigurationError, match=r"is full: a new database needs 128 MB, \d+ MB are free"):
        EmbeddedPostgres(small_disk / "postgres").start()

    assert not list(small_disk.glob("postgres/cluster*"))


@needs_root
def test_a_full_disk_is_reported_and_does_not_damage_the_database(small_disk, initialized):
    folder = small_disk / "postgres"
    shutil.copytree(initialized, folder)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(2**16)):
            pass

    with pytest.raises(ConfigurationError, match="No space left on device"):
        EmbeddedPostgres(folder).start()

    (small_disk / "ballast").unlink()
    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1


@needs_root
def test_root_runs_it_in_a_user_namespace_without_changing_owners(new_folder, members):
    member = members(new_folder).joined()

    inside = Path(f"/proc/{member.server_pid}/uid_map").read_text().split()
    owners = {path.stat().st_uid for path in (new_folder, *new_folder.rglob("*"))}

    assert inside[0] != "0"
    assert inside[1:] == ["0", "1"]
    assert owners == {0}
    assert new_folder.parent.stat().st_mode & 0o777 == 0o700


@needs_root
def test_root_of_a_container_without_namespaces_runs_it_as_a_separate_user(public_folder, members):
    folder = public_folder / "postgres"

    member = members(folder, sys.executable, str(CONTAINED), "docker").joined()

    assert Path(f"/proc/{member.server_pid}").stat().st_uid == (folder / "cluster").stat().st_uid == 60_500
    assert (folder / "cluster").stat().st_mode & 0o777 == 0o700
    assert capabilities(member.server_pid) == 0
    member.end()
    assert wait_for_exit(member.server_pid)


@needs_root
def test_root_of_a_container_may_use_a_private_folder(public_folder, members):
    folder = public_folder / "postgres"
    public_folder.chmod(0o700)

    member = members(folder, sys.executable, str(CONTAINED), "docker").joined()

    dac_override = 1 << 1
    assert capabilities(member.server_pid) == dac_override
    assert public_folder.stat().st_mode & 0o777 == 0o700
    assert public_folder.stat().st_uid == 0
    member.end()


@needs_root
def test_a_database_created_with_namespaces_works_without_them(public_folder, members):
    folder = public_folder / "postgres"
    with EmbeddedPostgres(folder) as dsn:
        insert_value(dsn, "outside")

    member = members(folder, sys.executable, str(CONTAINED), "docker").joined()
    insert_value(member.dsn, "inside")
    member.end()

    with EmbeddedPostgres(folder) as dsn:
        assert stored_values(dsn) == "outside inside"


@needs_root
def test_root_without_capabilities_gets_an_error_with_advice(public_folder, members):
    output = members(public_folder / "postgres", sys.executable, str(CONTAINED), "bare").failed_output()

    assert "ConfigurationError: This user cannot start the embedded PostgreSQL" in output
    assert "DATABASE_URL" in output
    assert "user namespaces are not permitted here" in output


def capabilities(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
