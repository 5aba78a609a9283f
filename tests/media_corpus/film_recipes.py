"""Films: their containers, streams, clocks and changes on the way."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .clips import BEEP, PICTURE, SECONDS, TO_BT709, X264, Clips, Recipe
from .field_coding import field_coded

Edit = Callable[[bytes], bytes]


def film(video: str = X264, audio: str | None = "aac", **options: object) -> Recipe:
    """A plain film."""
    return lambda clips, path: clips.film(path, video, audio, **options) and None  # type: ignore[arg-type]


def streamed_film(muxer: str, video: str = X264, audio: str = "aac", whole: str = "mp4") -> Recipe:
    """A film that was written to a pipe."""

    def make(clips: Clips, path: Path) -> None:
        file = clips.film(clips.part(f"whole.{whole}"), video, audio)
        command = [str(clips.binary), "-v", "error", "-i", str(file), "-c", "copy", "-f", muxer, "-"]
        path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)

    return make


def joined_streams(offset: float, *, marked: bool = True, suffix: str = "ts", video: str = X264) -> Recipe:
    """Streams of one second that were put behind each other. The clock of the second one starts at `offset`."""

    def make(clips: Clips, path: Path) -> None:
        flags = "-mpegts_flags initial_discontinuity" if marked else ""
        first = clips.film(clips.part(f"1.{suffix}"), video, "mp2", seconds=1)
        extra = f"-output_ts_offset {offset} {flags}"
        second = clips.film(clips.part(f"2.{suffix}"), video, "mp2", seconds=1, extra=extra)
        path.write_bytes(first.read_bytes() + second.read_bytes())

    return make


def changing(suffix: str, first: dict[str, object], second: dict[str, object], audio: str, video: str = X264) -> Recipe:
    """Two halves with different options in one stream, joined without encoding."""

    def make(clips: Clips, path: Path) -> None:
        for number, options in enumerate((first, second)):
            clips.film(clips.part(f"{number}.{suffix}"), video, audio, seconds=1, **options)  # type: ignore[arg-type]
        (clips.folder / "list.txt").write_text("".join(f"file {n}.{suffix}\nduration 1\n" for n in (0, 1)))
        clips.run("-f", "concat", "-i", "list.txt", "-c", "copy", path)

    return make


def remuxed(*options: str, source: Recipe | None = None, suffix: str = "mp4", before: Sequence[str] = ()) -> Recipe:
    """A film that was written again without encoding, with options."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"plain.{suffix}")
        (source or film())(clips, whole)
        clips.run(*before, "-i", whole, "-map", "0", "-c", "copy", *options, path)

    return make


def two_tracks(clips: Clips, path: Path) -> None:
    """A commentary before the audio of the film, which is the default."""
    whole = clips.film(clips.part("whole.mp4"), X264, "aac")
    hum = ["-f", "lavfi", "-i", f"sine=frequency=200:duration={SECONDS}:sample_rate=48000"]
    tracks = ["-map", "0:v", "-map", "1:a", "-map", "0:a", "-disposition:a:0", "0", "-disposition:a:1", "default"]
    clips.run("-i", whole, *hum, *tracks, "-c:v", "copy", "-c:a", "aac", path)


