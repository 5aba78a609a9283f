"""Client of a running server: `Client` for asyncio, and `SyncClient` over it.

async with callsheet.Client() as client:
    receipt = await client.submit("plan.yaml")
    execution = await client.wait(receipt.execution_id)
"""
