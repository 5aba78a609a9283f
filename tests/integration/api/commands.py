"""Commands that use the server of a test."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile


async def command(api, *words, status=0):
    """Run a command against the server of `api`, without a terminal; its exit status must be `status`.

    In a process of its own: the log of the server would be among its output.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CALLSHEET_")}
    environment |= {"CALLSHEET_URL": str(api.client.base_url), "COLUMNS": "300"}
    result = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "callsheet", *words],
        env=environment,
        cwd=tempfile.gettempdir(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result


async def command_json(api, *words):
    """Run a command with `--json`; return what it prints."""
    return json.loads((await command(api, *words, "--json")).stdout)
