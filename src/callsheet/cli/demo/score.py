"""The music of the demo film: notes, compiled to an FFmpeg filter graph that synthesizes them.

Eight bars of two seconds in D major, at 120 beats a minute: a pad of slow chords, a bass, a plucked figure that
becomes denser, and bells. Each note is an expression that FFmpeg evaluates for each sample.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

BAR = 2.0
BARS = 8
TAIL = 2.5
"""Decay of the last notes, in seconds."""

_RATE = 48000
_REVERB_GAIN = 40
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

# bass, pad (low to high), plucked figure in eighths
CHORDS = [
    ("D2", "A3 D4 F#4 E5", "D4 A4 D5 E5 F#5 E5 D5 A4"),
    ("D2", "A3 D4 F#4 E5", "D4 A4 D5 E5 F#5 A5 F#5 E5"),
    ("B1", "B3 D4 F#4 A4", "B3 F#4 B4 D5 E5 D5 B4 F#4"),
    ("G1", "B3 D4 G4 A4", "G3 D4 B4 D5 A5 D5 B4 D4"),
    ("D2", "A3 D4 F#4 E5", "D4 A4 D5 E5 F#5 A5 F#5 D5"),
    ("B1", "B3 D4 F#4 A4", "B3 F#4 D5 E5 F#5 E5 D5 F#4"),
    ("G1", "B3 D4 G4 F#5", "G3 D4 B4 D5 G5 F#5 D5 B4"),
    ("A1", "A3 D4 E4 C#5", "A3 E4 A4 C#5 E5 D5 C#5 A4"),
]
MELODY = [
    # start in beats, bells
    (8.0, "F#5"), (9.5, "E5"), (10.0, "D5"), (12.0, "B5"), (13.5, "A5"), (15.0, "F#5"),
    (16.0, "A5"), (18.0, "F#5"), (19.5, "E5"), (20.0, "F#5"), (22.0, "D5"), (24.0, "B5"),
    (25.5, "A5"), (26.0, "F#5"), (28.0, "E5"), (30.0, "C#5"), (31.0, "E5"),
]  # fmt: skip
LAST = "D2 D3 A3 D4 F#4 A4 E5 D6"
"""The final chord."""


@dataclass(frozen=True, slots=True)
class Note:
    """One note of one instrument."""

    voice: str
    pitch: str
    start: float
    """Seconds."""
    gain: float
    pan: float = 0.0
    """From -1 (left) to 1 (right)."""


VOICES = {
    # A plucked string: high partials start loud and decay fastest.
    "pluck": (1.6, "exp(-3*t)*({1}+0.6*exp(-2*t)*{2}+0.45*exp(-4*t)*{3}+0.3*exp(-6*t)*{4}+0.22*exp(-9*t)*{6})"),
    # A bell or celesta: inharmonic partials.
    "bell": (2.6, "exp(-1.9*t)*({1}+0.4*exp(-3*t)*{3.01}+0.25*exp(-7*t)*{6.27})"),
    # A soft bass: few partials, slow attack.
    "bass": (2.3, "min(1,t*40)*exp(-1.1*t)*({1}+0.8*{2}+0.35*{3}+0.15*{4})"),
    # A pad: two detuned strings that swell and fade.
    "pad": (3.2, "min(1,t*1.4)*min(1,(3.2-t)*0.8)*({0.9985}+{1.0015}+0.3*{1.999}+0.12*{3.002})"),
}


def notes() -> Iterator[Note]:
    """Yield all notes of the piece."""
    for bar, (bass, pad, figure) in enumerate(CHORDS):
        start = bar * BAR
        yield Note("bass", bass, start, 0.17)
        if bar >= 2:
            yield Note("bass", bass, start + 1.25, 0.10)
        for index, pitch in enumerate(pad.split()):
            yield Note("pad", pitch, max(0.0, start - 0.35), 0.052, (-0.7, 0.3, -0.3, 0.7)[index])
        yield from _figure(figure.split(), bar)
    for beat, pitch in MELODY:
        yield Note("bell", pitch, beat / 2, 0.16, 0.25)
    for index, pitch in enumerate(LAST.split()):
        voice = "bass" if index < 2 else "bell" if index > 5 else "pluck"
        yield Note(voice, pitch, BARS * BAR + 0.028 * index, 0.2, (index - 3.5) / 6)


def _figure(pitches: list[str], bar: int) -> Iterator[Note]:
    """Yield the plucked figure: every second note in the first two bars, then all notes."""
    for index, pitch in enumerate(pitches):
        if bar < 2 and index % 2:
            continue
        accent = 0.21 if index % 4 == 0 else 0.15
        yield Note("pluck", pitch, bar * BAR + index * 0.25, accent, 0.55 if index % 2 else -0.55)


def frequency(pitch: str) -> float:
    """Return the frequency in hertz of a note such as `F#4`, in equal temperament with A4 at 440 Hz."""
    step = _STEPS[pitch[0]] + pitch.count("#") - 9
    return 440.0 * math.pow(2.0, step / 12 + int(pitch[-1]) - 4)


def graph(seconds: float) -> str:
    """Return the filter graph that outputs the piece as `[music]`, faded out at `seconds`.

    Notes of the same voice, pitch and pan are synthesized once and reused.
    """
    played: dict[tuple[str, str, float], list[Note]] = defaultdict(list)
    for note in notes():
        played[note.voice, note.pitch, note.pan].append(note)
    parts: list[str] = []
    mixed: list[str] = []
    for index, ((voice, pitch, pan), same) in enumerate(played.items()):
        parts.append(_note_source(voice, pitch, pan, len(same), index))
        for number, note in enumerate(same):
            label = f"[n{index}x{number}]"
            parts.append(f"[s{index}x{number}]volume={note.gain:.4f},adelay={round(note.start * 1000)}:all=1{label}")
            mixed.append(label)
    parts.append(
        f"{''.join(mixed)}amix=inputs={len(mixed)}:normalize=0:duration=longest,"
        f"apad=whole_dur={seconds + 0.1:.3f},asplit=2[dry][send]"
    )
    parts.append(_reverb(seconds))
    return ";".join(parts)


def _note_source(voice: str, pitch: str, pan: float, copies: int, index: int) -> str:
    length, shape = VOICES[voice]
    left, right = (1 - pan) / 2, (1 + pan) / 2
    outputs = "".join(f"[s{index}x{number}]" for number in range(copies))
    return (
        f"aevalsrc=exprs='{_expression(shape, frequency(pitch))}':s={_RATE}:d={length},"
        f"pan=stereo|c0={left**0.5:.3f}*c0|c1={right**0.5:.3f}*c0,asplit={copies}{outputs}"
    )


def _expression(shape: str, hertz: float) -> str:
    """Replace each `{k}` with the sine of the k-th partial."""
    out, rest = "", shape
    while "{" in rest:
        head, _, tail = rest.partition("{")
        ratio, _, rest = tail.partition("}")
        out += f"{head}sin({math.tau * hertz * float(ratio):.4f}*t)"
    return out + rest


def _reverb(seconds: float) -> str:
    """Return the reverb: the music convolved with decaying noise, the impulse response of a hall."""
    noise = "|".join(f"(2*random({seed})-1)*exp(-2.8*t)*min(1,t*50)" for seed in (0, 1))
    fade_out = f"afade=t=out:st={max(0.0, seconds - 1.6):.3f}:d={min(1.6, seconds):.3f}:curve=hsin"
    return ";".join([
        f"aevalsrc=exprs='{noise}':c=stereo:s={_RATE}:d=2.2,lowpass=f=5200,highpass=f=180[impulse]",
        # afir divides by the sum of the impulse response, so the output needs gain. Before FFmpeg 6 its output has no
        # channel layout.
        f"[send][impulse]afir,volume={_REVERB_GAIN},aformat=channel_layouts=stereo[reverb]",
        f"[dry][reverb]amerge=inputs=2,pan=stereo|c0=c0+c2|c1=c1+c3,asetpts=N/SR/TB,atrim=end={seconds:.3f},{fade_out},"
        f"aformat=sample_fmts=s16:sample_rates={_RATE}:channel_layouts=stereo[music]",
    ])  # fmt: skip
