"""The fake server as a program with ComfyUI's flags.

A folder with a `main.py` of these two lines can be set as COMFYUI_PATH:

    from callsheet.fakes.comfyui.program import main
    main()
"""

import argparse
import asyncio
import os
import socket
import sys
import time
from pathlib import Path

from callsheet.fakes.comfyui.fake_server import FakeComfyUI
from callsheet.fakes.providers.server import serve_app


def main() -> None:
    """Serve until killed. Like the real program, it detects a used port only at the end of its start."""
    options = _flags().parse_args()
    base = Path(options.base_directory or ".")
    _log("Checkpoint files will always be loaded safely.")
    if not (base / "custom_nodes").is_dir():
        print(f"FileNotFoundError: {base / 'custom_nodes'}", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(1)
    time.sleep(options.start_seconds)
    if options.break_at_start:
        print("ImportError: no kernel image is available", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(3)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", options.port)) == 0:
            print("OSError: [Errno 98] address already in use", file=sys.stderr, flush=True)  # noqa: T201
            sys.exit(1)
    asyncio.run(_serve(options, base))


def _log(text: str) -> None:
    """Print a line of the log, in color as the real program does, also without a terminal."""
    print(f"\x1b[32m[INFO]\x1b[0m {text}", file=sys.stderr, flush=True)  # noqa: T201


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser()
    for name in ("--listen", "--base-directory", "--temp-directory", "--database-url", "--front-end-root"):
        flags.add_argument(name)
    flags.add_argument("--port", type=int, default=8188)
    flags.add_argument("--disable-auto-launch", action="store_true")
    flags.add_argument("--cpu", action="store_true")
    flags.add_argument("--start-seconds", type=float, default=0.0, help="duration of the start, as of the real imports")
    flags.add_argument(
        "--never-run", action="store_true", help="accept prompts and run none, as with a dead executor thread"
    )
    flags.add_argument(
        "--end-executor",
        action="store_true",
        help="accept prompts, and report that the thread that runs them has ended",
    )
    flags.add_argument("--break-at-start", action="store_true", help="fail at the start, as with a wrong driver")
    return flags


async def _serve(options: argparse.Namespace, base: Path) -> None:
    server = FakeComfyUI(base, argv=sys.argv)
    server.executor.dead = options.never_run or options.end_executor
    ending = asyncio.create_task(_end_executor(server)) if options.end_executor else None
    _log(f"pid {os.getpid()}")
    _log(f"To see the GUI go to: http://127.0.0.1:{options.port}")
    async with serve_app(server.app(), port=options.port):
        await asyncio.Event().wait()
    if ending is not None:
        ending.cancel()


async def _end_executor(server: FakeComfyUI) -> None:
    while not server.accepted:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0.05)
    error = "Exception in thread Thread-1 (prompt_worker):\nTypeError: '<' not supported between 'dict' and 'dict'"
    print(error, file=sys.stderr, flush=True)  # noqa: T201
