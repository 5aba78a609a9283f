"""Subtitle files as people have them: their encodings, their line ends, and what is missing or odd in them."""

from dataclasses import dataclass

LATE = "after the end of the video"
GUESSED = "by the frequency of its letters"

Caption = tuple[float, float, str]
"""Start and end in seconds, and the text without styles."""


@dataclass(frozen=True)
class SubtitleRow:
    """A subtitle file, and the captions that every operation must find in it."""

    name: str
    content: bytes
    captions: tuple[Caption, ...]
    """Those within the video, which lasts 2 s."""
    like: bytes | None = None
    """A plain file that is drawn alike. None: an SRT in UTF-8 of the captions."""
    one_by_one: tuple[Caption, ...] | None = None
    """The captions in MP4, which shows one at a time. None: the same."""
    notes: str = ""
    """Words that the notes must contain. Empty: there is no note about the captions."""


def srt(captions: tuple[Caption, ...]) -> str:
    """Return an SRT of captions."""
    blocks = (
        f"{number}\n00:00:{start:06.3f} --> 00:00:{end:06.3f}\n{text}\n"
        for number, (start, end, text) in enumerate(captions, 1)
    )
    return "\n".join(blocks)


def webvtt(captions: tuple[Caption, ...]) -> str:
    """Return a WebVTT of captions."""
    return "WEBVTT\n\n" + "\n".join(f"00:{start:06.3f} --> 00:{end:06.3f}\n{text}\n" for start, end, text in captions)


_STYLES = (
    "[Script Info]\nScriptType: v4.00+\nPlayResX: 160\nPlayResY: 90\n\n[V4+ Styles]\n"
    "Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, BorderStyle, Outline, Shadow, Alignment, MarginV\n"
    "Style: Odd,Inter,14,&H0000FFFF,-1,-1,1,1,0,8,5\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
)


def ass(captions: tuple[Caption, ...]) -> str:
    """Return an ASS script of captions, with a style."""
    return _STYLES + "".join(
        f"Dialogue: 0,0:00:{start:05.2f},0:00:{end:05.2f},Odd,,0,0,0,,{text}\n" for start, end, text in captions
    )


def _two(first: str, second: str) -> tuple[Caption, ...]:
    return (0.2, 0.8, first), (1.0, 1.8, second)


ENGLISH = _two("Hello, how are you?", "We go home tomorrow.")
RUSSIAN = _two("Привет, как дела?", "Мы едем домой завтра утром.")
CHINESE = _two("你好，今天天气很好。", "我们明天早上回家。")
JAPANESE = _two("こんにちは、お元気ですか。", "明日の朝に家へ帰ります。")
FRENCH = _two("C'est l'été, déjà.", "Où êtes-vous allés ?")


def _coded(name: str, text: str, captions: tuple[Caption, ...], encoding: str, notes: str = "") -> SubtitleRow:
    return SubtitleRow(name, text.encode(encoding), captions, notes=notes)


def _odd(name: str, text: str, *captions: Caption, **facts: object) -> SubtitleRow:
    return SubtitleRow(name, text.encode(), captions, **facts)  # type: ignore[arg-type]


_OVERLAPS = ((0.2, 1.2, "one"), (0.8, 1.8, "two"))
_STYLED = ass(((0.2, 0.8, "{\\i0}Hello{\\i1}, {\\c&H0000FF&}red\\Nsecond line"), (1.0, 1.8, "{\\an2}a\\hb")))

SUBTITLES = (
    _coded("utf-16.srt", srt(RUSSIAN), RUSSIAN, "utf-16"),
    _coded("utf-16-le-unmarked.srt", srt(CHINESE), CHINESE, "utf-16-le"),
    _coded("utf-16-be-unmarked.vtt", webvtt(JAPANESE), JAPANESE, "utf-16-be"),
    _coded("utf-8-marked.srt", srt(FRENCH), FRENCH, "utf-8-sig"),
    _coded("utf-8-marked.vtt", webvtt(RUSSIAN), RUSSIAN, "utf-8-sig"),
    _coded("windows-1251.srt", srt(RUSSIAN), RUSSIAN, "cp1251", "Windows-1251"),
    _coded("windows-1251.vtt", webvtt(RUSSIAN), RUSSIAN, "cp1251", "Windows-1251"),
    _coded("gbk.srt", srt(CHINESE), CHINESE, "gbk", "GBK"),
    _coded("shift-jis.srt", srt(JAPANESE), JAPANESE, "shift_jis", "Shift-JIS"),
    _coded("latin-1.srt", srt(FRENCH), FRENCH, "latin-1", "Windows-1252"),
    _coded("crlf.srt", srt(ENGLISH).replace("\n", "\r\n"), ENGLISH, "ascii"),
    _coded("cr.srt", srt(ENGLISH).replace("\n", "\r"), ENGLISH, "ascii"),
    _coded("cr.vtt", webvtt(ENGLISH).replace("\n", "\r"), ENGLISH, "ascii"),
    _coded("cr-utf-16.srt", srt(FRENCH).replace("\n", "\r"), FRENCH, "utf-16-be"),
    SubtitleRow("utf-16.ass", ass(RUSSIAN).encode("utf-16"), RUSSIAN, like=ass(RUSSIAN).encode()),
    SubtitleRow("windows-1251.ass", ass(RUSSIAN).encode("cp1251"), RUSSIAN, ass(RUSSIAN).encode(), notes=GUESSED),
    SubtitleRow("cr.ass", ass(ENGLISH).replace("\n", "\r").encode(), ENGLISH, like=ass(ENGLISH).encode()),
    SubtitleRow(
        "styles.ass",
        _STYLED.encode(),
        ((0.2, 0.8, "Hello, red\nsecond line"), (1.0, 1.8, "a b")),
        like=_STYLED.encode(),
    ),
    SubtitleRow(
        "after-the-end.ass",
        ass((*ENGLISH, (5.0, 6.0, "late"))).encode(),
        ENGLISH,
        like=ass(ENGLISH).encode(),
        notes=LATE,
    ),
    _odd("after-the-end.srt", srt((*ENGLISH, (5.0, 6.0, "late"))), *ENGLISH, notes=LATE),
    _odd("a-hundred-hours.srt", srt(ENGLISH) + "\n3\n100:00:01,000 --> 100:00:02,000\nfar\n", *ENGLISH, notes=LATE),
    _odd("after-the-end.vtt", webvtt(ENGLISH) + "\n100:00:01.000 --> 100:00:02.000\nfar\n", *ENGLISH, notes=LATE),
    _odd("no-numbers.srt", "00:00:00,200 --> 00:00:00,800\none\n00:00:01,000 --> 00:00:01,800\n2\n", *_two("one", "2")),
    _odd("blank-lines.srt", srt(_two("one\n\nmore", "two")), *_two("one\nmore", "two")),
    _odd("no-blank-lines.vtt", webvtt(ENGLISH).replace("\n\n", "\n"), *ENGLISH),
    _odd("line-of-a-space.vtt", webvtt(_two(" \nHello<00:00:00.500><c> you</c>", "two")), *_two("Hello you", "two")),
    _odd(
        "overlaps.srt",
        srt(_OVERLAPS),
        *_OVERLAPS,
        one_by_one=((0.2, 0.8, "one"), (0.8, 1.2, "one\ntwo"), (1.2, 1.8, "two")),
    ),
    _odd("no-tags.srt", srt(_two("x < 5 and y > 3", "a {b} c & d")), *_two("x < 5 and y > 3", "a {b} c & d")),
)
