import pytest

from callsheet.notify.retry_schedule import retry_delay


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 300), (3, 1800), (4, 7200), (5, 18000), (6, 36000), (9, 86400), (30, 86400)]
)
def test_the_waits_grow_to_a_day_with_a_little_chance_in_them(attempts, seconds):
    waits = {retry_delay(attempts, 100) for _ in range(50)}

    assert len(waits) > 1
    assert all(seconds <= wait <= seconds * 1.2 for wait in waits)


def test_there_is_an_end():
    assert retry_delay(9, 10) is not None
    assert retry_delay(10, 10) is None


def test_a_receiver_may_ask_for_more_time_but_not_for_less():
    assert retry_delay(1, 10, 4000.0) == 4000
    assert retry_delay(1, 10, 0.0) >= 5
