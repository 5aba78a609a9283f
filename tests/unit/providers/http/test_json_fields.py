from datetime import timedelta
from typing import Any

import pytest

from callsheet.providers.http.json_fields import as_object, fraction, number, progress_in_text, text, url
from callsheet.providers.poll_policy import default_poll_policy
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
    assert url(f" https://x.example/{'y' * 9000}\n") == f"https://x.example/{'y' * 9000}"
    assert [url(value) for value in (" ", None, 5, ["x"])] == [None] * 4


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
    assert fraction(value, of) == read


def test_what_is_no_object_has_no_fields() -> None:
    assert as_object({"a": 1}) == {"a": 1}
    assert as_object(None) == as_object([1]) == as_object("x") == {}


def test_the_last_bar_counts() -> None:
    assert progress_in_text("10%|#| 1/10\r 20%|##| 2/10") == 0.2
    assert progress_in_text("nothing") is None


def test_the_settings_say_how_often_a_provider_is_asked_within_what_it_allows() -> None:
    settings = Settings(
        _env_file=None,
        provider_poll_initial=timedelta(seconds=20),
        provider_poll_max=timedelta(seconds=40),
        provider_deadline=timedelta(hours=2),
    )

    usual = default_poll_policy(settings)
    assert (usual.initial, usual.max_interval, usual.deadline) == (
        timedelta(seconds=20),
        timedelta(seconds=40),
        timedelta(hours=2),
    )
    narrow = default_poll_policy(settings, max_interval=timedelta(seconds=10), deadline=timedelta(hours=1))
    assert narrow.initial == narrow.max_interval == narrow.webhook_interval == timedelta(seconds=10)
    assert narrow.deadline == timedelta(hours=1)
