"""Splitting a text into sentences and words."""

import pytest

from callsheet.media.speech.contract import Word
from callsheet.media.voice.sentences import split_sentences
from callsheet.media.voice.word_times import align, estimate_times, split_words


def texts(text: str, **options: int) -> list[str]:
    return [sentence.text for sentence in split_sentences(text, **options)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith paid $3.50. Why?", ["Dr. Smith paid $3.50.", "Why?"]),
        ("J. R. R. Tolkien wrote it. I read it.", ["J. R. R. Tolkien wrote it.", "I read it."]),
        ("He left at 5 p.m. The end.", ["He left at 5 p.m.", "The end."]),
        ("The U.S. Army and the U.S. They met.", ["The U.S. Army and the U.S.", "They met."]),
        ("Version 1.2.3 costs 3.14 euros.", ["Version 1.2.3 costs 3.14 euros."]),
        ("It rained, snowed etc. and so on.", ["It rained, snowed etc. and so on."]),
        ("1. Mix the flour.\n\n2. Bake.", ["1. Mix the flour.", "2. Bake."]),
        ('"Stop!" he said. "Go." She went.', ['"Stop!" he said.', '"Go."', "She went."]),
        ("Wait... what? No!", ["Wait... what?", "No!"]),
        ("z. B. dieses Haus bzw. Zelt.", ["z. B. dieses Haus bzw. Zelt."]),
        ("你好。今天天气很好！我们走吧？", ["你好。", "今天天气很好！", "我们走吧？"]),
        ("「はい。」と言った。", ["「はい。」", "と言った。"]),
        ("क्या हाल है? ठीक।", ["क्या हाल है?", "ठीक।"]),
        ("hard-wrapped\nlines are one sentence", ["hard-wrapped lines are one sentence"]),
        (" *** \n\n — ", []),
    ],
)
def test_sentences_end_where_a_reader_would_pause(text, sentences):
    assert texts(text) == sentences


def test_a_blank_line_begins_a_paragraph():
    assert [sentence.paragraph for sentence in split_sentences("One. Two.\n \nThree.\n\n\nFour.")] == [0, 0, 1, 2]


def test_a_long_sentence_is_split_at_a_comma_else_at_a_space_else_anywhere():
    assert texts("one two three, four five six seven eight", limit=20) == [
        "one two three,",
        "four five six seven",
        "eight",
    ]
    assert texts("x" * 45, limit=20) == ["x" * 20, "x" * 20, "x" * 5]
    assert [sentence.continues for sentence in split_sentences("x" * 45, limit=20)] == [False, True, True]
    assert all(len(text) <= 240 for text in texts("word, " * 5000))


def test_no_character_that_is_spoken_gets_lost():
    text = "Mr. X went to No. 10, etc. Then (he said) “no!” 今日は。よい…日 " * 30

    assert "".join("".join(texts(text, limit=25)).split()) == "".join(text.split())


def test_words_of_scripts_without_spaces_are_characters():
    assert split_words("Hello, 世界。 It's — 5!") == ["Hello,", "世", "界。", "It's", "5!"]


def test_estimated_words_fill_their_sentence():
    words = estimate_times("a longer word", 2.0, 3.0)

    assert (words[0].start, words[-1].end) == (2.0, pytest.approx(3.0))
    assert words[1].end - words[1].start > words[0].end - words[0].start


def test_words_get_the_times_at_which_they_were_recognized():
    words = estimate_times("The quick brown fox.", 0.0, 4.0)
    recognized = [Word(1.0, 1.2, "the"), Word(1.2, 1.6, "Quick,"), Word(2.4, 3.0, "fox")]

    aligned = align(words, recognized)

    assert [(word.start, word.end) for word in aligned] == [(1.0, 1.2), (1.2, 1.6), (1.6, 2.4), (2.4, 3.0)]


def test_other_words_are_no_alignment():
    assert align(estimate_times("The quick brown fox.", 0.0, 4.0), [Word(0, 1, "lorem"), Word(1, 2, "fox")]) is None
