"""Several supervisors of one process, such as one for each GPU."""

import asyncio
from collections.abc import Sequence

from callsheet.processes.supervisor import Supervisor


class SupervisorGroup:
    """Runs supervisors together, until all have ended. If one cannot start its child, all stop."""

    def __init__(self, supervisors: Sequence[Supervisor]) -> None:
        self._supervisors = supervisors

    def stop(self) -> None:
        """Call `stop` of each supervisor."""
        for supervisor in self._supervisors:
            supervisor.stop()

    def drain(self) -> None:
        """Call `drain` of each supervisor."""
        for supervisor in self._supervisors:
            supervisor.drain()

    def recycle(self) -> None:
        """Call `recycle` of each supervisor."""
        for supervisor in self._supervisors:
            supervisor.recycle()

    async def run(self) -> int:
        """Run all. Return the first exit status other than 0, else 0."""
        running = {asyncio.create_task(supervisor.run()) for supervisor in self._supervisors}
        code = 0
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failed = [task.result() for task in done if task.result()]
                if failed and not code:
                    code = failed[0]
                    self.stop()
            return code
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
