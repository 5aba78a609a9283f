"""The sound of a film, made in one piece: cut audio would click at every joint."""

from fractions import Fraction
from pathlib import Path

from callsheet.media.graph import Graph, Options
from callsheet.media.inputs import file_url, media_input
from callsheet.media.loudness import LOSSLESS, METER
from callsheet.media.schedule import Schedule, Shot
from callsheet.media.timeline import Soundtrack

RATE = 48_000

_STEREO: tuple[str, Options] = (
    "aformat",
    {"sample_fmts": "fltp", "sample_rates": RATE, "channel_layouts": "stereo"},
)


def has_sound(plan: Schedule, soundtrack: Soundtrack | None) -> bool:
    """Tell whether anything in the film makes sound."""
    return soundtrack is not None or any(_sounds(shot) for shot in plan.shots)


def arguments(plan: Schedule, soundtrack: Soundtrack | None, music: Path | None, output: Path) -> list[str]:
    """Return the words that make FFmpeg write the whole sound, measured on the way, to a lossless file."""
    graph, words, inputs = Graph(), [], 0
    tracks: list[str] = []
    for shot in plan.shots:
        if _sounds(shot):
            words += _scene_input(shot, plan.rate)
        tracks.append(_scene(graph, f"{inputs}:a:0", shot, plan.rate))
        inputs += _sounds(shot)
    mix = _joined(graph, tracks, plan)
    if soundtrack is not None and music is not None:
        words += [*(["-stream_loop", "-1"] if soundtrack.loop else []), *_music_input(music, soundtrack)]
        mix = _with_music(graph, mix, f"{inputs}:a:0", soundtrack, plan)
    whole = samples(plan.frames, plan.rate)
    mix = graph.chain(mix, ("apad", {"whole_len": whole}), ("atrim", {"end_sample": whole}), _STEREO)
    mix = graph.raw(mix, METER)
    return [*words, "-filter_complex", str(graph), "-map", f"[{mix}]", "-vn", *LOSSLESS, file_url(output)]


def samples(frame: int, rate: Fraction) -> int:
    """Return the sample that belongs to the beginning of a frame."""
    return round(frame * RATE / rate)


def _sounds(shot: Shot) -> bool:
    return shot.footage is not None and shot.footage.has_sound and not shot.footage.still and shot.scene.volume > 0


def _scene_input(shot: Shot, rate: Fraction) -> list[str]:
    assert shot.footage is not None  # noqa: S101 - only files make sound
    length = float(shot.frames / rate) + 0.1
    return media_input(shot.footage.path, start=shot.scene.trim_start or None, length=length)


def _scene(graph: Graph, stream: str, shot: Shot, rate: Fraction) -> str:
    count = samples(shot.end, rate) - samples(shot.start, rate)
    if not _sounds(shot):
        silence = graph.add("anullsrc", r=RATE, cl="stereo")
        return graph.chain(silence, ("atrim", {"end_sample": count}), _STEREO)
    return graph.chain(
        stream,
        # Sound that begins later than the picture keeps its distance, gaps are filled.
        ("aresample", {"osr": RATE, "async": 1, "first_pts": 0}),
        _STEREO,
        ("volume", {"volume": shot.scene.volume}),
        ("apad", {"whole_len": count}),
        ("atrim", {"end_sample": count}),
        ("asetpts", {"expr": "PTS-STARTPTS"}),
    )


def _joined(graph: Graph, tracks: list[str], plan: Schedule) -> str:
    """Join scenes as their pictures are joined; neighbours without a transition are joined at once."""
    groups: list[list[str]] = [[tracks[0]]]
    blends: list[int] = []
    for shot, track in zip(plan.shots[1:], tracks[1:], strict=True):
        if shot.blend_in:
            blends.append(samples(shot.start + shot.blend_in, plan.rate) - samples(shot.start, plan.rate))
            groups.append([track])
        else:
            groups[-1].append(track)
    parts = [group[0] if len(group) == 1 else _in_a_row(graph, group) for group in groups]
    mix = parts[0]
    for part, blend in zip(parts[1:], blends, strict=True):
        mix = graph.add("acrossfade", mix, part, ns=blend, c1="tri", c2="tri")
    return mix


def _in_a_row(graph: Graph, tracks: list[str]) -> str:
    return graph.add("concat", *tracks, n=len(tracks), v=0, a=1)


def _music_input(music: Path, soundtrack: Soundtrack) -> list[str]:
    return media_input(music, start=soundtrack.trim_start or None)


def _with_music(graph: Graph, mix: str, stream: str, soundtrack: Soundtrack, plan: Schedule) -> str:
    whole = samples(plan.frames, plan.rate)
    music = graph.chain(
        stream,
        ("aresample", {"osr": RATE, "async": 1, "first_pts": 0}),
        _STEREO,
        ("atrim", {"end_sample": whole}),
        ("asetpts", {"expr": "PTS-STARTPTS"}),
        ("volume", {"volume": soundtrack.volume}),
    )
    if soundtrack.fade_in:
        music = graph.add("afade", music, t="in", d=soundtrack.fade_in)
    if soundtrack.fade_out:
        start = max(0.0, plan.seconds - soundtrack.fade_out)
        music = graph.add("afade", music, t="out", st=start, d=soundtrack.fade_out)
    if soundtrack.duck is not None:
        mix, heard = graph.split("asplit", mix)
        by: Options = {"threshold": soundtrack.duck.threshold, "ratio": soundtrack.duck.ratio}
        music = graph.add("apad", music, whole_len=whole)
        music = graph.add("sidechaincompress", music, heard, **by, attack=20, release=400)
    return graph.add("amix", mix, music, inputs=2, duration="first", normalize=0)
