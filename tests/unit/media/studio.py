"""Tiny clips made to order, and eyes to look at what becomes of them."""

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.files.cache import FileCache
from callsheet.files.storage import open_folder
from callsheet.media.ffmpeg.binary import find_ffmpeg, open_ffmpeg
from callsheet.media.probing.probe import probe_if_media
from callsheet.settings import Settings


class Studio:
    """Makes clips with FFmpeg's own generators, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binary = find_ffmpeg(Settings(_env_file=None))

    def make(self, name: str, *words: str) -> Path:
        # In a folder for its recipe: clips of one name may differ between test files.
        path = self.folder / hashlib.sha256("\0".join(words).encode()).hexdigest()[:12] / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            command = [str(self.binary), "-v", "error", "-nostdin", "-y", *words, f"file:{path}"]
            subprocess.run(command, check=True, timeout=60)
        return path

    def clip(
        self,
        name: str,
        picture: str = "testsrc2=size=160x284:rate=30",
        *,
        seconds: float = 1,
        sound: str | None = None,
        pixels: str = "yuv420p",
    ) -> Path:
        words = ["-f", "lavfi", "-i", picture]
        words += ["-f", "lavfi", "-i", sound] if sound else []
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "2", "-crf", "2", "-pix_fmt", pixels]
        return self.make(name, *words, "-t", str(seconds), *coding, *(["-c:a", "aac"] if sound else []))

    def counting(self, name: str, *, rate: int = 30, frames: int = 60, sound: bool = False) -> Path:
        """A clip whose frame n is grey all over, at level 16 + 3n."""
        picture = f"nullsrc=size=64x64:rate={rate},geq=lum='16+3*N':cb=128:cr=128"
        return self.clip(name, picture, seconds=frames / rate, sound="sine=frequency=300" if sound else None)

    def still(self, name: str, picture: str = "testsrc2=size=320x200") -> Path:
        return self.make(name, "-f", "lavfi", "-i", picture, "-frames:v", "1", "-update", "1")

    def sound(self, name: str, source: str, *, seconds: float = 4) -> Path:
        return self.make(name, "-f", "lavfi", "-i", source, "-t", str(seconds), "-c:a", "pcm_s16le")

    def look(self, path: Path, *, size: tuple[int, int], filters: str = "null") -> np.ndarray:
        """Every frame of a film in grey: an array of frames, rows, columns."""
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", f"file:{path}", "-vf", filters]
        raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True)
        return np.frombuffer(raw.stdout, np.uint8).reshape(-1, size[1], size[0]).astype(float)

    def colours(self, path: Path, *, size: tuple[int, int]) -> np.ndarray:
        """Every frame of a film in red, green and blue: an array of frames, rows, columns, colours."""
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", f"file:{path}"]
        raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
        return np.frombuffer(raw.stdout, np.uint8).reshape(-1, size[1], size[0], 3).astype(float)

    def numbers(self, path: Path) -> np.ndarray:
        """The numbers of the frames of a counting clip that are seen in a film of 64x64."""
        levels = self.look(path, size=(64, 64)).mean(axis=(1, 2))
        # Grey is of full range, where black is 0 and not 16.
        return levels * 219 / 255 / 3

    def listen(self, path: Path) -> np.ndarray:
        """All samples of a film's sound at 48 kHz: an array of samples, channels."""
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", f"file:{path}", "-map", "0:a:0"]
        words = ["-ar", "48000", "-ac", "2", "-f", "f32le", "-"]
        raw = subprocess.run([*command, *words], capture_output=True, check=True).stdout
        return np.frombuffer(raw, "<f4").reshape(-1, 2)


class Stage:
    """The least that an operation needs to run."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.id: UUID = uuid4()
        self.execution_id: UUID = uuid4()
        self.job_id, self.operation, self.attempt = "cut", "render", 1
        self.dir = folder / "job"
        self.dir.mkdir()
        self.kept: list[Path] = []
        self.settings = Settings(_env_file=None, data_dir=folder, ffmpeg_video_preset="ultrafast", **settings)
        self.ffmpeg = open_ffmpeg(self.settings)
        self.told: list[float] = []
        self.cache = FileCache(open_folder(folder / "cache"), max_age=timedelta(days=1))
        self.host_count, self.children_done = 1, False

    async def worker_host_count(self) -> int:
        return self.host_count

    def progress(self, done: float, message: str | None = None) -> None:
        self.told.append(done)

    async def fetch_input(self, source: MediaSource) -> Path:
        assert isinstance(source.root, str)
        return Path(source.root)

    async def keep(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> Artifact:
        data = path.read_bytes()  # noqa: ASYNC240 - small, and nothing else runs
        self.kept.append(path)
        return Artifact(
            artifact_id=uuid4(),
            name=name or path.name,
            key=f"render/{self.id}/{name}",
            media_type=media_type or "application/octet-stream",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            probe=await probe_if_media(path),
        )
