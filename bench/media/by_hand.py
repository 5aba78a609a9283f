"""The film as somebody who knows FFmpeg well would have it made, and as it is mostly done."""

from pathlib import Path

from bench.media.edit import (
    CRF,
    HEIGHT,
    LOGO_EDGE,
    LOGO_OPACITY,
    LOGO_WIDTH,
    LOUDNESS,
    PASSING,
    PRESET,
    RATE,
    TRUE_PEAK,
    WIDTH,
    Edit,
    Piece,
)
from bench.media.ffmpeg import ffmpeg, loudness
from bench.media.inputs import COLOURS
from callsheet.media.encoding.loudness import Target, gain_filter
from callsheet.media.ffmpeg.filter_graph import escape
from callsheet.media.fonts import FONTS

X264 = ["-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-pix_fmt", "yuv420p", *COLOURS]
LOSSLESS = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", *COLOURS]
AAC = ["-c:a", "aac", "-b:a", "192k"]
_END = ["-movflags", "+faststart"]

_MATRIX = "out_color_matrix=bt709:out_range=tv"
_EXACT = "flags=bicubic+accurate_rnd+full_chroma_int"
# Cut before it is made larger, so that nothing is scaled to be thrown away; whole samples of the colours from both
# sides alike, so that the middle stays where it is.
_CROP = (
    f"crop='min(iw,iw-4*round((iw-ih*{WIDTH}/{HEIGHT})/4))':'min(ih,ih-4*round((ih-iw*{HEIGHT}/{WIDTH})/4))':exact=1"
)
_COVER = f"{_CROP},scale={WIDTH}:{HEIGHT}:{_MATRIX},setsar=1"
_SECONDS = PASSING / RATE
_LOGO = f"scale={LOGO_WIDTH}:-2:{_MATRIX},format=yuva420p,lutyuv=a=val*{LOGO_OPACITY}"
_PLACE = f"overlay=x=W-w-{LOGO_EDGE}:y={LOGO_EDGE}:format=yuv420"


def one_command(edit: Edit, output: Path, *, chained: bool = False) -> Path:
    """Make the film with a single graph, after its sound has been measured.

    The pictures of a scene go through `xfade`, which works in 4:4:4, only where it passes into another;
    `chained`: all of them do, as most would write it.
    """
    return _one_command(edit, output, _chain(edit) if chained else _bodies(edit), X264)


def reference(edit: Edit, output: Path) -> Path:
    """Make the film without loss, and as exactly as FFmpeg can."""
    exact = [part.replace(_MATRIX, f"{_MATRIX}:{_EXACT}") for part in _chain(edit)]
    return _one_command(edit, output, exact, LOSSLESS)


def _one_command(edit: Edit, output: Path, scenes: list[str], coding: list[str]) -> Path:
    sources = [word for piece in edit.pieces for word in _input(edit, piece)]
    sound = ";".join(_sound(edit))
    gain = gain_filter(
        loudness(*sources, audio=sound, folder=edit.folder), Target(integrated=LOUDNESS, true_peak=TRUE_PEAK)
    )
    graph = [*scenes, *_above(edit), sound, f"[audio]{gain or 'anull'}[a]"]
    words = [*sources, "-i", edit.logo, "-filter_complex", ";".join(graph), "-map", "[v]", "-map", "[a]"]
    ffmpeg(*words, "-frames:v", edit.whole, *coding, *AAC, *_END, output, folder=edit.folder)
    return output


def several_encodes(edit: Edit, output: Path) -> Path:
    """Make the film step by step: a file for each scene, then joined, then the logo, the subtitles, the loudness."""
    steps = output.parent / "steps"
    steps.mkdir(exist_ok=True)
    scenes = [_scene_file(edit, piece, steps / f"{n}.mp4") for n, piece in enumerate(edit.pieces)]
    joined, marked, lettered = (steps / f"{name}.mp4" for name in ("joined", "marked", "lettered"))
    seconds, length = edit.frames / RATE, edit.frames / RATE - _SECONDS
    graph, picture, audio = [], "0:v", "0:a"
    for n in range(1, len(scenes)):
        graph.append(f"[{picture}][{n}:v]xfade=duration={_SECONDS}:offset={n * length}[v{n}]")
        graph.append(f"[{audio}][{n}:a]acrossfade=d={_SECONDS}[a{n}]")
        picture, audio = f"v{n}", f"a{n}"
    words = [word for scene in scenes for word in ("-i", scene)]
    words += ["-filter_complex", ";".join(graph), "-map", f"[{picture}]", "-map", f"[{audio}]"]
    ffmpeg(*words, "-t", seconds + length * (len(scenes) - 1), *X264, *AAC, joined)
    over = f"[1:v]{_LOGO}[l];[0:v][l]{_PLACE}[v]"
    ffmpeg(*("-i", joined, "-i", edit.logo, "-filter_complex", over, "-map", "[v]", "-map", "0:a"), *X264,
           *("-c:a", "copy"), marked)  # fmt: skip
    ffmpeg("-i", marked, "-vf", _letters(edit), *X264, "-c:a", "copy", lettered, folder=edit.folder)
    normal = f"loudnorm=I={LOUDNESS}:TP={TRUE_PEAK}:LRA=11,aformat=sample_rates=48000:channel_layouts=stereo"
    ffmpeg("-i", lettered, "-c:v", "copy", "-af", normal, *AAC, *_END, output)
    return output


