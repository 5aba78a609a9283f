"""Retention rules of the setting."""

from datetime import timedelta

import pytest

from callsheet.domain.retention import parse_retention
from callsheet.domain.statuses import ExecutionStatus

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "default", "failed", "key"),
    [
        ("90d", 90 * DAY, 90 * DAY, None),
        ("off", None, None, None),
        ("off,failed=30d", None, 30 * DAY, None),
        ("90d, failed=off, key:preview=12h", 90 * DAY, None, DAY / 2),
        ("failed=7d", 90 * DAY, 7 * DAY, None),
    ],
)
def test_rules_are_read(text, default, failed, key):
    rules = parse_retention(text)

    assert rules.of_status(ExecutionStatus.SUCCEEDED) == default
    assert rules.of_status(ExecutionStatus.FAILED) == failed
    assert rules.by_key.get("preview") == key
    assert parse_retention(str(rules)) == rules


@pytest.mark.parametrize("text", ["", "soon", "90d,running=1d", "90d,key:=1d", "0", "-1d", "90d,failed", "failed=x"])
def test_an_invalid_rule_is_refused(text):
    with pytest.raises(ValueError, match="write"):
        parse_retention(text)
