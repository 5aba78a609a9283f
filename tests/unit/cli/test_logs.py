"""The commands `logs` and `events`."""

import json

from typer.testing import CliRunner

from callsheet.cli import remote
from callsheet.cli.app import app

ID = "019ab1f0-0000-7000-8000-000000000001"


def log(number, job="cut", message="Reading input"):
    return {
        "jobId": job,
        "attempt": 1,
        "at": f"2026-11-22T09:30:0{number}Z",
        "level": "info",
        "logger": "ffmpeg",
        "message": message,
    }


PAGES = {
    0: {"logs": [log(1), log(2)], "nextAfter": 2, "ended": False},
    2: {"logs": [log(3, message="Done")], "nextAfter": 3, "ended": False},
    3: {"logs": [], "nextAfter": 3, "ended": False},
}


class FakeClient:
    """Serves two pages of logs, and then the end."""

    def __init__(self, *_):
        self.paths = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def get(self, path, *, after=None, **_):
        if path == f"/api/executions/{ID}":
            return {"jobs": [{"jobId": "cut", "id": "1"}]}
        assert path in (f"/api/executions/{ID}/logs", f"/api/executions/{ID}/jobs/cut/logs")
        page = PAGES[after]
        if after == 3:
            # The execution ends while the command follows it.
            return {"logs": [log(4, message="Bye")], "nextAfter": 4, "ended": True} if self.paths else self._first(page)
        return page

    def _first(self, page):
        self.paths.append("asked")
        return page


def run(monkeypatch, *words):
    monkeypatch.setattr(remote, "connect", FakeClient)
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_logs_prints_every_page(monkeypatch):
    lines = run(monkeypatch, "logs", ID)

    assert [line.split(" ", 2)[2] for line in lines] == [
        "info    cut [1] Reading input",
        "info    cut [1] Reading input",
        "info    cut [1] Done",
    ]


def test_logs_follows_until_the_execution_has_ended(monkeypatch):
    monkeypatch.setattr("callsheet.cli.logs._POLL_INTERVAL", 0)
    lines = run(monkeypatch, "logs", ID, "--follow", "--job", "cut", "--json")

    assert [json.loads(line)["message"] for line in lines] == ["Reading input", "Reading input", "Done", "Bye"]
