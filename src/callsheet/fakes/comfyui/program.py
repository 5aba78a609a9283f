"""The stand-in as a program with ComfyUI's flags: what `main.py` is to the real one.

A folder that holds a `main.py` with these two lines can be named as COMFYUI_PATH:

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
    """Start slowly, talk about it, find a port that is taken only at the end, and serve until killed."""
    given = _flags().parse_args()
    base = Path(given.base_directory or ".")
    print("Checkpoint files will always be loaded safely.", file=sys.stderr, flush=True)  # noqa: T201
    if not (base / "custom_nodes").is_dir():
        print(f"FileNotFoundError: {base / 'custom_nodes'}", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(1)
    time.sleep(given.start_seconds)
    if given.break_at_start:
        print("ImportError: no kernel image is available", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(3)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", given.port)) == 0:
            print("OSError: [Errno 98] address already in use", file=sys.stderr, flush=True)  # noqa: T201
            sys.exit(1)
    asyncio.run(_serve(given, base))


def _flags() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser()
    for name in ("--listen", "--base-directory", "--temp-directory", "--database-url", "--front-end-root"):
        flags.add_argument(name)
    flags.add_argument("--port", type=int, default=8188)
    flags.add_argument("--disable-auto-launch", action="store_true")
    flags.add_argument("--cpu", action="store_true")
    flags.add_argument("--start-seconds", type=float, default=0.0, help="as long as its imports take")
    flags.add_argument("--never-run", action="store_true", help="as when the thread that runs prompts has ended")
    flags.add_argument("--break-at-start", action="store_true", help="as with a wrong driver")
    return flags


async def _serve(given: argparse.Namespace, base: Path) -> None:
    server = FakeComfyUI(base, argv=sys.argv)
    server.executor.dead = given.never_run
    print(f"pid {os.getpid()}\nTo see the GUI go to: http://127.0.0.1:{given.port}", file=sys.stderr, flush=True)  # noqa: T201
    async with serve_app(server.app(), port=given.port):
        await asyncio.Event().wait()
