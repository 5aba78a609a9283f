"""One thread for the work on large plans and executions: parsing, validation, encoding.

Several threads would not be faster, because Python runs one at a time. But each would delay the event loop by the time
slice of a thread (5 ms) at every step.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plans")


async def in_plan_thread(work: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Run CPU-bound work on a plan or an execution in the thread. Calls run in their order."""
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: work(*args, **options))
