"""Documents that come in place of media files."""

import pytest

from callsheet.files.documents import read_document


@pytest.mark.parametrize(
    ("content", "kind", "excerpt"),
    [
        ("<!DOCTYPE html><html><head><title>Sign in</title></head>", "html", "Sign in"),
        ("\ufeff\n<html><style>p {}</style><body><h1>Please</h1><p>try &amp; wait", "html", "Please try & wait"),
        ("<?xml version='1.0'?><!DOCTYPE html><html><body>hello", "html", "hello"),
        (
            '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>No</Message></Error>',
            "store_error",
            "AccessDenied No",
        ),
        ('<?xml version="1.0"?><!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>', "svg", ""),
        ("<scene><node/></scene>", "xml", ""),
        ('{"detail":  "expired"}', "json", '{"detail": "expired"}'),
        ("upstream connect error", "text", "upstream connect error"),
        ("x" * 200, "text", "x" * 79 + "…"),
        ("see https://a.test/film.mp4?X-Amz-Signature=abc#x", "text", "see https://a.test/film.mp4"),
        ("postgres://me:hunter2@db/x", "text", "postgres://me:[hidden]@db/x"),
    ],
)
def test_a_document_is_recognized_and_described_without_secrets(tmp_path, content, kind, excerpt):
    path = tmp_path / "film.mp4"
    path.write_text(content)

    document = read_document(path)

    assert (document.kind, document.excerpt) == (kind, excerpt)


@pytest.mark.parametrize(
    "content", [b"", b"   ", bytes(100), b"\x89PNG\r\n\x1a\n", b"text \xff\xfe\xfa and more bytes"]
)
def test_other_contents_are_no_document(tmp_path, content):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)

    assert read_document(path) is None


def test_a_character_that_is_cut_at_the_end_of_the_head_is_no_binary_data(tmp_path):
    path = tmp_path / "page"
    path.write_text("a" * 4095 + "é" * 100)

    assert read_document(path).kind == "text"


def test_utf_16_is_read(tmp_path):
    path = tmp_path / "page"
    path.write_bytes("<html><title>Fehler</title>".encode("utf-16"))

    assert read_document(path).excerpt == "Fehler"