def late(stream: str, seconds: float, audio: str = "pcm_s16le") -> Recipe:
    """A film whose `v` or `a` stream was recorded from a later time on: its first part is missing."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.film(clips.part("whole.mkv"), X264, audio)
        inputs = ["-i", str(whole), "-ss", str(seconds), "-i", str(whole)]
        maps = ["-map", "1:v", "-map", "0:a"] if stream == "v" else ["-map", "0:v", "-map", "1:a"]
        kind = "setpts" if stream == "v" else "asetpts"
        codec = ["-c:a", "copy", "-c:v", *X264.split()] if stream == "v" else ["-c:v", "copy", "-c:a", audio]
        clips.run(*inputs, *maps, f"-filter:{stream}", f"{kind}=PTS+{seconds}/TB", *codec, path)

    return make


def cover_first(clips: Clips, path: Path) -> None:
    """A film with cover art as its first stream."""
    whole = clips.film(clips.part("whole.mp4"), X264, "aac")
    cover = clips.part("cover.jpg")
    clips.run("-f", "lavfi", "-i", "color=blue:s=96x54", "-frames:v", "1", cover)
    maps = ["-map", "1", "-map", "0:v", "-map", "0:a", "-c", "copy", "-disposition:v:0", "attached_pic"]
    clips.run("-i", whole, "-i", cover, *maps, path)


def interlaced(video: str) -> Recipe:
    """A film of 25 interlaced frames per second, whose fields are 1/50 s apart."""
    return film(video, "mp2", size="96x64", rate="50", filters="tinterlace=interleave_top,setfield=tff")


def from_fields(video: str, field: str, extra: str = "") -> Recipe:
    """A film of 25 interlaced frames per second, which shows its `field` (`top` or `bottom`) first."""
    order = {"top": "tff", "bottom": "bff"}[field]
    filters = f"tinterlace=interleave_{field},setfield={order}"
    return film(video, "mp2", size="96x64", rate="50", filters=filters, extra=extra)


def coded_as_fields(field: str, *options: str) -> Recipe:
    """A film of 25 interlaced frames per second, of which each is coded as two fields. Its `field` is shown first."""

    def make(clips: Clips, path: Path) -> None:
        plain = clips.part("plain.mkv")
        from_fields("ffv1", field)(clips, plain)
        raw = clips.part("plain.yuv")
        clips.run("-i", plain, "-map", "0:v", "-pix_fmt", "yuv420p", "-f", "rawvideo", raw)
        frames = np.fromfile(raw, np.uint8).reshape(-1, 96 * 64 * 3 // 2)
        coded = clips.part("fields.264")
        coded.write_bytes(field_coded(frames, 96, 64, field))
        clips.run(
            "-framerate", "25", "-i", coded, "-i", plain, "-map", "0:v", "-map", "1:a", "-c", "copy", *options, path
        )

    return make


def progressive_then_interlaced(suffix: str, video: str) -> Recipe:
    """A second of progressive frames, then a second of interlaced ones, in one stream."""

    def make(clips: Clips, path: Path) -> None:
        first, second = clips.part(f"0.{suffix}"), clips.part(f"1.{suffix}")
        clips.film(first, video, "mp2", seconds=1, size="96x64", filters="setfield=prog")
        fields = "tinterlace=interleave_top,setfield=tff"
        clips.film(second, f"{video} -flags +ilme+ildct", "mp2", seconds=1, size="96x64", rate="50", filters=fields)
        join(clips, path, [first.name, second.name])

    return make


def join(clips: Clips, path: Path, names: Sequence[str]) -> None:
    """Join files of one second without encoding, with a clock that runs on."""
    (clips.folder / "list.txt").write_text("".join(f"file {name}\nduration 1\n" for name in names))
    clips.run("-f", "concat", "-i", "list.txt", "-c", "copy", path)


def concatenated(suffix: str, count: int = 2, video: str = X264, audio: str = "mp2") -> Recipe:
    """Files of one second that were put behind each other, byte by byte, as by `cat`."""

    def make(clips: Clips, path: Path) -> None:
        part = clips.film(clips.part(f"part.{suffix}"), video, audio, seconds=1)
        path.write_bytes(part.read_bytes() * count)

    return make


def different_files(suffix: str, *parts: dict[str, object]) -> Recipe:
    """Files of one second with different options, which were put behind each other, byte by byte.

    `video` and `audio` are codecs with their options.
    """

    def make(clips: Clips, path: Path) -> None:
        content = b""
        for number, part in enumerate(parts):
            options = {"video": X264, "audio": "aac", **part}
            content += clips.film(clips.part(f"{number}.{suffix}"), seconds=1, **options).read_bytes()  # type: ignore[arg-type]
        path.write_bytes(content)

    return make


def with_streams(*inputs: str, maps: str, options: str = "-c copy", source: Recipe | None = None) -> Recipe:
    """A film (input 0) with streams of other inputs, each given by its arguments."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part("whole.mkv")
        (source or film())(clips, whole)
        args = ["-i", str(whole), *(part for each in inputs for part in each.split())]
        clips.run(*args, *maps.split(), *options.split(), path)

    return make


