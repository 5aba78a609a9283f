from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.media.subtitles.ass import Line, build_script, escape_text
from callsheet.media.subtitles.safe_area import safe_area
from callsheet.media.subtitles.spoken import SpokenText
from callsheet.media.subtitles.style_defaults import with_caption_defaults, with_title_defaults

from .drawing import box, draw, like, lit, middle, style

YELLOW, WHITE, RED = (255, 212, 0), (255, 255, 255), (255, 0, 0)
PLAIN = style(font_size=30, stroke_width=0)


def line(text: str, *, start: float = 0, end: float = 1, text_style=PLAIN, **more) -> Line:
    return Line(start, end, escape_text(text), text_style, **more)


def test_override_tags_are_escaped():
    assert escape_text("{\\fs200}a\\Nb\nc\x00\t\x85d") == "\\{\\\u2060fs200\\}a\\\u2060Nb\\Nc \\Nd"


@pytest.mark.parametrize(
    "text", ["{\\fs200}", "{\\pos(0,0)\\1c&H0000FF&}a", "{\\k10}a\\N\\h", "{\\p1}m 0 0 l 99 99 0 99"]
)
def test_override_tags_in_a_text_are_drawn_as_text(text: str):
    frame = draw([line(text, text_style=style(font_size=14, stroke_width=0))])[0]

    left, top, right, bottom = box(lit(frame))
    assert bottom - top <= 15
    assert right - left > 20
    assert middle(lit(frame)) == pytest.approx((160, 90), abs=6)
    assert not like(frame, RED).any()


def test_a_script_has_the_size_of_the_video():
    text_style = style(color="red", font_size=50)
    seen = Line(1.005, 3661.5, "Hi", text_style, fade_in=0.3, fade_out=0.3)

    text = build_script([seen, seen], width=1080, height=1920)

    assert "PlayResX: 1080\nPlayResY: 1920" in text
    assert text.count("\nStyle: ") == 1
    assert "Style: S0,Inter,50.0,&H000000FF," in text
    assert "Dialogue: 1,0:00:01.00,1:01:01.50,S0,,0,0,0,,{\\fad(300,300)}Hi" in text


def test_text_is_visible_only_in_its_time():
    frames = draw([line("Hello", start=0.3, end=0.7)])

    assert [bool(lit(frame).any()) for frame in frames] == [False] * 3 + [True] * 4 + [False] * 3


