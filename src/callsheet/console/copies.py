"""The plan of an execution as commands and programs that submit it again."""

import json
import pprint
from typing import Any
from uuid import UUID

from callsheet.engine.reads.execution_plan import plan_of_execution
from callsheet.wiring import Runtime

_MOST_CHARACTERS = 40_000
"""Of the plan as JSON."""


async def copies_of(runtime: Runtime, execution_id: UUID) -> list[tuple[str, str]]:
    """Return names and texts; none for a plan that is too large to be copied."""
    plan = await plan_of_execution(runtime.database, execution_id, runtime.catalog)
    if plan is None:
        return []
    text = json.dumps(plan, indent=2, ensure_ascii=False)
    if len(text) > _MOST_CHARACTERS:
        return []
    url = runtime.base_url
    return [
        ("curl", _curl(text, url)),
        ("command line", _command(text, url)),
        ("Python", _python(plan, url)),
        ("TypeScript", _typescript(text, url)),
    ]


def _curl(text: str, url: str) -> str:
    # Quoted, so that the shell leaves the references of the plan alone. No line of JSON is only the word at its end.
    return (
        f'curl {url}/api/executions -H "Authorization: Bearer $CALLSHEET_API_KEY" \\\n'
        f"  -H 'Content-Type: application/json' --data-binary @- <<'PLAN'\n{text}\nPLAN"
    )


def _command(text: str, url: str) -> str:
    return f"cat > plan.json <<'PLAN'\n{text}\nPLAN\ncallsheet submit plan.json --url {url} --wait"


def _python(plan: dict[str, Any], url: str) -> str:
    literal = pprint.pformat(plan, width=100, sort_dicts=False)
    return (
        f"import callsheet\n\nplan = {literal}\n\n"
        f'with callsheet.SyncClient("{url}") as client:\n'
        "    receipt = client.submit(plan)\n"
        "    execution = client.wait(receipt.execution_id)\n"
        "    print(execution.status)"
    )


def _typescript(text: str, url: str) -> str:
    return (
        'import { Callsheet } from "callsheet";\n\n'
        f'const client = new Callsheet({{ url: "{url}", apiKey: process.env.CALLSHEET_API_KEY }});\n'
        f"const plan = {text};\n"
        "const { executionId } = await client.submit(plan);\n"
        "console.log((await client.wait(executionId)).status);"
    )
