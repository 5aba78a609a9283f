"""The embedded PostgreSQL, with real processes that come, go and are killed."""

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

from callsheet.db.embedded.postgres import EmbeddedPostgres
from callsheet.domain.errors import ConfigurationError

MEMBER = Path(__file__).with_name("member.py")
CONTAINED = Path(__file__).with_name("contained.py")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="shows what happens to root")


def ask(dsn, query, *arguments):
    async def once():
        connection = await asyncpg.connect(dsn, timeout=20)
        try:
            return await connection.fetchval(query, *arguments)
        finally:
            await connection.close()

    return asyncio.run(once())


def keep(dsn, value):
    ask(dsn, "CREATE TABLE IF NOT EXISTS kept (value text)")
    ask(dsn, "INSERT INTO kept VALUES ($1)", value)


def kept(dsn):
    return ask(dsn, "SELECT string_agg(value, ' ') FROM kept")


def until(condition, what, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: did not happen in {seconds} s"
        time.sleep(0.005)
    return found


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ends(pid):
    """A process drops its locks an instant before it is gone."""
    return until(lambda: is_gone(pid), f"the end of process {pid}", seconds=5)


class Member:
    """Another process that uses the server; `end` lets it leave, `kill` does not."""

    def __init__(self, folder, *prefix):
        command = [*prefix, sys.executable, str(MEMBER), str(folder)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "CALLSHEET_API_KEY": "a key that the server need not know"},
        )

    def joined(self):
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        pid, self.dsn = line.strip().split(" ")
        self.server_pid = int(pid)
        return self

    def refused(self):
        _, words = self.process.communicate(timeout=30)
        assert self.process.returncode != 0
        return words

    def end(self):
        _, words = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, words

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
    """A folder in memory where there is such, since making a database mostly waits for the disk."""
    memory = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(prefix="callsheet-test-", dir=memory if os.access(memory, os.W_OK) else None))
    yield place
    shutil.rmtree(place)


@pytest.fixture
def tmp_path():
    with folder_in_memory() as place:
        yield place


@pytest.fixture(scope="module")
def made():
    with folder_in_memory() as place:
        with EmbeddedPostgres(place / "postgres"):
            pass
        yield place / "postgres"


@pytest.fixture
def new_folder(tmp_path):
    yield (place := tmp_path / "postgres")
    end_servers(place)


@pytest.fixture
def folder(new_folder, made):
    """A folder with a database that was made before."""
    shutil.copytree(made, new_folder)
    return new_folder


@pytest.fixture
def open_place(tmp_path):
    """A folder that every user can enter."""
    tmp_path.chmod(0o755)
    yield tmp_path
    end_servers(tmp_path / "postgres")


def end_servers(folder):
    if (folder / "cluster" / "PG_VERSION").exists():
        with contextlib.suppress(ConfigurationError):
            postgres = EmbeddedPostgres(folder)
            postgres.start()
            postgres.stop()
    # No assertion: a test that failed should tell its own story.
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[1:3] == ["-D", str(folder / "cluster")]:
            process.kill()


def test_it_is_set_up_to_keep_what_it_was_given(new_folder):
    with EmbeddedPostgres(new_folder, config={"work_mem": "9MB"}) as dsn:
        keep(dsn, "ünïcode 🎬")

        shown = {
            name: ask(dsn, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "data_checksums", "server_encoding", "timezone", "work_mem")
        }
        provider = ask(dsn, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'postgres'")

    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "timezone": "UTC",
        "work_mem": "9MB",
    }
    assert provider == "bC.UTF-8"
    with EmbeddedPostgres(new_folder) as dsn:
        assert kept(dsn) == "ünïcode 🎬"


def test_settings_changed_in_the_database_win_over_ours(folder):
    with EmbeddedPostgres(folder) as dsn:
        ask(dsn, "ALTER SYSTEM SET max_connections = 77")

    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SHOW max_connections") == "77"


def test_many_processes_that_start_at_once_share_one_server(new_folder, members):
    crowd = [members(new_folder) for _ in range(5)]

    pids = {member.joined().server_pid for member in crowd}

    assert len(pids) == 1
    for member in crowd:
        member.end()
    assert ends(pids.pop())


def test_the_last_one_out_stops_the_server_and_nobody_before(folder, members):
    first, second = members(folder).joined(), None
    second = members(folder).joined()

    first.end()

    assert ask(second.dsn, "SELECT 1") == 1
    second.end()
    assert ends(second.server_pid)
    assert "database system is shut down" in (folder / "postgres.log").read_text()


def test_killing_the_process_that_started_it_leaves_the_others_their_server(folder, members):
    starter = members(folder).joined()
    other = members(folder).joined()

    starter.kill()

    assert ask(other.dsn, "SELECT 1") == 1
    other.end()
    assert ends(other.server_pid)


