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
def test_a_text_is_stripped_and_limited(value: Any, read: str | None) -> None:
    assert text(value) == read


def test_a_url_is_not_truncated() -> None:
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
def test_a_number_is_finite(value: Any, read: float | None) -> None:
    assert number(value) == read


@pytest.mark.parametrize(
    ("value", "of", "read"), [(50, 100, 0.5), (0.5, 1, 0.5), (-1, 1, 0), (900, 100, 1), ("5", 1, None)]
)
def test_a_fraction_is_between_0_and_1(value: Any, of: float, read: float | None) -> None:
    assert fraction(value, of) == read


def test_other_values_are_empty_objects() -> None:
    assert as_object({"a": 1}) == {"a": 1}
    assert as_object(None) == as_object([1]) == as_object("x") == {}


def test_the_last_progress_bar_is_used() -> None:
    assert progress_in_text("10%|#| 1/10\r 20%|##| 2/10") == 0.2
    assert progress_in_text("nothing") is None


def test_the_poll_policy_is_limited_by_the_provider() -> None:
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