def with_files(files: dict[str, str], maps: str, options: str = "-c copy") -> Recipe:
    """A film (input 0) with streams of small text files, each given by its name and its contents."""

    def make(clips: Clips, path: Path) -> None:
        args: list[str | Path] = ["-i", clips.film(clips.part("whole.mkv"), X264, "aac")]
        for name, text in files.items():
            clips.part(name).write_text(text)
            args += ["-i", name]
        clips.run(*args, *maps.split(), *options.split(), path)

    return make


def turned(degrees: int, *, flip: str = "") -> Recipe:
    """A film as phones record it: stored lying, with a display matrix that turns it upright."""
    stored = {90: "transpose=1", 180: "hflip,vflip", 270: "transpose=2", 0: "null"}[degrees]
    mirror = {"": "", "h": ",hflip", "v": ",vflip"}[flip]
    flips = {"": [], "h": ["-display_hflip"], "v": ["-display_vflip"]}[flip]

    def make(clips: Clips, path: Path) -> None:
        whole = clips.film(clips.part("whole.mp4"), X264, "aac", filters=stored + mirror)
        args = ["-display_rotation:v:0", str(degrees), *flips, "-i", whole, "-map", "0", "-c", "copy"]
        clips.run(*args, path)

    return make


def edited_header(source: Recipe, suffix: str, change: Edit) -> Recipe:
    """A file whose bytes were changed by a function."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part(f"unchanged.{suffix}")
        source(clips, whole)
        path.write_bytes(change(whole.read_bytes()))

    return make


def screen_recording(video: str = X264, audio: str = "aac") -> Recipe:
    """Frames only where something changes: at 0, 0.5, 0.7, 1.5 and 1.7 s, and one at the end."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.film(clips.part("whole.mkv"), X264, audio)
        picked = "select='eq(n,0)+eq(n,13)+eq(n,18)+eq(n,38)+eq(n,43)+eq(n,49)'"
        clips.run("-i", whole, "-vf", picked, "-fps_mode", "vfr", "-c:v", *video.split(), "-c:a", "copy", path)

    return make


