"""Base class of fakes whose tasks are read by the id in the path."""

from starlette.requests import Request

from callsheet.fakes.providers.fake_server import FakeServer, FakeTask
from callsheet.fakes.providers.task_script import Lost, Stage


class BaseFakeProvider(FakeServer):
    """A fake whose tasks are found by `{id}` in the path."""

    def requested_task(self, request: Request) -> FakeTask | None:
        """Return the task of a request; None for an unknown or lost one."""
        task = self.tasks.get(request.path_params["id"])
        return None if task is None or isinstance(task.stage, Lost) else task

    def advance_or_lost(self, task: FakeTask | None) -> Stage:
        """Return the current stage of a task and advance it; Lost for None."""
        return Lost() if task is None else self.advance(task)

    @property
    def missing_file_url(self) -> str:
        """URL of a file that does not exist any more."""
        return f"{self.base_url}/fake-files/gone/video.mp4"
