"""The benchmark video by hand-written FFmpeg commands: by an expert, and in the common way."""

from pathlib import Path

from bench.media.edit import (
    CRF,
    HEIGHT,
    LOGO_EDGE,
    LOGO_OPACITY,
    LOGO_WIDTH,
    LOUDNESS,
    PRESET,
    RATE,
    TRANSITION_FRAMES,
    TRUE_PEAK,
    WIDTH,
    Clip,
    Edit,
)
from bench.media.ffmpeg import ffmpeg, loudness
from bench.media.inputs import COLOR_ARGS
from callsheet.media.encoding.loudness import Target, gain_filter
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.fonts import FONTS

X264 = ["-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-pix_fmt", "yuv420p", *COLOR_ARGS]
LOSSLESS = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", *COLOR_ARGS]
AAC = ["-c:a", "aac", "-b:a", "192k"]
_MP4_ARGS = ["-movflags", "+faststart"]

_MATRIX = "out_color_matrix=bt709:out_range=tv"
_EXACT = "flags=bicubic+accurate_rnd+full_chroma_int"
# Crop before scaling, so that no cropped pixels are scaled. Crop whole chroma samples equally on both sides, so that
# the center stays in the center.
_CROP = (
    f"crop='min(iw,iw-4*round((iw-ih*{WIDTH}/{HEIGHT})/4))':'min(ih,ih-4*round((ih-iw*{HEIGHT}/{WIDTH})/4))':exact=1"
)
_COVER = f"{_CROP},scale={WIDTH}:{HEIGHT}:{_MATRIX},setsar=1"
_TRANSITION_SECONDS = TRANSITION_FRAMES / RATE
_LOGO = f"scale={LOGO_WIDTH}:-2:{_MATRIX},format=yuva420p,lutyuv=a=val*{LOGO_OPACITY}"
_PLACE = f"overlay=x=W-w-{LOGO_EDGE}:y={LOGO_EDGE}:format=yuv420"


def one_command(edit: Edit, output: Path, *, chained: bool = False) -> Path:
    """Render the video by a single filter graph, after a measurement of its loudness.

    Only the frames of transitions go through `xfade`, which works in 4:4:4. With `chained`, all frames do, which is
    the common way.
    """
    return _one_command(edit, output, _chain(edit) if chained else _split_scenes(edit), X264)


def reference(edit: Edit, output: Path) -> Path:
    """Render the video losslessly and as exactly as FFmpeg can."""
    exact = [part.replace(_MATRIX, f"{_MATRIX}:{_EXACT}") for part in _chain(edit)]
    return _one_command(edit, output, exact, LOSSLESS)


def _one_command(edit: Edit, output: Path, scenes: list[str], codec_args: list[str]) -> Path:
    sources = [arg for clip in edit.clips for arg in _input(edit, clip)]
    audio_graph = ";".join(_audio(edit))
    gain = gain_filter(
        loudness(*sources, audio=audio_graph, folder=edit.folder), Target(integrated=LOUDNESS, true_peak=TRUE_PEAK)
    )
    graph = [*scenes, *_overlays(edit), audio_graph, f"[audio]{gain or 'anull'}[a]"]
    args = [*sources, "-i", edit.logo, "-filter_complex", ";".join(graph), "-map", "[v]", "-map", "[a]"]
    ffmpeg(*args, "-frames:v", edit.total_frames, *codec_args, *AAC, *_MP4_ARGS, output, folder=edit.folder)
    return output


def several_encodes(edit: Edit, output: Path) -> Path:
    """Render the video step by step: a file per scene, then join, logo, subtitles and loudness."""
    steps = output.parent / "steps"
    steps.mkdir(exist_ok=True)
    scenes = [_scene_file(edit, clip, steps / f"{n}.mp4") for n, clip in enumerate(edit.clips)]
    joined, marked, subtitled = (steps / f"{name}.mp4" for name in ("joined", "marked", "subtitled"))
    seconds, length = edit.frames / RATE, edit.frames / RATE - _TRANSITION_SECONDS
    graph, video, audio = [], "0:v", "0:a"
    for n in range(1, len(scenes)):
        graph.append(f"[{video}][{n}:v]xfade=duration={_TRANSITION_SECONDS}:offset={n * length}[v{n}]")
        graph.append(f"[{audio}][{n}:a]acrossfade=d={_TRANSITION_SECONDS}[a{n}]")
        video, audio = f"v{n}", f"a{n}"
    args = [arg for scene in scenes for arg in ("-i", scene)]
    args += ["-filter_complex", ";".join(graph), "-map", f"[{video}]", "-map", f"[{audio}]"]
    ffmpeg(*args, "-t", seconds + length * (len(scenes) - 1), *X264, *AAC, joined)
    overlay = f"[1:v]{_LOGO}[l];[0:v][l]{_PLACE}[v]"
    ffmpeg(*("-i", joined, "-i", edit.logo, "-filter_complex", overlay, "-map", "[v]", "-map", "0:a"), *X264,
           *("-c:a", "copy"), marked)  # fmt: skip
    ffmpeg("-i", marked, "-vf", _subtitles(edit), *X264, "-c:a", "copy", subtitled, folder=edit.folder)
    loudnorm = f"loudnorm=I={LOUDNESS}:TP={TRUE_PEAK}:LRA=11,aformat=sample_rates=48000:channel_layouts=stereo"
    ffmpeg("-i", subtitled, "-c:v", "copy", "-af", loudnorm, *AAC, *_MP4_ARGS, output)
    return output


