"""Keys that Callsheet makes up are distinguished from those of others."""

import os
from uuid import UUID

import pytest

from callsheet.files.object_keys import object_key, upload_key
from callsheet.files.stored_keys import KeyKind, StoredKey, read_stored_key
from callsheet.files.unfinished_files import unfinished_files

OPERATIONS = {"render", "preview"}
JOB = UUID("807cd8ce-ba6f-405b-8bf5-17e61a68e4b3")
SHA256 = "0f" * 32


@pytest.mark.parametrize(
    ("key", "kind", "token"),
    [
        (object_key("render", JOB, "final.mp4"), KeyKind.JOB, str(JOB)),
        (object_key("preview", JOB, "a b 🎬.jpg", epoch=12), KeyKind.JOB, str(JOB)),
        (upload_key(SHA256, "photo.PNG"), KeyKind.UPLOAD, SHA256),
        (upload_key(SHA256, "photo"), KeyKind.UPLOAD, SHA256),
        (f"uploads/incoming/{JOB}", KeyKind.DIRECT_UPLOAD, str(JOB)),
        (f"callsheet-check/{JOB}", KeyKind.CHECK, str(JOB)),
    ],
)
def test_own_keys_say_what_they_belong_to(key, kind, token):
    assert read_stored_key(key, OPERATIONS) == StoredKey(key, kind, token)


@pytest.mark.parametrize(
    "key",
    [
        f"video-generation/{JOB}/final.mp4",
        f"render/{JOB}",
        f"render/{JOB}/2/deeper/final.mp4",
        f"render/{str(JOB).upper()}/final.mp4",
        "render/final.mp4",
        f"backup/render/{JOB}/final.mp4",
        f"uploads/{SHA256}.tar.gz",
        f"uploads/{SHA256[:-1]}.png",
        "uploads/incoming/photo.png",
        f"callsheet-cache/piece/0f/{SHA256}/{SHA256}-4",
        f"render/{JOB}/a\nb.mp4",
        f"render/{JOB}/final.mp4#2/x",
        "readme.txt",
    ],
)
def test_other_keys_belong_to_others(key):
    assert read_stored_key(key, OPERATIONS) is None


def test_a_key_is_known_as_texts_json_and_urls_contain_it():
    key = f'render/{JOB}/a "b" ü.mp4'

    assert read_stored_key(key, OPERATIONS).texts == [
        key,
        f'render/{JOB}/a \\"b\\" ü.mp4',
        f"render/{JOB}/a%20%22b%22%20%C3%BC.mp4",
    ]


def test_files_that_are_being_written_are_found_in_all_folders(tmp_path):
    folder = tmp_path / "render" / str(JOB)
    folder.mkdir(parents=True)
    for name in ("final.mp4", "final.mp4#1", "other#x"):
        (folder / name).write_text("x")
    (folder / "link#3").symlink_to(folder / "final.mp4")
    open(os.fsencode(folder) + b"/\xff.mp4#1", "w").close()  # noqa: PTH123 - a name that is no text

    assert [(found.key, found.size) for found in unfinished_files(tmp_path)] == [(f"render/{JOB}/final.mp4#1", 1)]
