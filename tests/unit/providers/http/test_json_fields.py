from datetime import timedelta
from typing import Any

import pytest

from callsheet.providers.http.json_fields import address, bar_in, fields_of, number, share, text
from callsheet.providers.poll_policy import usual_polling
from callsheet.settings import Settings


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("x", "x"),
        ("  x\n", "x"),
        ("", None),
        (" ", None),
        (None, None),
        (5, None),
        (["x"], None),
        ("x" * 9000, "x" * 2000),
    ],
)
def test_a_text_says_something(value: Any, read: str | None) -> None:
    assert text(value) == read


def test_an_address_stays_whole() -> None:
    assert address(f" https://x.example/{'y' * 9000}\n") == f"https://x.example/{'y' * 9000}"
    assert [address(value) for value in (" ", None, 5, ["x"])] == [None] * 4


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (5, 5.0),
        (0.5, 0.5),
        (True, None),
        ("5", None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
    ],
)
def test_a_number_is_none_of_the_odd_ones(value: Any, read: float | None) -> None:
    assert number(value) == read


@pytest.mark.parametrize(
    ("value", "of", "read"), [(50, 100, 0.5), (0.5, 1, 0.5), (-1, 1, 0), (900, 100, 1), ("5", 1, None)]
)
def test_a_share_is_between_nothing_and_all(value: Any, of: float, read: float | None) -> None:
    assert share(value, of) == read


def test_what_is_no_object_has_no_fields() -> None:
    assert fields_of({"a": 1}) == {"a": 1}
    assert fields_of(None) == fields_of([1]) == fields_of("x") == {}


def test_the_last_bar_counts() -> None:
    assert bar_in("10%|#| 1/10\r 20%|##| 2/10") == 0.2
    assert bar_in("nothing") is None


def test_the_settings_say_how_often_a_provider_is_asked_within_what_it_allows() -> None:
    settings = Settings(
        _env_file=None,
        provider_first_look=timedelta(seconds=20),
        provider_longest_pause=timedelta(seconds=40),
        provider_deadline=timedelta(hours=2),
    )

    usual = usual_polling(settings)
    assert (usual.first, usual.cap, usual.deadline) == (
        timedelta(seconds=20),
        timedelta(seconds=40),
        timedelta(hours=2),
    )
    narrow = usual_polling(settings, longest=timedelta(seconds=10), deadline=timedelta(hours=1))
    assert narrow.first == narrow.cap == narrow.beside_webhook == timedelta(seconds=10)
    assert narrow.deadline == timedelta(hours=1)
