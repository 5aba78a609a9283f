import pytest

from callsheet.media.subtitles.spoken import SpokenText, moments, spoken
from callsheet.media.subtitles.text_wrapping import units_of


def found(text: str, words: list[tuple[str, float, float]] | None, start: float = 0, end: float = 10) -> list[str]:
    units = units_of(text)
    said = None if words is None else [SpokenText(*word) for word in words]
    return ["".join(unit.plain for unit in units[w.first : w.last]) for w in spoken(units, said, start, end)]


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


def test_without_times_every_word_gets_a_share():
    units = units_of("ab cdef\\Ngh")

    assert [(w.start, w.end) for w in spoken(units, None, 10, 14)] == [(10, 11), (11, 13), (13, 14)]


def test_times_that_make_no_sense_are_put_in_order():
    units = units_of("a b c")
    words = [SpokenText("a", -5, 3), SpokenText("b", 2, 1), SpokenText("c", 9, 99)]

    assert [(w.start, w.end) for w in spoken(units, words, 0, 10)] == [(0, 3), (3, 3), (9, 10)]


def test_a_word_stays_marked_over_a_short_pause_only():
    units = units_of("a b c")
    words = spoken(units, [SpokenText("a", 1, 2), SpokenText("b", 2.3, 3), SpokenText("c", 5, 6)], 0, 8)

    assert moments(words, 0, 8) == [(0, 1, None), (1, 2.3, 0), (2.3, 3, 1), (3, 5, None), (5, 6, 2), (6, 8, None)]