def test_ctrl_c_in_the_terminal_of_the_starter_does_not_reach_the_server(folder, members):
    starter = members(folder).joined()
    other = members(folder).joined()

    starter.interrupt()

    assert starter.process.returncode == -signal.SIGINT
    assert ask(other.dsn, "SELECT 1") == 1
    assert not is_gone(other.server_pid)


def test_a_server_whose_members_were_all_killed_is_joined_and_then_stopped(folder, members):
    lost = [members(folder).joined(), members(folder).joined()]
    keep(lost[0].dsn, "before")
    for member in lost:
        member.kill()

    with EmbeddedPostgres(folder) as dsn:
        assert kept(dsn) == "before"
        pid = EmbeddedPostgres(folder).server_pid

    assert pid == lost[0].server_pid
    assert ends(pid)


def test_a_killed_server_comes_back_with_all_that_was_committed(folder):
    postgres = EmbeddedPostgres(folder)
    keep(postgres.start(), "committed")
    killed = postgres.server_pid

    postgres.kill()
    dsn = postgres.start()

    assert kept(dsn) == "committed"
    assert postgres.server_pid not in (killed, None)
    postgres.stop()
    assert postgres.server_pid is None


@pytest.mark.parametrize("step", ["start", "stop"])
def test_children_of_a_killed_server_stand_in_nobodys_way(folder, step):
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

    assert ends(child)
    assert ask(postgres.start(), "SELECT 1") == 1
    postgres.stop()


def test_stale_notes_with_a_process_id_that_is_somebody_elses_now_are_not_believed(folder):
    postgres = EmbeddedPostgres(folder)
    keep(postgres.start(), "kept")
    postgres.kill()
    note = folder / "cluster" / "postmaster.pid"
    _, *rest = note.read_text().splitlines()
    note.write_text("\n".join([str(os.getpid()), *rest]) + "\n")
    (folder / "cluster" / ".s.PGSQL.5432.lock").write_text("\n".join([str(os.getpid()), *rest]) + "\n")

    dsn = postgres.start()

    assert kept(dsn) == "kept"
    postgres.stop()


def test_a_stale_note_does_not_get_a_stranger_killed(folder):
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    postgres.kill()
    note = folder / "cluster" / "postmaster.pid"
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    _, *rest = note.read_text().splitlines()
    note.write_text("\n".join([str(stranger.pid), *rest]) + "\n")

    assert postgres.server_pid is None
    postgres.kill()
    postgres.stop()

    assert stranger.poll() is None
    stranger.communicate(b"\n")


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


def test_starting_and_stopping_twice_changes_nothing(folder):
    postgres = EmbeddedPostgres(folder)

    assert postgres.start() == postgres.start()

    postgres.stop()
    postgres.stop()
    assert postgres.server_pid is None


def test_a_making_that_was_cut_off_is_begun_anew(new_folder, members):
    cut = members(new_folder)
    until((new_folder / "cluster.new" / "cluster" / "global").exists, "the making of the cluster")
    cut.kill()
    assert not (new_folder / "cluster").exists()

    with EmbeddedPostgres(new_folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1

    assert not (new_folder / "cluster.new").exists()


def test_leftovers_of_an_older_cut_off_making_are_cleared_away(new_folder):
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


def test_a_path_too_long_for_a_socket_gets_a_short_private_socket_folder(tmp_path, members):
    folder = tmp_path / ("long " * 20) / ("and longer " * 10) / "postgres"
    try:
        member = members(folder).joined()
        sockets = Path(ask(member.dsn, "SHOW unix_socket_directories"))

        assert sockets.parent == Path(tempfile.gettempdir())
        assert sockets.stat().st_mode & 0o777 == 0o700
        member.end()
        assert ends(member.server_pid)
        sockets.rmdir()
        sockets.symlink_to(tmp_path)
        with pytest.raises(ConfigurationError, match="not a private folder of this user"):
            EmbeddedPostgres(folder).start()
        sockets.unlink()
    finally:
        end_servers(folder)


def test_the_socket_and_the_files_are_closed_to_other_users(folder):
    with EmbeddedPostgres(folder) as dsn:
        assert Path(ask(dsn, "SHOW unix_socket_directories")) == folder / "cluster"
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}

    assert modes.pop("cluster") == 0o700
    assert set(modes.values()) == {0o600}


def test_no_network_port_is_open_unless_asked_for(folder):
    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SHOW listen_addresses") == ""
    with pytest.raises(ConfigurationError, match="no TCP port"):
        _ = EmbeddedPostgres(folder).tcp_dsn


def test_a_network_port_asks_for_the_password(folder):
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


