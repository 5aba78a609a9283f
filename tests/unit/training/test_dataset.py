"""Datasets: folders, archives, checks, buckets."""

import os
import zipfile

import pytest
from PIL import Image

from callsheet.domain.errors import BadParams, BadSource
from callsheet.training.bucketing import bucket_of, bucket_sizes, fill_buckets, steps_per_epoch
from callsheet.training.dataset_check import DatasetRules, check_dataset
from callsheet.training.dataset_files import IMAGES
from callsheet.training.dataset_source import extract_dataset, resolve_dataset
from callsheet.training.options import Buckets, LoraOptions


def picture(path, size=(96, 64), color="red"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


@pytest.fixture
def rules():
    return DatasetRules(IMAGES, ".txt", captions_required=True, max_pixels=10**6, sandbox="auto")


async def problems_of(folder, rules):
    _, problems = await check_dataset(folder, rules, on_progress=lambda share: None)
    return {problem.path: problem.message for problem in problems}


async def test_a_good_dataset_has_sizes_captions_and_repeats(tmp_path, rules):
    picture(tmp_path / "a.png", (640, 480))
    (tmp_path / "a.txt").write_text("\ufeffa red wall \n")
    picture(tmp_path / "5_cat/b.JPG")
    (tmp_path / "5_cat/b.txt").write_text("a cat")
    (tmp_path / "5_cat/b_sd.npz").write_bytes(b"a cache of kohya")
    subsets, problems = await check_dataset(tmp_path, rules, on_progress=lambda share: None)

    assert problems == []
    assert [(s.folder.name, s.repeats, len(s.files)) for s in subsets] == [(tmp_path.name, None, 1), ("5_cat", 5, 1)]
    first = subsets[0].files[0]
    assert (first.width, first.height, first.caption) == (640, 480, "a red wall")


async def test_every_problem_of_a_dataset_is_listed(tmp_path, rules):
    picture(tmp_path / "good.png")
    (tmp_path / "good.txt").write_text("fine")
    picture(tmp_path / "bare.png")
    picture(tmp_path / "tiny.png", (20, 20))
    (tmp_path / "tiny.txt").write_text("small")
    picture(tmp_path / "wide.png", (900, 64))
    (tmp_path / "wide.txt").write_text("wide")
    picture(tmp_path / "huge.png", (1500, 1500))
    (tmp_path / "huge.txt").write_text("huge")
    data = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "cut.txt").write_text("cut")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "empty.txt").write_text("  \n")
    picture(tmp_path / "good.webp")
    (tmp_path / "alone.txt").write_text("no image")
    (tmp_path / "clip.mp4").write_bytes(b"video")
    (tmp_path / "run.exe").write_bytes(b"MZ")
    picture(tmp_path / "latin.png")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    found = await problems_of(tmp_path, rules)

    assert set(found) == {
        *("bare.png", "tiny.png", "wide.png", "huge.png", "cut.png", "empty.jpg", "empty.txt", "good.webp"),
        *("alone.txt", "clip.mp4", "run.exe", "latin.txt"),
    }
    assert "there is no caption 'bare.txt'" in found["bare.png"]
    assert "the limit is 1,000,000 pixels" in found["huge.png"]
    assert "decoded" in found["cut.png"]


async def test_a_caption_for_all_files_makes_captions_optional(tmp_path, rules):
    picture(tmp_path / "a.png")
    optional = DatasetRules(IMAGES, ".txt", captions_required=False, max_pixels=10**6, sandbox="auto")
    assert await problems_of(tmp_path, optional) == {}


async def test_an_empty_dataset_is_a_problem(tmp_path, rules):
    assert "no image" in (await problems_of(tmp_path, rules))[""]


async def test_links_that_lead_out_of_the_dataset_are_refused(tmp_path, rules):
    picture(tmp_path / "secret.png")
    (tmp_path / "secret.txt").write_text("a secret")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "set/a.txt").symlink_to(tmp_path / "secret.txt")
    found = await problems_of(tmp_path / "set", rules)
    assert {"a.png", "a.txt"} <= found.keys()


def test_a_relative_path_is_looked_up_in_each_allowed_folder(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "second/face").mkdir(parents=True)
    roots = [tmp_path / "first", tmp_path / "second"]

    assert resolve_dataset("face", roots) == tmp_path / "second/face"
    with pytest.raises(BadSource, match="no folder or zip archive 'none' in the allowed folders"):
        resolve_dataset("none", roots)


@pytest.mark.parametrize("name", ["../up", "/etc", "missing", "a\0b", "x" * 5000])
def test_a_dataset_outside_of_the_allowed_folders_is_refused(tmp_path, name):
    (tmp_path / "up").mkdir()
    (tmp_path / "sets").mkdir()
    with pytest.raises(BadSource):
        resolve_dataset(name, [tmp_path / "sets"])


def test_without_an_allowed_folder_no_local_dataset_is_allowed(tmp_path):
    with pytest.raises(BadSource, match="CALLSHEET_TRAINING_DATASETS"):
        resolve_dataset(str(tmp_path), [])


def test_an_archive_with_one_folder_is_that_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("face/a.txt", "a")
        archive.writestr("face/10_x/b.txt", "b")
    folder = extract_dataset(tmp_path / "a.zip", tmp_path / "out")

    assert folder == tmp_path / "out/face"
    assert (folder / "10_x/b.txt").read_text() == "b"


def test_dangerous_archives_are_refused_with_all_problems(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../up.txt", "a")
        archive.writestr("/etc/x.txt", "a")
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BadParams) as refused:
        extract_dataset(tmp_path / "a.zip", tmp_path / "out")
    assert len(refused.value.problems) == 3
    assert not (tmp_path / "up.txt").exists()


@pytest.mark.parametrize("damage", ["cut", "text", "bomb"])
def test_damaged_archives_are_refused(tmp_path, damage):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", os.urandom(5000))
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:2000])
    elif damage == "text":
        path.write_text("no archive")
    else:
        path.write_bytes(data[:2000] + b"\0" * 1000 + data[3000:])
    with pytest.raises(BadParams):
        extract_dataset(path, tmp_path / "out")


def test_buckets_have_the_area_and_the_nearest_shape():
    buckets = Buckets()
    sizes = bucket_sizes(512, buckets)

    assert (512, 512) in sizes
    assert all(width * height <= 512 * 512 and width % 64 == height % 64 == 0 for width, height in sizes)
    assert bucket_of(1000, 1000, 512, buckets) == (512, 512)
    assert bucket_of(1920, 1080, 1024, buckets) == (1344, 768)
    assert bucket_of(300, 200, 512, Buckets(no_upscale=True)) == (256, 192)
    assert bucket_of(1920, 1080, 512, Buckets(enabled=False)) == (512, 512)


async def test_steps_count_the_batches_of_each_bucket(tmp_path, rules):
    for number in range(3):
        picture(tmp_path / f"{number}.png", (64, 64))
        (tmp_path / f"{number}.txt").write_text("x")
    picture(tmp_path / "wide.png", (128, 64))
    (tmp_path / "wide.txt").write_text("x")
    subsets, _ = await check_dataset(tmp_path, rules, on_progress=lambda share: None)
    options = LoraOptions(batch_size=2, repeats=3, gradient_accumulation=2)
    uses = fill_buckets(subsets, options)

    assert sorted(uses.values()) == [3, 9]
    assert steps_per_epoch(uses, options) == 4  # 5 + 2 batches, two for a step
