import pytest

from callsheet.notify.retry_schedule import retry_delay


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 300), (3, 1800), (4, 7200), (5, 18000), (6, 36000), (9, 86400), (30, 86400)]
)
def test_the_delays_grow_to_a_day_with_jitter(attempts, seconds):
    delays = {retry_delay(attempts, 100) for _ in range(50)}

    assert len(delays) > 1
    assert all(seconds <= delay <= seconds * 1.2 for delay in delays)


def test_the_attempts_are_limited():
    assert retry_delay(9, 10) is not None
    assert retry_delay(10, 10) is None


def test_retry_after_can_only_lengthen_the_delay():
    assert retry_delay(1, 10, 4000.0) == 4000
    assert retry_delay(1, 10, 0.0) >= 5