def long_pause(video: str, audio: str, *, shown: str = "lt(t,0.79)+gt(t,5.39)") -> Recipe:
    """A recording of 6 s with the frames for which `shown` is true, and beeps at 0.5 and 5.5 s."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.film(clips.part("whole.mkv"), "libx264 -preset ultrafast", "pcm_s16le", seconds=6)
        kept = f"select='{shown}'"
        quiet = "volume=0:enable='between(t,1,5)'"
        codecs = ["-c:v", *video.split(), "-g", "999", "-c:a", *audio.split()]
        clips.run("-i", whole, "-vf", kept, "-af", quiet, "-fps_mode", "vfr", *codecs, path)

    return make


def faster(clips: Clips, path: Path) -> None:
    """Frames at 25 per second in the first half, and at 100 in the second one."""
    whole = clips.film(clips.part("whole.mkv"), "libx264 -preset ultrafast", "flac", rate="100")
    picked = "select='gt(t,0.999)+not(mod(n,4))',settb=1/90000"
    times = ["-fps_mode", "vfr", "-enc_time_base", "1/90000"]
    clips.run("-i", whole, "-vf", picked, *times, "-c:v", *X264.split(), "-c:a", "copy", path)


def segments(suffix: str, *rates: int, video: str = X264, audio: str = "mp2") -> Recipe:
    """Segments of half a second, each of its frame rate, behind each other, as a player receives them."""

    def make(clips: Clips, path: Path) -> None:
        content = b""
        borders = [0.48 * number for number in range(len(rates))] + [SECONDS]  # whole frames of audio
        for number, rate in enumerate(rates):
            part = clips.part(f"{number}.{suffix}")
            cut = f"trim={borders[number]}:{borders[number + 1]}"
            picture = ["-f", "lavfi", "-i", f"color=black:s=96x54:r={rate}:d={SECONDS}"]
            sound = ["-f", "lavfi", "-i", f"aevalsrc=exprs='{BEEP}|{BEEP}':s=48000:d={SECONDS}"]
            filters = ["-vf", f"{PICTURE},{TO_BT709},format=yuv420p,{cut}", "-af", f"a{cut}"]
            clips.run(*picture, *sound, *filters, "-c:v", *video.split(), "-c:a", audio, part)
            content += part.read_bytes()
        path.write_bytes(content)

    return make


def fragments(source: Recipe) -> Recipe:
    """The segments of an HLS playlist in fragmented MP4, behind their header."""

    def make(clips: Clips, path: Path) -> None:
        whole = clips.part("whole.mp4")
        source(clips, whole)
        clips.run("-i", whole, "-c", "copy", "-f", "hls", "-hls_time", "0.5", "-hls_segment_type", "fmp4", "all.m3u8")
        parts = sorted(clips.folder.glob("all*.m4s"), key=lambda part: int(part.stem[3:]))
        path.write_bytes(b"".join(part.read_bytes() for part in (clips.folder / "init.mp4", *parts)))

    return make


def uneven_frames(clips: Clips, path: Path) -> None:
    """Frames of a phone, whose distances vary by a third."""
    whole = clips.film(clips.part("whole.mkv"), X264, "aac")
    times = "settb=1/90000,setpts='PTS+900*sin(N*2.1)'"
    clips.run(
        "-i",
        whole,
        "-vf",
        times,
        "-fps_mode",
        "vfr",
        "-enc_time_base",
        "1/90000",
        *f"-c:v {X264}".split(),
        "-video_track_timescale",
        "90000",
        "-c:a",
        "copy",
        path,
    )


def picture_only(codec: str, *, pixels: str, options: str = "", rate: str = "25", seconds: float = SECONDS) -> Recipe:
    """An animation of a format for images."""

    def make(clips: Clips, path: Path) -> None:
        source = ["-f", "lavfi", "-i", f"color=black:s=96x54:r={rate}:d={seconds}"]
        clips.run(*source, "-vf", f"{PICTURE},format={pixels}", "-c:v", codec, *options.split(), path)

    return make


def animated_avif(clips: Clips, path: Path) -> None:
    """An animated AVIF whose black is transparent, over hidden magenta. Its alpha channel is a track of its own."""
    whole = clips.part("whole.mkv")
    transparent("ffv1", None, pixels="gbrap")(clips, whole)
    tracks = "[0]format=gbrap,split[a][b];[a]scale=out_color_matrix=smpte170m:out_range=pc,format=yuv444p[c];"
    tracks += "[b]alphaextract,format=gray,setparams=colorspace=smpte170m[d]"
    codec = "-c:v libaom-av1 -cpu-used 8 -usage realtime -color_range pc -f avif"
    clips.run("-i", whole, "-filter_complex", tracks, "-map", "[c]", "-map", "[d]", *codec.split(), path)


def held_at_end(clips: Clips, path: Path) -> None:
    """An animation of four frames, of which the last one, which is white, is shown for half a second."""
    source = ["-f", "lavfi", "-i", f"color=black:s=96x54:r=25:d={SECONDS}"]
    filters = f"{PICTURE},select='eq(n,0)+eq(n,13)+eq(n,18)+eq(n,38)',format=bgr8"
    clips.run(*source, "-vf", filters, "-fps_mode", "vfr", "-c:v", "gif", "-final_delay", "50", path)


def transparent(video: str, audio: str | None, *, pixels: str, size: str = "96x54") -> Recipe:
    """A film whose black is fully transparent, over hidden magenta."""

    def make(clips: Clips, path: Path) -> None:
        args = ["-f", "lavfi", "-i", f"color=black:s={size}:r=25:d={SECONDS}"]
        args += ["-f", "lavfi", "-i", f"aevalsrc=exprs='{BEEP}|{BEEP}':s=48000:d={SECONDS}"] if audio else []
        opaque = "gt(r(X,Y)+g(X,Y)+b(X,Y),20)"
        keyed = f"format=gbrap,geq=r='if({opaque},r(X,Y),255)':g='g(X,Y)':b='if({opaque},b(X,Y),255)':a='255*{opaque}'"
        args += ["-vf", f"{PICTURE},{keyed},{TO_BT709},format={pixels}", "-c:v", *video.split()]
        args += ["-c:a", *audio.split()] if audio else []
        clips.run(*args, path)

    return make
