"""Small generated clips, decoding of results, and a fake job context."""

import hashlib
import subprocess
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadInput
from callsheet.domain.media_source import MediaSource
from callsheet.files.cache import FileCache
from callsheet.files.storage import open_folder
from callsheet.media.ffmpeg.binary import find_ffmpeg, open_ffmpeg
from callsheet.media.probing.probe import probe_if_media
from callsheet.settings import Settings


class Studio:
    """Generates clips with FFmpeg's test sources. Each clip is generated once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.binary = find_ffmpeg(Settings(_env_file=None))

    def make(self, name: str, *args: str) -> Path:
        # The folder depends on the arguments: test files may use one name for different clips.
        path = self.folder / hashlib.sha256("\0".join(args).encode()).hexdigest()[:12] / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            command = [str(self.binary), "-v", "error", "-nostdin", "-y", *args, f"file:{path}"]
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
        args = ["-f", "lavfi", "-i", picture]
        args += ["-f", "lavfi", "-i", sound] if sound else []
        coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "2", "-crf", "2", "-pix_fmt", pixels]
        return self.make(name, *args, "-t", str(seconds), *coding, *(["-c:a", "aac"] if sound else []))

    def counting(self, name: str, *, rate: int = 30, frames: int = 60, sound: bool = False) -> Path:
        """Return a clip whose frame n is uniformly gray, at level 16 + 3n."""
        picture = f"nullsrc=size=64x64:rate={rate},geq=lum='16+3*N':cb=128:cr=128"
        return self.clip(name, picture, seconds=frames / rate, sound="sine=frequency=300" if sound else None)

    def still(self, name: str, picture: str = "testsrc2=size=320x200") -> Path:
        return self.make(name, "-f", "lavfi", "-i", picture, "-frames:v", "1", "-update", "1")

    def sound(self, name: str, source: str, *, seconds: float = 4) -> Path:
        return self.make(name, "-f", "lavfi", "-i", source, "-t", str(seconds), "-c:a", "pcm_s16le")

    def gray_frames(self, path: Path, *, size: tuple[int, int], filters: str = "null") -> np.ndarray:
        """Return every frame in gray: an array of frames, rows, columns."""
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", f"file:{path}", "-vf", filters]
        raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, check=True)
        return np.frombuffer(raw.stdout, np.uint8).reshape(-1, size[1], size[0]).astype(float)

    def rgb_frames(self, path: Path, *, size: tuple[int, int]) -> np.ndarray:
        """Return every frame in RGB: an array of frames, rows, columns, components."""
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", f"file:{path}"]
        raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
        return np.frombuffer(raw.stdout, np.uint8).reshape(-1, size[1], size[0], 3).astype(float)

    def frame_numbers(self, path: Path) -> np.ndarray:
        """Return the frame numbers of a counting clip, read from a video of 64x64."""
        levels = self.gray_frames(path, size=(64, 64)).mean(axis=(1, 2))
        # The decoded gray has full range: black is 0, not 16.
        return levels * 219 / 255 / 3

    def audio_samples(self, path: Path) -> np.ndarray:
        """Return all audio samples at 48 kHz: an array of samples, channels."""
        command = [str(self.binary), "-v", "error", "-nostdin", "-i", f"file:{path}", "-map", "0:a:0"]
        args = ["-ar", "48000", "-ac", "2", "-f", "f32le", "-"]
        raw = subprocess.run([*command, *args], capture_output=True, check=True).stdout
        return np.frombuffer(raw, "<f4").reshape(-1, 2)


class FakeContext:
    """A job context with what the media operations need."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.id: UUID = uuid4()
        self.execution_id: UUID = uuid4()
        self.job_id, self.operation, self.attempt = "cut", "render", 1
        self.dir = folder / "job"
        self.dir.mkdir()
        self.kept: list[Path] = []
        self.settings = Settings(_env_file=None, data_dir=folder, ffmpeg_video_preset="ultrafast", **settings)
        self.ffmpeg = open_ffmpeg(self.settings)
        self.reported_progress: list[float] = []
        self.cache = FileCache(open_folder(folder / "cache"), max_age=timedelta(days=1))
        self.host_count, self.children_done = 1, False

    async def worker_host_count(self) -> int:
        return self.host_count

    def progress(self, done: float, message: str | None = None) -> None:
        self.reported_progress.append(done)

    async def fetch_input(self, source: MediaSource) -> Path:
        if not isinstance(source.root, str):
            raise BadInput("this context has no stored artifacts")
        path = Path(source.root)
        if not path.exists():  # noqa: ASYNC240 - a local file
            raise BadInput(f"there is no file '{path.name}'")
        return path

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