def _input(edit: Edit, piece: Piece) -> list[str]:
    if piece.still:
        return ["-framerate", str(RATE), "-i", piece.path.name]
    return ["-t", str(edit.frames / RATE + 0.1), "-i", piece.path.name]


def _scene(edit: Edit, number: int) -> str:
    """Return what makes the frames of a scene; one that stands still is scaled once."""
    end = f"trim=end_frame={edit.frames},settb=1/{RATE}"
    if edit.pieces[number].still:
        return f"[{number}:v]{_COVER},format=yuv420p,loop=loop=-1:size=1,setpts=N,{end}"
    return f"[{number}:v]fps={RATE},{_COVER},format=yuv420p,{end}"


def _bodies(edit: Edit) -> list[str]:
    graph, parts, last = [], [], len(edit.pieces) - 1
    for n in range(last + 1):
        begins, ends = PASSING if n else 0, edit.frames - (PASSING if n < last else 0)
        cuts = {"head": (0, begins), "body": (begins, ends), "tail": (ends, edit.frames)}
        cuts = {name: (start, end) for name, (start, end) in cuts.items() if start < end}
        labels = "".join(f"[{name}{n}raw]" for name in cuts)
        graph.append(f"{_scene(edit, n)},split={len(cuts)}{labels}")
        for name, (start, end) in cuts.items():
            trim = f"trim=start_frame={start}:end_frame={end},setpts=PTS-STARTPTS"
            graph.append(f"[{name}{n}raw]{trim}[{name}{n}]")
        if n:
            fade = f"xfade=transition=fade:duration={_SECONDS}:offset=0,format=yuv420p"
            graph.append(f"[tail{n - 1}][head{n}]{fade}[passing{n}]")
            parts.append(f"[passing{n}]")
        parts += [f"[body{n}]"] if "body" in cuts else []
    return [*graph, f"{''.join(parts)}concat=n={len(parts)}:v=1:a=0,settb=1/{RATE}[scenes]"]


def _chain(edit: Edit) -> list[str]:
    graph = [f"{_scene(edit, n)}[scene{n}]" for n in range(len(edit.pieces))]
    picture = "scene0"
    for n in range(1, len(edit.pieces)):
        offset = n * (edit.frames - PASSING) / RATE
        graph.append(f"[{picture}][scene{n}]xfade=transition=fade:duration={_SECONDS}:offset={offset:.6f}[x{n}]")
        picture = f"x{n}"
    return [*graph, f"[{picture}]format=yuv420p[scenes]"]


def _above(edit: Edit) -> list[str]:
    return [f"[{len(edit.pieces)}:v]{_LOGO}[logo]", f"[scenes][logo]{_PLACE},{_letters(edit)},format=yuv420p[v]"]


def _letters(edit: Edit) -> str:
    return f"subtitles=filename={edit.subtitles.name}:fontsdir={escape(str(FONTS))}"


def _sound(edit: Edit) -> list[str]:
    seconds = edit.frames / RATE
    alike = "aformat=sample_fmts=fltp:sample_rates=48000:channel_layouts=stereo"
    graph = []
    for n, piece in enumerate(edit.pieces):
        source = f"[{n}:a]" if piece.sounds else "anullsrc=r=48000:cl=stereo,"
        graph.append(f"{source}aresample=48000,{alike},apad=whole_dur={seconds},atrim=duration={seconds}[s{n}]")
    audio = "s0"
    for n in range(1, len(edit.pieces)):
        name = "audio" if n == len(edit.pieces) - 1 else f"c{n}"
        graph.append(f"[{audio}][s{n}]acrossfade=d={_SECONDS}[{name}]")
        audio = name
    return graph


def _scene_file(edit: Edit, piece: Piece, output: Path) -> Path:
    seconds = str(edit.frames / RATE)
    pictures = ["-loop", "1", "-framerate", str(RATE)] if piece.still else []
    silence = [] if piece.sounds else ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"]
    cover = f"scale={WIDTH}:{HEIGHT}:force_original_aspect_ratio=increase:force_divisible_by=2"
    cover = f"{cover}:{_MATRIX},crop={WIDTH}:{HEIGHT}"
    words = [*pictures, "-i", piece.path, *silence, "-vf", f"{cover},setsar=1,fps={RATE},format=yuv420p"]
    words += ["-af", "aresample=48000,aformat=channel_layouts=stereo,apad", "-map", "0:v"]
    words += ["-map", "0:a" if piece.sounds else "1:a", "-t", seconds]
    ffmpeg(*words, *X264, *AAC, output)
    return output