def _input(edit: Edit, clip: Clip) -> list[str]:
    if clip.still:
        return ["-framerate", str(RATE), "-i", clip.path.name]
    return ["-t", str(edit.frames / RATE + 0.1), "-i", clip.path.name]


def _scene(edit: Edit, number: int) -> str:
    """Return the filters of a scene. An image is scaled once."""
    end = f"trim=end_frame={edit.frames},settb=1/{RATE}"
    if edit.clips[number].still:
        return f"[{number}:v]{_COVER},format=yuv420p,loop=loop=-1:size=1,setpts=N,{end}"
    return f"[{number}:v]fps={RATE},{_COVER},format=yuv420p,{end}"


def _split_scenes(edit: Edit) -> list[str]:
    graph, parts, last = [], [], len(edit.clips) - 1
    for n in range(last + 1):
        body_start, body_end = TRANSITION_FRAMES if n else 0, edit.frames - (TRANSITION_FRAMES if n < last else 0)
        ranges = {"head": (0, body_start), "body": (body_start, body_end), "tail": (body_end, edit.frames)}
        ranges = {name: (start, end) for name, (start, end) in ranges.items() if start < end}
        labels = "".join(f"[{name}{n}raw]" for name in ranges)
        graph.append(f"{_scene(edit, n)},split={len(ranges)}{labels}")
        for name, (start, end) in ranges.items():
            trim = f"trim=start_frame={start}:end_frame={end},setpts=PTS-STARTPTS"
            graph.append(f"[{name}{n}raw]{trim}[{name}{n}]")
        if n:
            fade = f"xfade=transition=fade:duration={_TRANSITION_SECONDS}:offset=0,format=yuv420p"
            graph.append(f"[tail{n - 1}][head{n}]{fade}[transition{n}]")
            parts.append(f"[transition{n}]")
        parts += [f"[body{n}]"] if "body" in ranges else []
    return [*graph, f"{''.join(parts)}concat=n={len(parts)}:v=1:a=0,settb=1/{RATE}[scenes]"]


def _chain(edit: Edit) -> list[str]:
    graph = [f"{_scene(edit, n)}[scene{n}]" for n in range(len(edit.clips))]
    video = "scene0"
    for n in range(1, len(edit.clips)):
        offset = n * (edit.frames - TRANSITION_FRAMES) / RATE
        graph.append(
            f"[{video}][scene{n}]xfade=transition=fade:duration={_TRANSITION_SECONDS}:offset={offset:.6f}[x{n}]"
        )
        video = f"x{n}"
    return [*graph, f"[{video}]format=yuv420p[scenes]"]


def _overlays(edit: Edit) -> list[str]:
    return [f"[{len(edit.clips)}:v]{_LOGO}[logo]", f"[scenes][logo]{_PLACE},{_subtitles(edit)},format=yuv420p[v]"]


def _subtitles(edit: Edit) -> str:
    return f"subtitles=filename={edit.subtitles.name}:fontsdir={escape(str(FONTS))}"


def _audio(edit: Edit) -> list[str]:
    seconds = edit.frames / RATE
    audio_format = "aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo"
    graph = []
    for n, clip in enumerate(edit.clips):
        source = f"[{n}:a]" if clip.has_audio else "anullsrc=r=48000:cl=stereo,"
        graph.append(f"{source}aresample=48000,{audio_format},apad=whole_dur={seconds},atrim=duration={seconds}[s{n}]")
    audio = "s0"
    for n in range(1, len(edit.clips)):
        name = "audio" if n == len(edit.clips) - 1 else f"c{n}"
        graph.append(f"[{audio}][s{n}]acrossfade=d={_TRANSITION_SECONDS}[{name}]")
        audio = name
    return graph


def _scene_file(edit: Edit, clip: Clip, output: Path) -> Path:
    seconds = str(edit.frames / RATE)
    image_args = ["-loop", "1", "-framerate", str(RATE)] if clip.still else []
    silence = [] if clip.has_audio else ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"]
    cover = f"scale={WIDTH}:{HEIGHT}:force_original_aspect_ratio=increase:force_divisible_by=2"
    cover = f"{cover}:{_MATRIX},crop={WIDTH}:{HEIGHT}"
    args = [*image_args, "-i", clip.path, *silence, "-vf", f"{cover},setsar=1,fps={RATE},format=yuv420p"]
    args += ["-af", "aresample=48000,aformat=channel_layouts=stereo,apad", "-map", "0:v"]
    args += ["-map", "0:a" if clip.has_audio else "1:a", "-t", seconds]
    ffmpeg(*args, *X264, *AAC, output)
    return output
