"""What the stand-ins of several providers do alike: a task is read by the id in its path."""

from starlette.requests import Request

from callsheet.fakes.providers.fake_server import FakeServer, FakeTask
from callsheet.fakes.providers.task_script import Lost, Stage


class BaseFakeProvider(FakeServer):
    """A stand-in whose tasks are found under `{id}` in the path."""

    def requested_task(self, request: Request) -> FakeTask | None:
        """Return the task that a request asks about; None where there is none, or none any more."""
        taken = self.tasks.get(request.path_params["id"])
        return None if taken is None or isinstance(taken.stage, Lost) else taken

    def advance_or_lost(self, taken: FakeTask | None) -> Stage:
        """Return how a task stands, and move it on; Vanishes for none."""
        return Lost() if taken is None else self.advance(taken)

    @property
    def missing_file_url(self) -> str:
        """The address of a file that is not there any more."""
        return f"{self.base_url}/stand-in-files/gone/film.mp4"
