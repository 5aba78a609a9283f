"""Subtitles in the encodings that people have."""

import pytest

from callsheet.media.subtitles.encodings import decode_text

TEXTS = {
    "Russian": ("Привет, мир\nГде ты был?", "cp1251 koi8_r cp866 utf-16-le utf-16-be utf-16 utf-32 utf-8 utf-8-sig"),
    "Ukrainian": ("Слава Україні! Де ти був?\nЇжак і ґанок", "cp1251"),
    "Serbian": ("Здраво свете, где си био?", "cp1251"),
    "Greek": ("Γειά σου κόσμε\nΠού ήσουν;", "cp1253"),
    "Hebrew": ("שלום עולם\nאיפה היית?", "cp1255"),
    "Arabic": ("مرحبا بالعالم\nأين كنت؟", "cp1256"),
    "Thai": ("สวัสดีชาวโลก\nคุณอยู่ที่ไหน", "cp874"),
    "simplified Chinese": ("你好世界\n你在哪里？", "gbk gb18030 utf-16-le utf-16-be"),
    "traditional Chinese": ("歡迎來到臺灣旅遊\n請問廁所在哪裡", "big5"),
    "Japanese": ("お前はもう死んでいる\n東京タワー", "shift_jis euc_jp iso2022_jp"),
    "Korean": ("안녕하세요 세계\n어디 있었어요?", "euc_kr"),
    "German": ("Grüße an alle\nBis bald, schöne Maße", "cp1252 latin-1"),
    "French": ("Où étais-tu ?\nDéjà là, garçon. C’EST LÀ !", "cp1252"),
    "Spanish": ("¿Dónde estás?\nMañana, señor", "cp1252"),
    "Portuguese": ("Olá, não está aqui\nCoração é você", "cp1252"),
    "Swedish": ("Hej på dig, hur mår du?\nJag är trött, älskling", "cp1252"),
    "English": ("It’s “fine” – don’t…\n£5 café", "cp1252"),
    "Polish": ("Zażółć gęślą jaźń\nGdzie byłeś?", "cp1250 iso8859_2"),
    "Czech": ("Příliš žluťoučký kůň\nKde jsi byl?", "cp1250"),
    "Hungarian": ("Jó reggelt kívánok, őszinte űrhajós", "cp1250"),
    "Turkish": ("Günaydın dünya\nNeredeydin? Şimdi değil", "cp1254"),
}


@pytest.mark.parametrize(
    ("language", "encoding"), [(name, encoding) for name, (_, all_) in TEXTS.items() for encoding in all_.split()]
)
def test_a_few_lines_of_a_language_are_read_in_its_encodings(language: str, encoding: str):
    lines = TEXTS[language][0].splitlines()
    srt = "".join(f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{line}\n\n" for n, line in enumerate(lines, 1))

    read = decode_text(srt.encode(encoding))

    assert read.text.lstrip("\ufeff") == srt
    assert (read.guessed is None) == encoding.startswith("utf")


def test_single_damaged_bytes_do_not_make_utf_8_another_encoding():
    read = decode_text("Привет, мир, где ты был?".encode() + b"\xff" + " Да.".encode())

    assert read.text == "Привет, мир, где ты был?\ufffd Да."
    assert (read.guessed, read.unreadable) == (None, 1)


def test_plain_ascii_and_nothing_are_utf_8():
    assert decode_text(b"hello").guessed is None
    assert decode_text(b"").text == ""
