"""The chart of the load of a worker."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from callsheet.console.load_chart import HEIGHT, WIDTH, chart_lines
from callsheet.domain.resources import ResourcePoint

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def point(age, seconds=60, **levels):
    levels = {name.replace("__", ":").replace("_", "-"): level for name, level in levels.items()}
    at = NOW - timedelta(minutes=age)
    return ResourcePoint(at=at, seconds=seconds, worker_id=UUID(int=1), average=levels, highest=levels)


def test_a_line_goes_from_the_first_to_the_last_measurement():
    [line] = chart_lines([point(720, 600, cpu=50), point(710, 600, cpu=100), point(700, 600, cpu=0)], NOW)

    assert line.path == f"M{WIDTH // 2} {HEIGHT // 2} L243.3 0 L246.7 {HEIGHT} l0 0"
    assert (line.name, line.newest) == ("CPU", 0)


def test_a_line_is_interrupted_where_nothing_was_measured():
    [line] = chart_lines([point(60, cpu=50), point(59, cpu=50), point(30, cpu=50), point(29, cpu=50)], NOW)

    assert [part[0] for part in line.path.split() if part[0].isalpha()] == ["M", "L", "M", "L", "l"]


def test_several_resources_of_a_kind_are_one_line_of_the_highest():
    lines = chart_lines([point(1, cpu=1, gpu__0=20, gpu__1=80, gpu_memory__0=30, disk__data=5)], NOW)

    assert {line.kind: line.newest for line in lines} == {"cpu": 1, "gpu": 80, "gpu-memory": 30, "disk": 5}


def test_measurements_older_than_a_day_are_not_drawn():
    assert chart_lines([point(1441, cpu=50)], NOW) == []