def test_the_server_does_not_inherit_our_secrets(folder, members):
    member = members(folder).joined()

    environment = psutil.Process(member.server_pid).environ()

    assert "PATH" in environment
    assert not [name for name in environment if name.startswith("CALLSHEET")]


def test_a_database_of_another_postgresql_version_is_told(folder):
    with EmbeddedPostgres(folder):
        pass
    (folder / "cluster" / "PG_VERSION").write_text("16\n")

    with pytest.raises(
        ConfigurationError, match=r"created by PostgreSQL 16, but this is PostgreSQL 18\. Migrate it with pg_upgrade"
    ):
        EmbeddedPostgres(folder).start()


def test_a_folder_that_holds_something_else_is_left_alone(new_folder):
    (new_folder / "cluster").mkdir(parents=True)
    (new_folder / "cluster" / "holiday.mov").write_text("mine")

    with pytest.raises(ConfigurationError, match="not empty and not a PostgreSQL database"):
        EmbeddedPostgres(new_folder).start()

    assert (new_folder / "cluster" / "holiday.mov").read_text() == "mine"


def test_a_server_that_does_not_start_says_what_its_log_says(folder):
    with pytest.raises(ConfigurationError, match='unrecognized configuration parameter "work_memory"'):
        EmbeddedPostgres(folder, config={"work_memory": "9MB"}).start()

    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"cannot use .*/file/postgres .*CALLSHEET_DATA_DIR.*DATABASE_URL"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()


def test_a_swollen_log_is_put_aside_once(folder):
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
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", place], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", place], check=True)


@needs_root
def test_a_disk_too_full_for_a_new_database_is_told_and_nothing_is_begun(small_disk):
    with pytest.raises(ConfigurationError, match=r"is full: a new database needs 128 MB, \d+ MB are free"):
        EmbeddedPostgres(small_disk / "postgres").start()

    assert not list(small_disk.glob("postgres/cluster*"))


@needs_root
def test_a_disk_that_is_full_now_is_told_and_harms_nothing(small_disk, made):
    folder = small_disk / "postgres"
    shutil.copytree(made, folder)
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(bytes(2**16)):
            pass

    with pytest.raises(ConfigurationError, match="No space left on device"):
        EmbeddedPostgres(folder).start()

    (small_disk / "ballast").unlink()
    with EmbeddedPostgres(folder) as dsn:
        assert ask(dsn, "SELECT 1") == 1


@needs_root
def test_root_runs_it_in_a_user_namespace_and_nothing_changes_hands(new_folder, members):
    member = members(new_folder).joined()

    inside = Path(f"/proc/{member.server_pid}/uid_map").read_text().split()
    owners = {path.stat().st_uid for path in (new_folder, *new_folder.rglob("*"))}

    assert inside[0] != "0"
    assert inside[1:] == ["0", "1"]
    assert owners == {0}
    assert new_folder.parent.stat().st_mode & 0o777 == 0o700


@needs_root
def test_root_of_a_container_without_namespaces_runs_it_as_a_user_of_its_own(open_place, members):
    folder = open_place / "postgres"

    member = members(folder, sys.executable, str(CONTAINED), "docker").joined()

    assert Path(f"/proc/{member.server_pid}").stat().st_uid == (folder / "cluster").stat().st_uid == 60_500
    assert (folder / "cluster").stat().st_mode & 0o777 == 0o700
    assert capabilities(member.server_pid) == 0
    member.end()
    assert ends(member.server_pid)


@needs_root
def test_root_of_a_container_may_keep_it_in_a_folder_closed_to_others(open_place, members):
    folder = open_place / "postgres"
    open_place.chmod(0o700)

    member = members(folder, sys.executable, str(CONTAINED), "docker").joined()

    dac_override = 1 << 1
    assert capabilities(member.server_pid) == dac_override
    assert open_place.stat().st_mode & 0o777 == 0o700
    assert open_place.stat().st_uid == 0
    member.end()


@needs_root
def test_a_database_made_on_one_machine_goes_on_where_namespaces_are_not_permitted(open_place, members):
    folder = open_place / "postgres"
    with EmbeddedPostgres(folder) as dsn:
        keep(dsn, "outside")

    member = members(folder, sys.executable, str(CONTAINED), "docker").joined()
    keep(member.dsn, "inside")
    member.end()

    with EmbeddedPostgres(folder) as dsn:
        assert kept(dsn) == "outside inside"


@needs_root
def test_root_without_any_rights_is_told_what_to_do(open_place, members):
    words = members(open_place / "postgres", sys.executable, str(CONTAINED), "bare").refused()

    assert "ConfigurationError: This user cannot start the embedded PostgreSQL" in words
    assert "DATABASE_URL" in words
    assert "user namespaces are not permitted here" in words


def capabilities(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
