import pytest

from callsheet.media.subtitles.spoken import SpokenText, align_words, highlight_intervals
from callsheet.media.subtitles.text_wrapping import parse_units


def found(text: str, words: list[tuple[str, float, float]] | None, start: float = 0, end: float = 10) -> list[str]:
    units = parse_units(text)
    timed = None if words is None else [SpokenText(*word) for word in words]
    return ["".join(unit.plain for unit in units[w.first : w.last]) for w in align_words(units, timed, start, end)]


@pytest.mark.parametrize(
    ("text", "words", "seen"),
    [
        ("That is a test.", ["That", "is", "a", "test."], ["That", "is", "a", "test."]),
        ("That is a test.", ["a", "test"], ["a", "test"]),
        ("That is it", ["Um", "that", "it"], ["That", "it"]),
        ("今日は晴れです。", ["今日", "は", "晴れ", "です。"], ["今日", "は", "晴れ", "です。"]),
        ("今日は晴れです。", ["晴れ"], ["晴れ"]),
        ("one,\\Ntwo", [" one", " two"], ["one", "two"]),
        ("re-\\Nenter it", ["re-enter", "it"], ["re-enter", "it"]),
        ("GROSSE {\\i1}Straße{\\i0}", ["große", "STRASSE"], ["GROSSE", "Straße"]),
        ("a \\{b\\}", ["a", "{b}"], ["a", "{b}"]),
        ("", ["a"], []),
        ("a b", ["", " "], []),
    ],
)
def test_words_are_found_in_the_text(text: str, words: list[str], seen: list[str]):
    timed = [(word, float(at), at + 1.0) for at, word in enumerate(words)]

    assert found(text, timed) == seen


def test_without_times_the_duration_is_distributed_by_length():
    units = parse_units("ab cdef\\Ngh")

    assert [(w.start, w.end) for w in align_words(units, None, 10, 14)] == [(10, 11), (11, 13), (13, 14)]


def test_inconsistent_times_are_clamped():
    units = parse_units("a b c")
    words = [SpokenText("a", -5, 3), SpokenText("b", 2, 1), SpokenText("c", 9, 99)]

    assert [(w.start, w.end) for w in align_words(units, words, 0, 10)] == [(0, 3), (3, 3), (9, 10)]


def test_a_word_stays_highlighted_only_over_a_short_pause():
    units = parse_units("a b c")
    words = align_words(units, [SpokenText("a", 1, 2), SpokenText("b", 2.3, 3), SpokenText("c", 5, 6)], 0, 8)

    assert highlight_intervals(words, 0, 8) == [
        (0, 1, None),
        (1, 2.3, 0),
        (2.3, 3, 1),
        (3, 5, None),
        (5, 6, 2),
        (6, 8, None),
    ]
