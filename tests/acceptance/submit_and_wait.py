"""Submit 10,000 jobs to the database in DATABASE_URL. A test kills this process during the insert."""

import asyncio

from callsheet.domain.plan_validation import read_submission
from callsheet.engine.jobs.submit import submit
from callsheet.operation_api.catalog import Catalog
from callsheet.settings import Settings
from callsheet.testing.operations import ALL
from callsheet.wiring import open_database


async def main():
    settings = Settings()
    jobs = [{"id": f"j{n}", "operation": "noop", "params": {"value": "x" * 200}} for n in range(10_000)]
    submission = read_submission({"executionPlan": {"jobs": jobs}})
    async with open_database(settings, migrate=False) as database:
        await submit(database, submission, Catalog(ALL), max_jobs=10_000)
        await asyncio.sleep(60)  # sleep: the process is killed meanwhile


asyncio.run(main())
