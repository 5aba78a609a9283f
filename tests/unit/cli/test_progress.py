import io

from rich.console import Console

from callsheet.cli.printing import media_text, seconds_text, show_columns, size_text
from callsheet.cli.progress import BarDisplay, LineDisplay


def drawn(jobs, *events):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    with BarDisplay(jobs, console) as bars:
        for event in events:
            bars.show(*event)
    return console.file.getvalue().split("\x1b[2K")[-len(jobs) :]


def test_each_job_has_a_bar_with_its_progress_and_status():
    text = "".join(
        drawn(
            {"a": "render", "b": "preview"},
            ("job.running", "a", {}),
            ("job.progress", "a", {"progress": 0.5, "message": "half"}),
            ("job.failed", "b", {"error": {"message": "no luck"}}),
        )
    )

    assert "50% half" in text
    assert "failed: no luck" in text


def test_a_reason_to_wait_is_printed(capsys):
    data = {"code": "no_lane", "message": "No running worker has a lane for the queue 'x'."}
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)

    with LineDisplay() as lines:
        lines.show("job.blocked", "a", data)
    with BarDisplay({"a": "render"}, console) as bars:
        bars.show("job.blocked", "a", data)

    expected = "a: waits: No running worker has a lane for the queue 'x'."
    assert capsys.readouterr().err.strip() == expected
    assert expected in console.file.getvalue()


def test_a_bar_shows_the_status_at_the_provider_and_keeps_the_status_of_the_job():
    started = [("job.running", "a", {}), ("job.waiting", "a", {})]
    changed = ("job.provider_status", "a", {"provider": "fal", "status": "IN_QUEUE"})
    output = ("job.output", "a", {"frames": 3})

    assert "fal: IN_QUEUE" in "".join(drawn({"a": "generate"}, *started, changed))
    assert "output" not in "".join(drawn({"a": "generate"}, *started, output))


def test_messages_that_look_like_markup_are_shown_unchanged():
    text = "".join(
        drawn({"a": "x"}, ("job.running", "a", {}), ("job.progress", "a", {"progress": 0, "message": "[red]"}))
    )

    assert "[red]" in text


def test_a_large_plan_has_one_bar():
    jobs = {f"j{number}": "x" for number in range(500)}

    text = "".join(drawn(jobs, *(("job.succeeded", f"j{number}", {}) for number in range(250))))

    assert "all jobs" in text
    assert "50%" in text


def test_child_jobs_have_a_bar_while_they_run():
    events = [
        ("job.pending", "a", {}),
        ("job.queued", "a/1", {}),
        ("job.queued", "a/2", {}),
        ("job.running", "a/1", {}),
    ]

    during = "".join(drawn({"a": "x", "b": "y", "c": "z"}, *events))
    after = "".join(drawn({"a": "x"}, *events, ("job.succeeded", "a/1", {})))

    assert "a/1" in during and "a/2" not in during
    assert "a/1" not in after


def test_lines_show_progress_in_quarters(capsys):
    with LineDisplay() as lines:
        for percent in range(101):
            lines.show("job.progress", "a", {"progress": percent / 100})
        lines.show("job.scheduled", "a", {"delay": 2.5, "error": {"message": "busy"}})

    assert capsys.readouterr().err.splitlines() == ["a: 25%", "a: 50%", "a: 75%", "a: scheduled: busy (retry in 2.5 s)"]


def test_lines_show_the_status_at_the_provider_and_no_output(capsys):
    with LineDisplay() as lines:
        lines.show("job.provider_status", "a", {"provider": "fal", "status": "IN_QUEUE"})
        lines.show("job.output", "a", {"frames": 3})

    assert capsys.readouterr().err.splitlines() == ["a: fal: IN_QUEUE"]


def test_columns_are_aligned_and_never_cut(capsys):
    show_columns(("A", "B"), [("x" * 200, 1), (None, "two")])

    head, first, second = capsys.readouterr().out.splitlines()
    assert first == "x" * 200 + "  1"
    assert head.index("B") == second.index("two") == 202


def test_sizes_and_durations_are_formatted():
    assert [size_text(size) for size in (0, 999, 1500, 7_300_000, 5 * 10**15)] == [
        "0 B",
        "999 B",
        "1.5 kB",
        "7.3 MB",
        "5000.0 TB",
    ]
    assert [seconds_text(seconds) for seconds in (1.25, 61, 3725)] == ["1.2 s", "1:01", "1:02:05"]
    probe = {"duration": 2, "width": 64, "height": 36, "fps": 29.97, "videoCodec": "h264", "audioCodec": None}
    assert media_text({"probe": probe}) == "2.0 s, 64x36 at 29.97 fps, h264"
