"""Files that a trainer writes, and its folder."""

import json
from uuid import uuid4

import pytest
from PIL import Image

from callsheet.domain.errors import BadParams, Transient
from callsheet.settings import Settings
from callsheet.training.finished_files import FileWatch, is_complete
from callsheet.training.lora_profiles import find_resume
from callsheet.training.output_folder import open_folder, output_path


def safetensors(size=8):
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


def test_a_growing_file_is_not_complete(tmp_path):
    path, data = tmp_path / "face.safetensors", safetensors()
    for length in (0, 4, 20, len(data) - 1):
        path.write_bytes(data[:length])
        assert not is_complete(path)
    path.write_bytes(data)
    assert is_complete(path)


def test_a_growing_picture_is_not_complete(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    data = path.read_bytes()
    assert is_complete(path)
    path.write_bytes(data[:-3])
    assert not is_complete(path)


def test_a_file_is_found_once_it_no_longer_changes(tmp_path):
    (tmp_path / "sample").mkdir()
    (tmp_path / "sample/face_1.mp4").write_bytes(b"video")
    (tmp_path / "face-000001.safetensors").write_bytes(safetensors())
    (tmp_path / "other.safetensors").write_bytes(safetensors())
    watch = FileWatch(tmp_path, ["face"])

    assert watch.look() == []
    assert [path.name for path in watch.look()] == ["face-000001.safetensors", "face_1.mp4"]
    assert [path.name for path in watch.look(skip=frozenset({"face_1.mp4"}))] == ["face-000001.safetensors"]
    (tmp_path / "sample/face_1.mp4").write_bytes(b"longer video")
    assert [path.name for path in watch.look()] == ["face-000001.safetensors"]


@pytest.mark.parametrize("given", ["../up", "/etc", "a\0"])
def test_an_output_folder_outside_of_the_root_is_refused(tmp_path, given):
    with pytest.raises(BadParams, match="params are invalid"):
        output_path(Settings(_env_file=None, training_output=tmp_path / "out"), given, "face")


def test_the_output_folder_follows_from_the_name(tmp_path):
    settings = Settings(_env_file=None, training_output=tmp_path)
    assert output_path(settings, None, "face") == tmp_path / "face"
    assert output_path(settings, str(tmp_path / "loras"), "face") == tmp_path / "loras/face"


def test_an_unfinished_training_with_the_same_inputs_continues(tmp_path):
    with open_folder(tmp_path / "face", "digest", uuid4(), resume=True) as folder:
        folder.record.runs.append({"name": "face", "epochs": 0, "steps": 0})
        folder.save()
        (folder.path / "face-000002-state").mkdir()
    with open_folder(tmp_path / "face", "digest", uuid4(), resume=True) as folder:
        assert folder.resumes
        assert folder.record.stored == {}
        found = find_resume(folder, "sd15", 10)
    assert (found.state.name, found.epochs, found.steps) == ("face-000002-state", 2, 20)


def test_states_of_a_resumed_wan_training_count_from_their_start(tmp_path):
    with open_folder(tmp_path / "face", "digest", uuid4(), resume=True) as folder:
        folder.record.runs += [
            {"name": "face", "epochs": 0, "steps": 0},
            {"name": "face-after-2", "epochs": 2, "steps": 20},
        ]
        (folder.path / "face-000002-state").mkdir()
        (folder.path / "face-after-2-000003-state").mkdir()
        found = find_resume(folder, "wan", 10)
    assert (found.epochs, found.steps) == (5, 50)


@pytest.mark.parametrize("change", ["other inputs", "finished", "no resume", "foreign"])
def test_a_folder_with_something_else_is_moved_away(tmp_path, change):
    job, path = uuid4(), tmp_path / "face"
    if change == "foreign":
        path.mkdir()
    else:
        with open_folder(path, "digest", uuid4(), resume=True) as folder:
            folder.record.finished = change == "finished"
            folder.save()
    (path / "mine.txt").write_text("mine")
    digest = "other" if change == "other inputs" else "digest"
    with open_folder(path, digest, job, resume=change != "no resume") as folder:
        assert not folder.resumes
    assert (tmp_path / "face.earlier-1/mine.txt").read_text() == "mine"


def test_two_jobs_do_not_train_into_one_folder(tmp_path):
    first, second = (open_folder(tmp_path / "face", "digest", uuid4(), resume=True) for _ in range(2))
    with first, pytest.raises(Transient, match="Another job"), second:
        pass
    with open_folder(tmp_path / "face", "digest", uuid4(), resume=True):
        pass
