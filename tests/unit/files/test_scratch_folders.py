"""Scratch folders of killed processes are removed, and those of live ones stay."""

import subprocess
import sys

import pytest

from callsheet.domain.errors import ConfigurationError
from callsheet.files.scratch_folders import own_scratch_folder, remove_abandoned_folders

HOLDER = """
import sys, time
from pathlib import Path
from callsheet.files.scratch_folders import own_scratch_folder
folder = own_scratch_folder(Path(sys.argv[1]))
(folder / "run").mkdir()
(folder / "run" / "film.mp4").write_text("x")
print(folder, flush=True)
sys.stdin.read()
"""


def holder(space):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(space)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, space / process.stdout.readline().strip()


def test_only_the_folders_of_killed_processes_are_removed(tmp_path):
    live, live_folder = holder(tmp_path)
    killed, killed_folder = holder(tmp_path)
    own = own_scratch_folder(tmp_path)
    (tmp_path / "foreign").mkdir()
    try:
        killed.kill()
        killed.wait(30)
        assert killed_folder.is_dir()

        assert remove_abandoned_folders(tmp_path) == 1

        assert sorted(tmp_path.iterdir()) == sorted([live_folder, own, tmp_path / "foreign"])
        assert (live_folder / "run" / "film.mp4").read_text() == "x"
    finally:
        live.communicate("", timeout=30)
    assert not live_folder.exists(), "a process removes its folder at exit"


def test_a_process_has_one_folder_in_each_space(tmp_path):
    first = own_scratch_folder(tmp_path / "one")

    assert own_scratch_folder(tmp_path / "one") == first
    assert own_scratch_folder(tmp_path / "two") != first


def test_a_scratch_space_that_another_user_may_have_put_in_place_is_refused(tmp_path):
    shared, theirs = tmp_path / "shared", tmp_path / "theirs"
    for folder in (shared, theirs):
        folder.mkdir()
    shared.chmod(0o1777)
    (shared / "space").symlink_to(theirs)

    with pytest.raises(ConfigurationError, match="belongs to another user, or is no folder"):
        own_scratch_folder(shared / "space")

    assert list(theirs.iterdir()) == []
    assert own_scratch_folder(shared / "other").parent.stat().st_mode & 0o777 == 0o700
