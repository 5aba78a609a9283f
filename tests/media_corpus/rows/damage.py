"""Files of which a part is missing or wrong."""

from ..damage_recipes import bit_rot, cut_off, without_start, zeros_inside
from ..film_recipes import film, remuxed
from ..sound_recipes import sound, surrounded
from ..table import FILTERED, Row, audible

_CUT = "cut off"
_FAST = remuxed("-movflags", "+faststart")
_PART = {"seconds": 1.2, "frames": None, "flashes": (0.5,), "beeps": (0.5,), "slack": 0.3}
_FRAGMENTS = "libx264 -preset ultrafast -g 12"
_EVEN = "libx264 -preset ultrafast -g 1 -b:v 400k -nal-hrd cbr -maxrate 400k -bufsize 40k"
"""About as many bytes in each frame."""

ROWS = (
    Row(
        "cut-off.mp4", cut_off(0.7, _FAST, "mp4"), **{**_PART, "seconds": 1.5}, notes=_CUT, also=frozenset({"upscale"})
    ),
    Row("cut-off.mkv", cut_off(0.6, film(_EVEN), "mkv"), **_PART, notes=_CUT, skip=FILTERED),
    Row(
        "cut-off.webm",
        cut_off(0.6, film("libvpx -deadline realtime -g 1", "libopus"), "webm"),
        **_PART,
        notes=_CUT,
        skip=FILTERED,
    ),
    Row("cut-off.avi", cut_off(0.6, film("mpeg4 -g 1", "libmp3lame"), "avi"), **_PART, notes=_CUT, skip=FILTERED),
    Row("cut-off.ts", cut_off(0.6, film(_EVEN), "ts"), **_PART, skip=FILTERED),
    Row("cut-off.flv", cut_off(0.6, film(_EVEN, "aac", hertz=44_100), "flv"), **_PART, notes=_CUT, skip=FILTERED),
    Row("cut-off.ogv", cut_off(0.6, film("libtheora -g 1", "flac"), "ogv"), **_PART, notes=_CUT, skip=FILTERED),
    Row(
        "cut-off-fragment.mp4",  # inside the index of a fragment
        cut_off(0.6, remuxed("-movflags", "frag_keyframe+empty_moov", source=film(_FRAGMENTS)), "mp4"),
        **{**_PART, "seconds": 1.47},
        notes=_CUT,
        skip=FILTERED,
    ),
    Row(
        "cut-off-samples.mp4",
        cut_off(0.5, remuxed("-movflags", "frag_keyframe+empty_moov", source=film(_FRAGMENTS)), "mp4"),
        **{**_PART, "seconds": 0.8},
        notes=_CUT,
        skip=FILTERED,
    ),
    Row("no-index.mp4", cut_off(0.7, film(), "mp4"), refused="'no-index.mp4'", skip=frozenset()),
    audible(
        "cut-off.wav", cut_off(0.75, sound("pcm_s16le"), "wav"), seconds=1.5, beeps=(0.5,), notes=_CUT, skip=FILTERED
    ),
    audible(
        "cut-off.mp3",
        cut_off(0.6, sound("libmp3lame -b:a 64k"), "mp3"),
        seconds=1.5,
        beeps=(0.5,),
        notes=_CUT,
        slack=0.2,
        skip=FILTERED,
    ),
    audible("cut-off.aac", cut_off(0.6, sound("aac"), "aac"), seconds=1.5, beeps=(0.5,), slack=0.2, skip=FILTERED),
    audible(
        "cut-off.ogg",
        cut_off(0.6, sound("flac", hertz=44_100), "ogg"),
        seconds=1.0,
        beeps=(0.5,),
        notes=_CUT,
        slack=0.3,
        skip=FILTERED,
    ),
    audible(
        "cut-off.flac",
        cut_off(0.6, sound("flac"), "flac"),
        seconds=0.66,
        beeps=(0.5,),
        notes=_CUT,
        slack=0.3,
        skip=FILTERED,
    ),
    audible(
        "cut-off.aiff", cut_off(0.75, sound("pcm_s16be"), "aiff"), seconds=1.5, beeps=(0.5,), notes=_CUT, skip=FILTERED
    ),
    audible(
        "cut-off.w64", cut_off(0.75, sound("pcm_s16le"), "w64"), seconds=1.5, beeps=(0.5,), notes=_CUT, skip=FILTERED
    ),
    audible(
        "cut-off.caf", cut_off(0.75, sound("pcm_s16le"), "caf"), seconds=1.5, beeps=(0.5,), notes=_CUT, skip=FILTERED
    ),
    Row(
        "bit-rot.mp4",
        bit_rot(remuxed("-movflags", "+faststart", source=film("libx264 -preset ultrafast -g 5")), "mp4"),
        corners=(),
        frames=None,
        slack=0.2,
        level=None,
        skip=FILTERED,
    ),
    Row(
        "zeros.ts",
        zeros_inside(film("libx264 -preset ultrafast -g 5", "mp2"), "ts", 0.35, 376),
        corners=(),
        frames=None,
        slack=0.3,
        level=None,
        skip=FILTERED,
    ),
    Row(
        "joined-late.ts",
        without_start(film("libx264 -preset ultrafast -g 5", "mp2"), "ts", 0.1),
        seconds=1.8,
        frames=None,
        flashes=(0.3, 1.3),
        beeps=(0.3, 1.3),
        slack=0.25,
        skip=FILTERED,
    ),
    Row("garbage-behind.mp4", surrounded(film(), "mp4", after=b"\x01\x02garbage" * 200), skip=FILTERED),
    Row("garbage-behind.mkv", surrounded(film(), "mkv", after=b"\x01\x02garbage" * 200), skip=FILTERED),
)