@pytest.mark.parametrize(
    ("position", "where"),
    [
        ("top_left", (0, 0)),
        ("top", (1, 0)),
        ("topRight", (2, 0)),
        ("left", (0, 1)),
        ("centre", (1, 1)),
        ("right", (2, 1)),
        ("bottom-left", (0, 2)),
        ("bottom", (1, 2)),
        ("bottom_right", (2, 2)),
    ],
)
def test_text_is_at_its_position(position: str, where: tuple[int, int]):
    x, y = middle(lit(draw([line("Hi", text_style=style(position=position, font_size=30))], seconds=0.1)[0]))

    assert (int(x // (320 / 3)), int(y // (180 / 3))) == where


def test_margins_are_distances_from_the_edges_at_the_position():
    near, far = (
        box(
            lit(
                draw([line("H", text_style=style(position="bottom_right", font_size=30, margin=margin))], seconds=0.1)[
                    0
                ]
            )
        )
        for margin in (10, 50)
    )

    assert near[2] - far[2] == pytest.approx(40, abs=1)
    assert near[3] - far[3] == pytest.approx(40, abs=1)


def test_an_offset_is_a_fraction_of_the_frame():
    frame = draw([line("Hi", offset=(0.25, -0.25))], seconds=0.1)[0]

    assert middle(lit(frame)) == pytest.approx((160 + 80, 90 - 45), abs=4)


def test_opacity_applies_to_text_and_box():
    boxed = style(font_size=30, background_color="red", background_opacity=1)
    whole, half = (draw([line("HI", text_style=boxed, opacity=opacity)], seconds=0.1)[0] for opacity in (1, 0.5))

    assert whole[:, :, 1].max() == 255
    assert half[:, :, 1].max() < 160
    assert np.median(half[lit(whole)][:, 0]) == pytest.approx(128, abs=12)


def test_rotation_rotates_text_and_box_clockwise():
    text_style = style(font_size=30, background_color="red", background_opacity=1, color="white")

    turned = draw([line("Hello you", text_style=text_style, rotation=90)], seconds=0.1)[0]
    upright = draw([line("Hello you", text_style=text_style)], seconds=0.1)[0]

    flat, tall = box(lit(upright)), box(lit(turned))
    assert (tall[2] - tall[0], tall[3] - tall[1]) == pytest.approx((flat[3] - flat[1], flat[2] - flat[0]), abs=6)
    # The tail of the y of "you" points down, and to the left after a clockwise rotation.
    assert middle(like(turned, WHITE))[0] < middle(lit(turned))[0] + 1


def test_rotated_text_at_the_edge_stays_in_the_frame():
    text_style = style(font_size=30, position="top_left", background_color="red")

    left, top, right, bottom = box(
        lit(draw([line("Turned by much", text_style=text_style, rotation=60)], seconds=0.1)[0], 60)
    )

    assert left > 0 and top > 0 and right < 320 and bottom < 180


def test_fades_take_their_duration():
    frames = draw([line("HI", fade_in=0.4, fade_out=0.2)], seconds=1, rate=20)

    brightness = [int(frame.max()) for frame in frames]
    assert brightness[0] < 20
    assert brightness[4] == pytest.approx(128, abs=12)
    assert brightness[10] == 255
    assert brightness[18] == pytest.approx(128, abs=12)


def test_fades_of_a_karaoke_text_apply_to_the_whole_text():
    text_style = style(font_size=30, effect="highlight", stroke_width=0)
    frames = draw([line("a b c d e f g h", text_style=text_style, fade_in=0.5, fade_out=0.5)], seconds=1, rate=20)

    brightness = [int(frame.max()) for frame in frames]
    assert brightness[2] == pytest.approx(51, abs=15)
    assert brightness[5] == pytest.approx(128, abs=15)
    assert brightness[15] == pytest.approx(128, abs=15)


def test_text_slides_in_and_out_over_the_frame_edges():
    frames = draw([line("Hi", slide_in="left", slide_out="down", fade_in=0.4)], seconds=1, rate=20)

    seen = [middle(lit(frame, 20)) if lit(frame, 20).any() else None for frame in frames]
    assert seen[0] is None and seen[1] is None
    assert seen[6][0] == pytest.approx(160 + 320 / 4, abs=4), "three quarters of the way, moving left"
    assert seen[9] == pytest.approx((160, 90), abs=3)
    assert seen[11][1] > seen[10][1] > 89, "on the way down"
    assert seen[18] is None


def test_the_box_has_its_padding_and_opacity():
    text_style = style(font_size=30, background_color="red", background_opacity=0.5, padding=20)
    frame = draw([line("HH", text_style=text_style)], seconds=0.1)[0]

    around, text = box(frame[:, :, 0] > 60), box(like(frame, WHITE))
    assert text[0] - around[0] == pytest.approx(22, abs=4)
    assert around[3] - around[1] == pytest.approx(30 + 40, abs=2)
    assert frame[around[1] + 3, around[0] + 3, 0] == pytest.approx(128, abs=12)


def test_lines_have_the_line_height():
    single, double = (
        box(
            lit(
                draw([line("H\nH", text_style=style(font_size=30, stroke_width=0, line_height=height))], seconds=0.1)[0]
            )
        )
        for height in (1, 2)
    )

    assert (double[3] - double[1]) - (single[3] - single[1]) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(("align", "edge"), [("left", 0), ("right", 2)])
def test_lines_are_aligned(align: str, edge: int):
    text_style = style(font_size=30, stroke_width=0, align=align)
    frame = lit(draw([line("H\nHHHHHH", text_style=text_style)], seconds=0.1)[0])

    assert box(frame[:90])[edge] == pytest.approx(box(frame[90:])[edge], abs=2)
    assert middle(frame)[0] == pytest.approx(160, abs=4)


def test_letter_spacing_does_not_separate_connected_letters():
    def wide(text: str, spacing: float) -> int:
        left, _, right, _ = box(lit(draw([line(text, text_style=style(font_size=30, letter_spacing=spacing))])[0]))
        return right - left

    assert wide("HHHH", 10) - wide("HHHH", 0) == pytest.approx(30, abs=2)
    assert wide("مرحبا", 10) == wide("مرحبا", 0)


def test_weights_use_the_nearest_font():
    def ink(weight: object) -> int:
        text_style = style(font_size=40, stroke_width=0, font_weight=weight)
        return int(lit(draw([line("HHHH", text_style=text_style)], seconds=0.1)[0]).sum())

    light, heavy = ink("normal"), ink("bold")

    assert heavy > light * 1.2
    assert (ink(100), ink(900)) == (light, heavy)


def follow(effect: str, text: str, words: list[tuple[str, float, float]] | None, **text_style) -> np.ndarray:
    spoken = None if words is None else [SpokenText(*word) for word in words]
    text_style = style(effect=effect, font_size=30, stroke_width=0, **text_style)
    return draw([line(text, text_style=text_style, words=spoken)])


WORDS = [("one", 0.0, 0.3), ("two", 0.3, 0.6), ("six", 0.6, 1.0)]


def marked(frame: np.ndarray, color: tuple[int, int, int]) -> list[int]:
    """Return which words in a row have a color."""
    columns = np.flatnonzero(lit(frame).any(axis=0))
    words = np.split(columns, np.flatnonzero(np.diff(columns) > 4) + 1)
    return [number for number, word in enumerate(words) if like(frame, color)[:, word].sum() > 15]


def test_the_current_word_has_the_highlight_color():
    frames = follow("highlight", "one two six", WORDS)

    assert [marked(frame, YELLOW) for frame in frames] == [[0]] * 3 + [[1]] * 3 + [[2]] * 4
    assert marked(frames[4], WHITE) == [0, 2]


def test_the_highlight_follows_right_to_left_words():
    frames = follow("highlight", "אאא בבב גגג", [("אאא", 0.0, 0.3), ("בבב", 0.3, 0.6), ("גגג", 0.6, 1.0)])

    assert [marked(frame, YELLOW) for frame in frames] == [[2]] * 3 + [[1]] * 3 + [[0]] * 4


def test_pauses_between_words_have_no_highlight():
    frames = follow("highlight", "one two", [("one", 0.0, 0.1), ("two", 0.8, 0.9)])

    assert [bool(like(frame, YELLOW).any()) for frame in frames] == [True] + [False] * 7 + [True] * 2


def test_karaoke_fills_words_as_they_are_spoken():
    frames = follow("karaoke", "one two six", WORDS, highlight_color="red")

    red = [int(like(frame, RED).sum()) for frame in frames]
    assert red[0] < 10
    assert red == sorted(red)
    assert marked(frames[3], RED) == [0]
    assert marked(frames[6], RED) == [0, 1]
    assert like(frames[9], WHITE).sum() < like(frames[0], WHITE).sum() / 6


def test_karaoke_waits_for_the_first_word_and_in_pauses():
    frames = follow("karaoke", "one two", [("one", 0.4, 0.5), ("two", 0.9, 1.0)], highlight_color="red")

    red = [int(like(frame, RED).sum()) for frame in frames]
    assert max(red[:5]) < 10 < red[5]
    assert red[5] == red[9]


def test_karaoke_continues_in_a_sliding_text():
    text_style = style(effect="karaoke", font_size=30, stroke_width=0, highlight_color="red")
    words = [SpokenText(*word) for word in WORDS]
    frames = draw([line("one two six", text_style=text_style, words=words, slide_in="up", slide_out="up", fade_in=0.1)])

    assert marked(frames[3], RED) == [0]
    assert marked(frames[6], RED) == [0, 1]


def test_one_word_at_a_time_is_visible():
    frames = follow("word", "one two, six", [("one", 0.0, 0.3), ("two", 0.3, 0.6), ("six", 0.6, 1.0)])

    apart = follow("none", "two", None)[0]
    assert np.array_equal(lit(frames[4]), lit(apart))
    assert {middle(lit(frame))[0] for frame in frames} <= {159.0, 159.5, 160.0, 160.5, 161.0}


def test_without_times_words_are_distributed_by_length():
    frames = follow("highlight", "a bbbbbbbb a", None)

    assert [marked(frame, YELLOW) != [] for frame in frames] == [True] * 10
    assert box(like(frames[0], YELLOW))[2] < 120
    assert 120 < middle(like(frames[5], YELLOW))[0] < 200
    assert box(like(frames[9], YELLOW))[0] > 200


def test_words_that_are_not_in_the_text_are_skipped():
    frames = follow("highlight", "one two six", [("one", 0, 0.3), ("uh", 0.3, 0.5), ("six", 0.6, 1.0)])

    assert [marked(frame, YELLOW) for frame in (frames[1], frames[7])] == [[0], [2]]


def test_words_in_capitals_and_with_tags_are_found():
    text_style = style(effect="highlight", font_size=30, stroke_width=0)
    shouted = Line(0, 1, "ONE {\\i1}TWO{\\i0} SIX!", text_style, words=[SpokenText(*word) for word in WORDS])

    frames = draw([shouted])

    assert [marked(frame, YELLOW) for frame in (frames[1], frames[4], frames[8])] == [[0], [1], [2]]


PIECES = [*"abc Wi.  \n漢字かなשלום🎬{\\}", "นี่"]


def test_a_shifted_line_shifts_its_words():
    whole = line(
        "one two six", start=1, end=2, words=[SpokenText(word, start + 1, end + 1) for word, start, end in WORDS]
    )

    moved = whole.shifted(-1)

    assert (moved.start, moved.end) == (0, 1)
    assert moved.words == [SpokenText(*word) for word in WORDS]
    assert whole.shifted(0.1).shifted(-1.1) == moved
    assert line("plain").shifted(3).words is None


SIZES = [(320, 180), (180, 320), (240, 240), (64, 64), (400, 100)]


@settings(max_examples=25, deadline=None)
@given(
    text=st.lists(st.sampled_from(PIECES), min_size=1, max_size=400).map("".join).filter(str.strip),
    size=st.sampled_from(SIZES),
    font_size=st.one_of(st.none(), st.floats(4, 300)),
    position=st.sampled_from(["top", "bottom", "center", "left", "top_right", "bottom_left"]),
    boxed=st.booleans(),
    margin=st.one_of(st.none(), st.floats(0, 500)),
)
def test_text_of_any_length_stays_in_the_frame(text, size, font_size, position, boxed, margin):
    text_style = style(
        font_size=font_size, position=position, margin=margin, background_color="#ff0000" if boxed else None
    )
    frame = draw([line(text, text_style=with_caption_defaults(text_style, *size))], size=size, seconds=0.1)[0]

    if lit(frame, 60).any():
        left, top, right, bottom = box(lit(frame, 60))
        assert left > 0 and top > 0 and right < size[0] and bottom < size[1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text_style", [with_title_defaults, with_caption_defaults])
@pytest.mark.parametrize("text", ["Some words that take more than a line of it, and then more", "Donaudampfschiff" * 4])
def test_text_without_a_margin_stays_in_the_safe_area(size: tuple[int, int], text_style, text: str):
    area = safe_area(*size)
    frame = draw([line(text, text_style=replace_stroke(text_style(style(), *size)))], size=size, seconds=0.1)[0]

    left, top, right, bottom = box(lit(frame, 40))
    assert left >= size[0] * area.side - 2 and right <= size[0] * (1 - area.side) + 2
    assert top >= size[1] * min(area.top, area.bottom) - 2
    if text_style is with_caption_defaults:
        assert bottom <= size[1] * (1 - area.bottom) + 2


def replace_stroke(text_style):
    return text_style.model_copy(update={"stroke_width": 0.0, "shadow": 0.0})


def test_captions_are_higher_on_portrait_frames():
    upright, wide = safe_area(1080, 1920), safe_area(1920, 1080)

    assert upright.bottom > 2 * wide.bottom
    assert safe_area(1080, 1350) == wide


def test_captions_that_overlap_are_stacked():
    text_style = with_caption_defaults(style(), 320, 180)
    both = draw([line("one", text_style=text_style), line("two", text_style=text_style, start=0.5)])

    assert box(lit(both[2]))[3] == box(lit(both[7]))[3]
    assert box(lit(both[7]))[1] < box(lit(both[2]))[1] - 8


def test_lines_are_balanced():
    text_style = style(font_size=20, stroke_width=0)
    frame = lit(draw([line("mm mm mm mm mm mm mm mm mm", text_style=text_style)], seconds=0.1)[0])

    upper, lower = box(frame[:90]), box(frame[90:])
    assert abs((upper[2] - upper[0]) - (lower[2] - lower[0])) < 45


def test_a_wide_word_shrinks_the_text_before_it_is_broken():
    text = build_script([replace(line("x" * 22), style=style(font_size=40))], width=320, height=180)

    assert "\\N" not in text
    assert "Inter,40.0" not in text
