from fractions import Fraction

import pytest

from callsheet.media.values import even


@pytest.mark.parametrize(
    ("size", "nearest", "down"),
    [(0, 2, 2), (1, 2, 2), (6, 6, 6), (7, 8, 6), (9, 8, 8), (6.9, 6, 6), (7.1, 8, 8), (Fraction(15, 2), 8, 8)],
)
def test_sizes_become_even(size: float | Fraction, nearest: int, down: int):
    assert even(size) == nearest
    assert even(size, odd_down=True) == down
