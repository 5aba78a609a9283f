"""Paths of downloaded files: `<job>/<name>`."""

from collections.abc import Hashable, Iterable
from pathlib import PurePosixPath
from typing import TypeVar

from callsheet.files.object_keys import safe_name

Id = TypeVar("Id", bound=Hashable)


def output_paths(files: Iterable[tuple[Id, str, str]]) -> dict[Id, PurePosixPath]:
    """Return a relative path for each file, given as its id, the id of its job in the plan, and its name.

    The files of a job are in a folder with the name of the job, those of a child job in a folder below that of its
    parent. If two paths would collide, also on a disk that ignores case, the later one gets a number: `clip-2.mp4`.
    """
    given = [(file, _folder(job), safe_name(name)) for file, job, name in files]
    taken = {str(parent).casefold() for _, folder, _ in given for parent in (folder, *folder.parents)}
    paths = {}
    for file, folder, name in given:
        path = folder / name
        number = 1
        while str(path).casefold() in taken:
            number += 1
            path = (folder / name).with_stem(f"{PurePosixPath(name).stem}-{number}")
        taken.add(str(path).casefold())
        paths[file] = path
    return paths


def _folder(job: str) -> PurePosixPath:
    return PurePosixPath(*map(safe_name, job.split("/")))
