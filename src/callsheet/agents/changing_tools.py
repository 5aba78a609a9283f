"""What an agent can change: it submits, cancels and retries. The option `--read-only` leaves this out."""

import asyncio
from typing import Annotated

from pydantic import Field

from callsheet.agents.plans import PlanArgument, plan_data
from callsheet.agents.reading_tools import ExecutionId, JobId
from callsheet.agents.views import ExecutionView, SubmittedView, execution_view, submitted_view
from callsheet.client.client import Client


class ChangingTools:
    """The tools that change something on the server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def submit_plan(
        self,
        plan: PlanArgument,
        idempotency_key: Annotated[
            str,
            Field(
                min_length=1,
                max_length=255,
                pattern=r"^[\x21-\x7e]+$",
                description="A new name for each intended run, such as trailer-7-draft-1. A repeated call with the "
                "same key and plan returns the first execution, so nothing runs or is paid twice",
            ),
        ],
    ) -> SubmittedView:
        """Store a plan and start its execution. Generative models can cost money.

        A plan with problems is refused as a whole, with every problem; check_plan finds them without a submission.
        """
        data = await asyncio.to_thread(plan_data, plan)
        return submitted_view(await self._client.submit(data, idempotency_key=idempotency_key))

    async def cancel_execution(self, execution_id: ExecutionId, job: JobId = None) -> ExecutionView:
        """Cancel an execution, or one job of it. Running jobs are stopped; their work is lost."""
        await self._client.cancel(execution_id, job=job)
        return execution_view(await self._client.status(execution_id))

    async def retry_execution(
        self,
        execution_id: ExecutionId,
        job: JobId = None,
        resubmit: Annotated[
            bool,
            Field(
                description="Also repeat paid submissions whose outcome is unknown; they may be paid twice. Ask the "
                "person first"
            ),
        ] = False,
    ) -> ExecutionView:
        """Run the failed, cancelled and skipped jobs of an execution again, or one of them.

        Succeeded jobs keep their results.
        """
        await self._client.retry(execution_id, job=job, resubmit=resubmit)
        return execution_view(await self._client.status(execution_id))
