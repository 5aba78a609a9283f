import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from callsheet.domain.errors import BadSource, ConfigurationError, DiskFull, NotFound, StorageUnreachable
from callsheet.files.storage import Storage, open_storage
from callsheet.settings import Settings

from .conftest import MakeSettings

KEY = "render/1/Clip 🎬 'mit' \"Namen\" 100%.mp4"


@pytest.fixture
def storage(settings: Settings) -> Storage:
    return open_storage(settings)


def make_file(folder: Path, size: int) -> Path:
    path = folder / "made.bin"
    path.write_bytes(os.urandom(1024) * (size // 1024) + b"x" * (size % 1024))
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stored_files(settings: Settings) -> list[str]:
    root = settings.files_dir
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.mark.parametrize("size", [0, 1, 5000, 16 * 2**20, 16 * 2**20 + 1, 20_000_000])
async def test_a_stored_file_is_read_back_unchanged(storage: Storage, tmp_path: Path, size: int) -> None:
    source = make_file(tmp_path, size)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()

    stored = await storage.put(KEY, source)
    received = await storage.get(KEY, tmp_path / "back.bin")
    found = await storage.head(KEY)

    assert (stored.size, stored.sha256, stored.media_type) == (size, digest, "video/mp4")
    assert received == found.size == size
    assert hashlib.sha256((tmp_path / "back.bin").read_bytes()).hexdigest() == digest
    assert found.media_type == "video/mp4"


async def test_a_byte_range_is_streamed(storage: Storage, tmp_path: Path) -> None:
    source = make_file(tmp_path, 3_000_000)
    await storage.put(KEY, source)

    async def part(start: int, end: int | None) -> bytes:
        return b"".join([chunk async for chunk in storage.stream(KEY, start, end)])

    whole = source.read_bytes()
    assert await part(0, None) == whole
    assert await part(100, 2_500_000) == whole[100:2_500_000]
    assert await part(2_999_999, None) == whole[-1:]
    assert await part(2_999_000, 9_999_999) == whole[2_999_000:]
    assert await part(5, 5) == b""


async def test_a_stored_file_is_read_only_and_can_be_replaced(storage: Storage, tmp_path: Path) -> None:
    await storage.put(KEY, make_file(tmp_path, 10))
    path = storage.path(KEY)
    await storage.put(KEY, make_file(tmp_path, 20))

    assert path is not None and path.stat().st_mode & 0o222 == 0
    assert path.stat().st_size == 20


async def test_a_missing_file_is_not_found(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"):
        await storage.head("nope/x.mp4")
    with pytest.raises(NotFound):
        await storage.get("nope/x.mp4", tmp_path / "back")
    with pytest.raises(NotFound):
        storage.path("nope/x.mp4")

    assert not any(name.startswith("back") for name in names_in(tmp_path))


async def test_a_missing_source_stores_nothing(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await storage.put(KEY, tmp_path / "missing.mp4")

    assert stored_files(settings) == []


async def test_deleting_ignores_missing_files(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    source = make_file(tmp_path, 10)
    for key in ("a/1/x", "a/2/x", "a/3/x"):
        await storage.put(key, source)

    await storage.delete(["nope", "a/1/x", "a/9/x", "a/2/x"])

    assert stored_files(settings) == ["a/3/x"]
    assert not (settings.files_dir / "a/1").exists()


async def test_the_check_leaves_no_file(storage: Storage, settings: Settings) -> None:
    await storage.check()

    assert list(settings.files_dir.rglob("*")) == []


async def test_a_local_file_has_no_presigned_url(storage: Storage) -> None:
    assert storage.sign(KEY, lifetime=timedelta(minutes=1)) is None


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", "", "a\\..\\x"])
async def test_no_key_escapes_the_folder(storage: Storage, tmp_path: Path, key: str) -> None:
    with pytest.raises(BadSource):
        await storage.put(key, make_file(tmp_path, 10))
    with pytest.raises(BadSource):
        await storage.get(key, tmp_path / "x")
    with pytest.raises(BadSource):
        await storage.delete([key])
    with pytest.raises(BadSource):
        storage.path(key)


async def test_a_symlink_out_of_the_folder_is_rejected(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (settings.files_dir / "file").symlink_to(tmp_path / "secret")
    (settings.files_dir / "folder").symlink_to(tmp_path)

    for key in ("file", "folder/secret"):
        with pytest.raises(BadSource, match="outside the storage"):
            await storage.get(key, tmp_path / "stolen")
    with pytest.raises(BadSource, match="outside the storage"):
        await storage.put("folder/new", tmp_path / "secret")


async def test_a_cancelled_put_leaves_no_file(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    pipe = tmp_path / "slow.mp4"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, b"the beginning")
    task = asyncio.create_task(storage.put(KEY, pipe))
    await asyncio.sleep(0.1)  # sleep: the copy has begun, and waits for the pipe

    task.cancel()
    os.close(writer)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert stored_files(settings) == []


async def test_a_partial_file_is_never_visible(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    source = make_file(tmp_path, 30_000_000)
    put = asyncio.create_task(storage.put("a/x.mp4", source))
    target, sizes = settings.files_dir / "a/x.mp4", set[int]()

    while not put.done():
        if target.exists():
            sizes.add(target.stat().st_size)
        await asyncio.sleep(0)
    await put

    assert sizes <= {30_000_000}


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True)
    if mount.returncode:
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize("size", [3_000_000, 20_000_000])
async def test_a_full_disk_is_reported_and_leaves_no_file(
    make_settings: MakeSettings, tiny_disk: Path, tmp_path: Path, size: int
) -> None:
    settings = make_settings(data_dir=tiny_disk)
    storage = open_storage(settings)

    with pytest.raises(DiskFull, match="no space left"):
        await storage.put(KEY, make_file(tmp_path, size))

    assert stored_files(settings) == []
    await storage.check()


async def test_a_full_disk_is_reported_at_the_target(storage: Storage, tiny_disk: Path, tmp_path: Path) -> None:
    await storage.put(KEY, make_file(tmp_path, 3_000_000))

    with pytest.raises(DiskFull):
        await storage.get(KEY, tiny_disk / "back.mp4")

    assert names_in(tiny_disk) == []


async def test_a_file_in_place_of_a_folder_is_reported(storage: Storage, settings: Settings, tmp_path: Path) -> None:
    (settings.files_dir / "render").write_text("in the way")

    with pytest.raises(StorageUnreachable, match="ENOTDIR"):
        await storage.put("render/1/x.mp4", make_file(tmp_path, 10))


def test_a_folder_that_cannot_be_created_is_a_configuration_error(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")

    with pytest.raises(ConfigurationError, match="folder for files"):
        open_storage(make_settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"s3_access_key": "key"}, "must be set together"),
        ({"s3_endpoint": "minio:9000"}, "must be a URL"),
        ({"s3_endpoint": "ftp://minio"}, "must be a URL"),
    ],
)
def test_inconsistent_bucket_settings_are_reported(
    make_settings: MakeSettings, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_storage(make_settings(s3_bucket="videos", **changes))


def test_a_file_above_the_process_limit_is_reported(tmp_path: Path) -> None:
    program = (
        "import asyncio, resource, sys; from pathlib import Path\n"
        "from callsheet.domain.errors import StorageUnreachable\n"
        "from callsheet.files.storage import open_storage; from callsheet.settings import Settings\n"
        "here = Path(sys.argv[1]); (here / 'x.mp4').write_bytes(b'x' * 100_000)\n"
        "storage = open_storage(Settings(data_dir=here / 'data'))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: asyncio.run(storage.put('a/x.mp4', here / 'x.mp4'))\n"
        "except StorageUnreachable as error: print(error)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, cwd=tmp_path, timeout=30
    )

    assert "EFBIG" in done.stdout, done.stderr
    assert not (tmp_path / "data/files/a/x.mp4").exists()
