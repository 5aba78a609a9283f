"""Messages that arrive within a moment go on together; one that is alone does not wait."""

import asyncio

from callsheet.intake.arrivals import Arrivals

INTERVAL = 0.2


async def passed(arrivals, times):
    await arrivals.gather()
    times.append(asyncio.get_running_loop().time())


async def test_the_first_do_not_wait_and_the_next_go_on_together():
    arrivals, times = Arrivals(INTERVAL), []
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(passed(arrivals, times) for _ in range(3)))
    assert max(times) - began < INTERVAL / 2

    later = []
    one = asyncio.create_task(passed(arrivals, later))
    await asyncio.sleep(INTERVAL / 4)  # sleep: the second arrives while the first waits
    await asyncio.gather(one, passed(arrivals, later))
    assert later[0] - times[0] >= INTERVAL * 0.95 and later[1] - later[0] < INTERVAL / 4


async def test_one_that_is_cancelled_stops_no_other():
    arrivals, times = Arrivals(INTERVAL), []
    await arrivals.gather()
    cancelled, other = (asyncio.create_task(passed(arrivals, times)) for _ in range(2))
    await asyncio.sleep(0)
    cancelled.cancel()
    await other
    assert len(times) == 1 and cancelled.cancelled()
