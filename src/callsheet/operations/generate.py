"""The `generate` operation: a model generates videos, images or audio."""

from datetime import timedelta

from callsheet.operation_api.contract import Context, operation
from callsheet.operations.generate_params import GenerateParams
from callsheet.operations.generate_price import estimate_generation
from callsheet.operations.generate_results import GenerateResult, collect_result
from callsheet.operations.generate_submission import (
    SubmittedTask,
    kind_of_output,
    load_model,
    resume_submission,
    submit_to_first,
)
from callsheet.operations.local_first import generate_locally


@operation(
    "generate",
    queue="generate",
    timeout=timedelta(minutes=30),
    # Most attempts are used while providers are busy.
    attempts=10,
    on_worker_lost="resume",
    aliases=("pipeline:generate",),
    # Params are validated against the model registry, which is a file.
    blocking_validation=True,
    estimate_cost=estimate_generation,
)
async def generate(job: Context, params: GenerateParams) -> GenerateResult:
    """Generate videos, images or audio with a model; the request is submitted once, and its outputs are stored."""
    # This function starts again after every wait. An open submission is resumed; nothing else may be submitted then.
    earlier = await job.open_submission()
    if earlier is not None and earlier.task is not None:
        return await collect_result(job, SubmittedTask(earlier.model, earlier.task), await kind_of_output(job, params))
    model = await load_model(job, params)
    if earlier is not None:
        return await collect_result(job, await resume_submission(job, params, model, earlier), model.makes)
    if (result := await generate_locally(job, params, model)) is not None:
        return result
    return await collect_result(job, await submit_to_first(job, params, model), model.makes)
