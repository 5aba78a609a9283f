"""Temporary files: what processes left behind goes, what lives and what belongs to others stays."""

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from callsheet.files.file_locks import shared_lock
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.files.temporary_files import TemporaryRules, only_clean_up, remove_entries, survey_scratch_spaces

DAY = 86400
RULES = TemporaryRules(max_age=timedelta(days=7), finished_max_age=timedelta(days=1), max_bytes=10**12)
NO_ROOM = TemporaryRules(max_age=timedelta(days=7), finished_max_age=timedelta(days=1), max_bytes=0)
HOLDER = """
import sys
from pathlib import Path
from callsheet.files.scratch_folders import own_scratch_folder
folder = own_scratch_folder(Path(sys.argv[1]))
(folder / "run").mkdir()
(folder / "run" / "film.mp4").write_bytes(bytes(100_000))
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def space(tmp_path):
    return tmp_path / "space"


@pytest.fixture
def holder(space):
    """A process with a folder of its own in the scratch space."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(space)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.folder = space / process.stdout.readline().strip()
    yield process
    process.kill()
    process.wait(60)
    process.stdin.close()
    process.stdout.close()


def make(path, *, size=10_000, days=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    age(path.parent if path.parent.name != "space" else path, days)


def age(path, days):
    """Make everything in a folder older."""
    at = time.time() - days * DAY
    for each in (*path.rglob("*"), path):
        if not each.is_symlink():
            os.utime(each, (at, at))


def clean(space, rules=RULES):
    return remove_entries(survey_scratch_spaces([space], rules).removable)


def names(space):
    return sorted(path.name for path in space.iterdir())


def test_the_folder_of_a_live_process_stays_though_it_is_old_and_there_is_no_room(space, holder):
    age(holder.folder, days=30)

    found = survey_scratch_spaces([space], NO_ROOM)
    removed = clean(space, NO_ROOM)

    assert [entry.path for entry in found.live] == [holder.folder]
    assert (removed.files, removed.failures) == (0, [])
    assert (holder.folder / "run" / "film.mp4").stat().st_size == 100_000


def test_the_folder_of_a_killed_process_goes_at_once(space, holder):
    holder.kill()
    holder.wait(60)

    removed = clean(space)

    assert names(space) == []
    assert removed.files == 2
    assert 100_000 <= removed.bytes <= 120_000


def test_the_own_folder_of_the_process_stays(space):
    folder = own_scratch_folder(space)
    age(folder, days=30)

    clean(space, NO_ROOM)

    assert folder.is_dir()


def test_what_no_process_has_goes_after_its_time(space):
    make(space / "old" / "part", days=8)
    make(space / "young" / "part", days=6)

    clean(space)

    assert names(space) == ["young"]


def test_a_changed_file_keeps_the_whole_folder(space):
    make(space / "mixed" / "deep" / "part", days=8)
    age(space / "mixed", days=8)
    (space / "mixed" / "deep" / "new").write_text("x")
    age(space / "mixed" / "deep", days=8)
    os.utime(space / "mixed" / "deep" / "new")

    clean(space)

    assert names(space) == ["mixed"]


def test_finished_results_go_after_their_time_and_stay_while_a_run_stores_them(space):
    for name in ("old", "stored-now", "young"):
        make(space / "finished" / name / "result.json", days=0.5 if name == "young" else 2)

    with shared_lock(space / "finished" / "stored-now" / "result.json"):
        clean(space)

    assert names(space / "finished") == ["stored-now", "young"]


def test_above_the_maximum_size_the_oldest_go_first_until_there_is_room(space):
    for name, days in (("a", 1), ("b", 3), ("c", 2)):
        make(space / name / "part", size=40_960, days=days)
    rules = TemporaryRules(timedelta(days=7), timedelta(days=1), max_bytes=90_000)

    found = survey_scratch_spaces([space], rules)
    removed = clean(space, rules)

    assert [entry.path.name for entry in found.removable] == ["b"]
    assert found.bytes == 3 * 40_960
    assert names(space) == ["a", "c"]
    assert removed.bytes == 40_960


def test_what_was_changed_within_the_hour_stays_also_without_room(space):
    make(space / "young" / "part")

    clean(space, NO_ROOM)

    assert names(space) == ["young"]


def test_empty_folders_go_after_an_hour(space):
    (space / "empty" / "inner").mkdir(parents=True)
    age(space / "empty", days=0.1)
    (space / "new").mkdir()

    clean(space)

    assert names(space) == ["new"]


def test_links_are_removed_and_never_followed(space, tmp_path, holder):
    (tmp_path / "film.mp4").write_bytes(bytes(50_000))
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "master.mp4").write_text("master")
    (space / "inside").mkdir()
    (space / "inside" / "link").symlink_to(tmp_path / "library")
    (space / "link").symlink_to(tmp_path / "library")
    (holder.folder / "run" / "link").symlink_to(tmp_path / "library")
    age(space / "inside", days=30)
    os.utime(space / "inside" / "link", (0, 0), follow_symlinks=False)
    os.utime(space / "link", (0, 0), follow_symlinks=False)
    holder.kill()
    holder.wait(60)

    removed = clean(space)

    assert names(space) == []
    assert (tmp_path / "library" / "master.mp4").read_text() == "master"
    assert removed.bytes < 120_000, "what links lead to is not counted"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user_stay(space):
    make(space / "theirs" / "part", days=30)
    os.chown(space / "theirs", 12345, 12345)

    assert [entry.path.name for entry in survey_scratch_spaces([space], NO_ROOM).live] == ["theirs"]
    clean(space, NO_ROOM)

    assert names(space) == ["theirs"]


def test_a_file_with_two_links_counts_once(space):
    make(space / "one" / "film", size=40_960)
    (space / "two").mkdir()
    (space / "two" / "film").hardlink_to(space / "one" / "film")

    assert survey_scratch_spaces([space], RULES).bytes == 40_960


def test_one_process_at_a_time_cleans_a_scratch_space(space):
    with only_clean_up([space]) as first, only_clean_up([space]) as second:
        assert (first, second) == (True, False)
    with only_clean_up([space]) as third:
        assert third


def test_a_missing_scratch_space_has_no_files(space):
    found = survey_scratch_spaces([space], RULES)

    assert (found.bytes, found.live, found.removable) == (0, [], [])
