"""What the stand-ins of several providers do alike: a task is read by the id in its path."""

from starlette.requests import Request

from callsheet.fakes.providers.fake_server import FakeServer, FakeTask
from callsheet.fakes.providers.task_script import Stage, Vanishes


class BaseFakeProvider(FakeServer):
    """A stand-in whose tasks are found under `{id}` in the path."""

    def wanted(self, request: Request) -> FakeTask | None:
        """Return the task that a request asks about; None where there is none, or none any more."""
        taken = self.taken.get(request.path_params["id"])
        return None if taken is None or isinstance(taken.stage, Vanishes) else taken

    def stage_of(self, taken: FakeTask | None) -> Stage:
        """Return how a task stands, and move it on; Vanishes for none."""
        return Vanishes() if taken is None else self.seen(taken)

    @property
    def gone(self) -> str:
        """The address of a file that is not there any more."""
        return f"{self.base}/stand-in-files/gone/film.mp4"
