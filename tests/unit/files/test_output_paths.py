"""Paths of downloaded files."""

from callsheet.files.output_paths import output_paths


def paths(*files):
    return [str(path) for path in output_paths((n, *file) for n, file in enumerate(files)).values()]


def test_files_are_in_the_folders_of_their_jobs_and_child_jobs_are_nested():
    files = [("a", "clip.mp4"), ("b", "clip.mp4"), ("cut/part-1", "clip.mp4")]
    assert paths(*files) == ["a/clip.mp4", "b/clip.mp4", "cut/part-1/clip.mp4"]


def test_paths_that_would_collide_get_numbers():
    files = [("a", "clip.mp4"), ("a", "clip.mp4"), ("a", "CLIP.mp4"), ("A", "clip-2.mp4")]
    assert paths(*files) == ["a/clip.mp4", "a/clip-2.mp4", "a/CLIP-3.mp4", "A/clip-2-2.mp4"]


def test_a_file_does_not_take_the_name_of_the_folder_of_a_child_job():
    assert paths(("cut", "part"), ("cut/part", "x.txt")) == ["cut/part-2", "cut/part/x.txt"]


def test_names_of_a_server_never_leave_the_folder():
    files = [("../../etc", "../passwd"), ("/root", "..")]
    assert paths(*files) == ["file/file/etc/-passwd".replace("/-", "/"), "file/root/file"]
