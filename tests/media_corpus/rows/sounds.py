"""Sound without a picture: formats, layouts, what stands before and after it."""

from ..clips import BEEP
from ..sound_recipes import channels, sound, surrounded, with_cover
from ..table import FILTERED, Row, audible

_ID3_TAIL = b"TAG" + b"A song".ljust(125, b"\0")
_ID3_HEAD = b"ID3\x04\0\0\0\0\x01\0" + bytes(128)
_LIST = b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf62.3.100\0\0"
MIXED = "mixed to two"

ROWS: tuple[Row, ...] = (
    audible("pcm.wav", sound("pcm_s16le"), skip=FILTERED),
    audible("u8.wav", sound("pcm_u8"), skip=FILTERED),
    audible("s24.wav", sound("pcm_s24le"), skip=FILTERED),
    audible("f32.wav", sound("pcm_f32le"), skip=FILTERED),
    audible("mulaw.wav", sound("pcm_mulaw", hertz=8000), skip=FILTERED),
    audible("adpcm.wav", sound("adpcm_ms"), skip=FILTERED),
    audible("mp3.wav", sound("libmp3lame"), skip=FILTERED),
    audible("rf64.wav", sound("pcm_s16le", extra="-rf64 always"), skip=FILTERED),
    audible("pcm.w64", sound("pcm_s16le"), skip=FILTERED),
    audible("pcm.aiff", sound("pcm_s16be"), skip=FILTERED),
    audible("little-endian.aifc", sound("pcm_s16le", extra="-f aiff"), skip=FILTERED),
    audible("pcm.caf", sound("pcm_s16le"), skip=FILTERED),
    audible("alac.caf", sound("alac"), skip=FILTERED),
    audible("speech.amr", sound("libopencore_amrnb -b:a 12.2k", hertz=8000), level=None, skip=FILTERED),
    audible("layer2.mp2", sound("mp2"), skip=FILTERED),
    audible("sound.ac3", sound("ac3", hertz=48_000), skip=FILTERED),
    audible("sound.eac3", sound("eac3", hertz=48_000), skip=FILTERED),
    audible("opus.ogg", sound("libopus"), skip=FILTERED),
    audible("vorbis.ogg", sound("libvorbis", channels=2, hertz=44_100), level=0.7, skip=FILTERED),
    audible("flac.ogg", sound("flac"), skip=FILTERED),
    audible("aac.m4a", sound("aac"), skip=FILTERED),
    audible("alac.m4a", sound("alac"), skip=FILTERED),
    audible("flac.flac", sound("flac"), skip=FILTERED),
    audible("opus.mka", sound("libopus"), skip=FILTERED),
    audible("opus.webm", sound("libopus"), skip=FILTERED),
    audible("wma.wma", sound("wmav2", hertz=44_100), skip=FILTERED),
    audible("96-khz.flac", sound("flac", hertz=96_000), skip=FILTERED),
    audible("cover.m4a", with_cover("aac"), skip=FILTERED),
    audible("cover.mp3", with_cover("libmp3lame", "-id3v2_version 3"), skip=FILTERED),
    audible("cover.flac", with_cover("flac"), skip=FILTERED),
    audible(
        "tags-around.mp3",
        surrounded(
            sound("libmp3lame -b:a 64k", extra="-write_xing 0 -id3v2_version 0"),
            "mp3",
            before=_ID3_HEAD,
            after=_ID3_TAIL,
        ),
        skip=FILTERED,
    ),
    audible("junk-before.mp3", surrounded(sound("libmp3lame -b:a 64k"), "mp3", before=bytes(3000)), skip=FILTERED),
    audible("id3.aac", surrounded(sound("aac"), "aac", before=_ID3_HEAD), skip=FILTERED),
    audible("chunk-after.wav", surrounded(sound("pcm_s16le", extra="-bitexact"), "wav", after=_LIST), skip=FILTERED),
    audible(
        "5.1.flac", channels("flac", "flac", "5.1", f"{BEEP}|{BEEP}|{BEEP}|0|{BEEP}|{BEEP}"), level=None, skip=FILTERED
    ),
    audible("7.1.wav", channels("wav", "pcm_s16le", "7.1", "|".join([BEEP] * 8)), level=None, skip=FILTERED),
    audible(
        "22.2.wav",
        channels("wav", "pcm_s16le", "22.2", "|".join(["0"] * 12 + [BEEP] * 12)),
        notes=MIXED,
        level=None,
        skip=frozenset({"probe", "render", "extract-audio"}),
    ),
    audible("left-only.wav", channels("wav", "pcm_s16le", "stereo", f"{BEEP}|0"), level=None, skip=FILTERED),
    audible(
        "opposite.wav",
        channels("wav", "pcm_s16le", "stereo", f"{BEEP}|-{BEEP}"),
        level=None,
        skip=frozenset({"probe", "render", "split", "concat", "extract-audio"}),
    ),
)
