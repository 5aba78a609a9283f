"""Cue segmentation, by examples and by properties."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.media.speech.contract import Word
from callsheet.media.subtitles.cue_segmentation import ReadingLimits, segment_cues
from callsheet.media.subtitles.line_breaks import display_width, group_words, join_words

BALANCED = "We are filming the second scene on Monday morning, if the weather is good."


def say(text: str, *, at: float = 0.0, glued: bool = False) -> list[Word]:
    """Return words at about 14 letters per second, with a pause after a sentence. A `|` is a long pause."""
    words: list[Word] = []
    for piece in text if glued else text.split():
        if piece == "|":
            at += 1.0
            continue
        length = max(0.08, len(piece) / 14)
        words.append(Word(at, at + length, piece, glued=glued and bool(words)))
        at += length + (0.35 if piece[-1] in ".?!。" else 0.12 if piece[-1] in ",、" else 0.0)
    return words


def texts(words: list[Word], **limits: float) -> list[str]:
    return [cue.text for cue in segment_cues(words, ReadingLimits(**limits))]


def test_a_sentence_that_fits_is_one_caption_of_balanced_lines():
    assert texts(say(BALANCED)) == ["We are filming the second scene on Monday\nmorning, if the weather is good."]


def test_a_short_sentence_stays_on_one_line():
    assert texts(say("Please bring your own coffee.")) == ["Please bring your own coffee."]


def test_captions_end_where_sentences_and_clauses_end():
    spoken = say(f"{BALANCED} Please bring your own coffee. The third camera stays with the actors in the old runtime.")

    assert texts(spoken, max_chars_per_line=32) == [
        "We are filming the second\nscene on Monday morning,",
        "if the weather is good.\nPlease bring your own coffee.",
        "The third camera stays with\nthe actors in the old runtime.",
    ]


def test_no_word_is_left_on_its_own():
    spoken = say("I do not think that anybody here expected it to be quite as easy as it turned out in the end for us.")

    for characters in range(20, 60):
        for text in texts(spoken, max_chars_per_line=characters):
            assert all(" " in line for line in text.split("\n")), text


def test_a_word_spoken_alone_is_its_own_caption():
    assert texts(say("Yes. | | | That is what I meant when we talked about it.")) == [
        "Yes.",
        "That is what I meant\nwhen we talked about it.",
    ]


def test_a_line_does_not_end_with_a_function_word():
    (text,) = texts(say("They had never been to the runtime by the river before."), max_chars_per_line=34)

    assert text.split("\n")[0].split()[-1] not in {"to", "the", "by"}


def test_speech_after_a_long_pause_is_a_new_caption():
    first, second = segment_cues(say("And the winner is | | | unknown"), ReadingLimits())

    assert (first.text, second.text) == ("And the winner is", "unknown")
    assert second.start >= first.end + 0.5


def test_a_caption_is_visible_long_enough_to_be_read():
    spoken = [Word(1.0, 1.2, "Incomprehensibilities,"), Word(1.2, 1.5, "unquestionably.")]

    (cue,) = segment_cues(spoken, ReadingLimits(reading_speed=10))

    assert (cue.start, cue.end) == (
        1.0,
        pytest.approx(1.0 + len("Incomprehensibilities, unquestionably.") / 10, abs=0.2),
    )


def test_a_short_caption_has_the_minimum_duration():
    lonely, hurried = (
        segment_cues([Word(0, 0.2, "No.")], ReadingLimits()),
        segment_cues([Word(0, 0.2, "No."), Word(3, 3.2, "No.")], ReadingLimits()),
    )

    assert lonely[0].end == 1.0
    assert [(cue.start, cue.end) for cue in hurried] == [(0, 1), (3, 4)]


def test_no_caption_exceeds_the_maximum_duration_or_the_video():
    long_word = segment_cues([Word(0, 30, "Mmm.")], ReadingLimits(max_duration=7))
    at_the_end = segment_cues([Word(9.5, 9.9, "Bye.")], ReadingLimits(), until=10.0)

    assert (long_word[0].start, long_word[0].end) == (0, 7)
    assert (at_the_end[0].start, at_the_end[0].end) == (9.5, 10.0)


def test_consecutive_captions_have_a_gap_of_two_frames():
    cues = segment_cues(say(f"{BALANCED} Please bring your own coffee. {BALANCED}"), ReadingLimits())

    assert len(cues) == 3
    assert [round(b.start - a.end, 3) for a, b in itertools.pairwise(cues)] == [0.08, 0.08]


def test_japanese_is_broken_without_spaces_and_never_before_a_stop():
    spoken = say(
        "私たちは月曜日の朝に二番目のシーンを撮影します、天気が良ければ。自分のコーヒーを持ってきてください。",
        glued=True,
    )

    shown = texts(spoken)

    assert shown[0].split("\n") == ["私たちは月曜日の朝に二番目の", "シーンを撮影します、天気が良ければ。"]
    lines = [line for text in shown for line in text.split("\n")]
    assert "".join(lines) == "".join(word.text for word in spoken)
    assert all(display_width(line) <= 42 and line[0] not in "、。ーん" for line in lines)


def test_parts_of_a_word_stay_together():
    spoken = [Word(0, 1, "well"), Word(1, 2, "-known", glued=True), Word(2, 3, "3"), Word(3, 4, ".5", glued=True)]

    assert [unit.width for unit in group_words(spoken)] == [10, 3]
    assert join_words(spoken) == "well-known 3.5"


def test_right_to_left_text_keeps_the_spoken_order():
    spoken = say("אנחנו מצלמים את הסצנה השנייה ביום שני בבוקר, אם מזג האוויר יהיה טוב.")

    assert " ".join(texts(spoken)).replace("\n", " ") == " ".join(word.text for word in spoken)


def test_an_hour_of_speech_is_segmented_in_seconds():
    spoken = say(" ".join([BALANCED] * 650))

    assert len(spoken) > 9_000
    assert len(segment_cues(spoken, ReadingLimits())) >= 650


def test_no_words_make_no_captions():
    assert segment_cues([], ReadingLimits()) == []


PIECES = st.sampled_from(
    [
        *(
            "the",
            "of",
            "a",
            "scene",
            "Monday,",
            "good.",
            "extraordinarily",
            "Yes!",
            "donaudampfschifffahrtsgesellschaften",
        ),
        *(
            "שלום",
            "مرحبا،",
            "映",
            "画",
            "シ",
            "ー",
            "。",
            "「",
            "한국어",
            "ก",
            "ำ",
            "e\u0301",
            "👩\u200d👧",
            "?",
            "-known",
        ),
    ]
)
SECONDS = st.one_of(st.just(0.0), st.floats(0, 4))
SPOKEN = st.lists(st.tuples(PIECES, SECONDS, SECONDS, st.booleans(), st.floats(-1, 0)), max_size=60)
LIMITS = st.builds(
    ReadingLimits,
    max_chars_per_line=st.integers(8, 60),
    max_lines=st.integers(1, 3),
    min_duration=st.floats(0.1, 2),
    max_duration=st.floats(2, 10),
    reading_speed=st.floats(5, 60),
)


@given(SPOKEN, LIMITS, st.one_of(st.none(), st.floats(0, 100)))
@settings(max_examples=150, deadline=None)
def test_all_words_are_shown_in_order_and_within_the_limits(spoken, limits, until):
    words, at = [], 0.0
    for text, gap, length, glued, early in spoken:
        at += gap
        words.append(Word(max(0.0, at + early), at + length, text, glued=glued and bool(words)))
        at += length

    cues = segment_cues(words, limits, until=until)

    shown = [word for cue in cues for line in cue.lines for word in line]
    assert [word.text for word in shown] == [word.text for word in words]
    assert all(a.start < b.start and a.end <= b.start for a, b in itertools.pairwise(shown))
    for cue, after in itertools.zip_longest(cues, cues[1:]):
        assert len(cue.lines) <= limits.max_lines
        for line in cue.lines:
            assert display_width(join_words(line)) <= limits.max_chars_per_line or len(group_words(line)) == 1
        assert cue.start == cue.lines[0][0].start
        assert 0 < cue.end - cue.start <= limits.max_duration + 0.002
        if after is not None:
            assert cue.end <= after.start
        stays = cue.end - cue.start >= limits.min_duration - 0.002
        hurried = after is not None and after.start - cue.start < limits.min_duration + 0.002
        over = until is not None and cue.end >= until - 0.002
        assert stays or hurried or over
