"""The command line: `python -m bench [engine] [http] [pickup] [plan] [overhead] … [--quick]`; default: all benches."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.text import Text

from bench import (
    ai_search,
    ai_speech,
    engine,
    followers,
    full_tables,
    health,
    http,
    intakes,
    overhead,
    pickup,
    plan,
    retention,
    watchers,
)
from bench.machine import BUSY, busy_share, describe
from bench.media import change, ladder, memory, previews, render, upscale
from bench.media import overhead as media_overhead
from bench.report import Finding, show
from bench.sizes import FULL, QUICK, Sizes
from bench.stores import Stores, open_stores
from bench.waiting import comfyui, comfyui_servers, polling, webhooks

Bench = Callable[[Stores, Sizes, Callable[[str], None]], Finding]

BENCHES: dict[str, Bench] = {
    "engine": engine.run,
    "http": http.run,
    "health": health.run,
    "followers": followers.run,
    "watchers": watchers.run,
    "pickup": pickup.run,
    "plan": plan.run,
    "overhead": overhead.run,
    "full-tables": full_tables.run,
    "retention": retention.run,
    "intakes": intakes.run,
    "media-render": render.run,
    "media-change": change.run,
    "media-overhead": media_overhead.run,
    "media-previews": previews.run,
    "media-ladder": ladder.run,
    "media-memory": memory.run,
    "ai-speech": ai_speech.speech,
    "ai-captions": ai_speech.captions,
    "ai-search": ai_search.run,
    "media-upscale": upscale.run,
    "waiting-polling": polling.run,
    "waiting-webhooks": webhooks.run,
    "waiting-comfyui": comfyui.run,
    "waiting-comfyui-servers": comfyui_servers.run,
}
GROUPS = {group: [name for name in BENCHES if name.startswith(f"{group}-")] for group in ("media", "ai", "waiting")}
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Run the benches asked for, print a table for each, write the JSON; 1 if one could not be run."""
    given = _arguments()
    # Ended from outside, it still stops what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console() if sys.stdout.isatty() else Console(width=120)
    with open_stores() as stores:
        machine = describe(stores)
        _show_machine(console, machine)
        if given.quick:
            console.print(
                Text("quick: small sizes, one round; shows that it works, and the figures mean little", "yellow")
            )
        findings, errors = _run(given.benches or list(BENCHES), stores, _sizes(given), console)
    path = given.json or RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.json"
    _write(path, machine, _sizes(given), findings, errors)
    console.print(f"\nWritten to {path}")
    return 1 if errors else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Callsheet beside its peers.")
    parser.add_argument(
        "benches", nargs="*", metavar="bench", help=f"any of {', '.join([*BENCHES, *GROUPS])}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, measures nothing well")
    parser.add_argument("--jobs", type=int, help="jobs of one engine measurement")
    parser.add_argument("--rounds", type=int, help="how often each measurement is repeated")
    parser.add_argument("--only", metavar="TEXT", help="engine: measure only the systems whose name contains TEXT")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write; default: bench/results/DATE.json")
    given = parser.parse_args()
    given.benches = [name for asked in given.benches for name in GROUPS.get(asked, [asked])]
    if unknown := set(given.benches) - set(BENCHES):
        parser.error(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join([*BENCHES, *GROUPS])}")
    if any(number is not None and number < 1 for number in (given.jobs, given.rounds)):
        parser.error("--jobs and --rounds must be at least 1")
    return given


def _sizes(given: argparse.Namespace) -> Sizes:
    asked = {name: value for name in ("jobs", "rounds", "only") if (value := getattr(given, name)) is not None}
    return replace(QUICK if given.quick else FULL, **asked)


def _run(names: list[str], stores: Stores, sizes: Sizes, console: Console) -> tuple[list[Finding], dict[str, str]]:
    findings: list[Finding] = []
    errors: dict[str, str] = {}
    for name in names:
        try:
            with console.status(name) as status:
                finding = BENCHES[name](stores, sizes, partial(_show_step, console, status, name))
        except Exception as error:  # noqa: BLE001 - the other benches are still run
            errors[name] = f"{type(error).__name__}: {error}"
            console.print(Text(f"\n{name} could not be measured: {errors[name]}", "red"))
            continue
        findings.append(finding)
        errors |= {f"{name}: {system}": error for system, error in finding.errors.items()}
        show(finding, console)
        _warn_of_noise(console, finding.noise)
    return findings, errors


def _show_step(console: Console, status: Any, name: str, what: str) -> None:
    if console.is_terminal:
        status.update(f"{name}: {what}")
    else:
        print(f"{name}: {what}", file=sys.stderr, flush=True)


def _warn_of_noise(console: Console, noise: list[float]) -> None:
    if noise and median(noise) > BUSY:
        console.print(
            Text(
                f"  noisy: others used {median(noise):.0%} of the processors (most {max(noise):.0%}); "
                "these figures are not to be quoted",
                "bold yellow",
            )
        )


def _show_machine(console: Console, machine: dict[str, Any]) -> None:
    console.print(
        f"{machine['cores']} cores {machine['processor']}, {machine['memoryGiB']} GiB, "
        f"a synced write takes {machine['diskSyncMs']} ms, load average {machine['loadAverage']}"
    )
    console.print(Text(", ".join(f"{name} {number}" for name, number in machine["versions"].items()), "dim"))
    if (busy := busy_share(1)) > BUSY or os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1):
        console.print(Text(f"noisy: this machine is busy ({busy:.0%} of its processors now)", "bold yellow"))


def _write(path: Path, machine: dict[str, Any], sizes: Sizes, findings: list[Finding], errors: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "sizes": asdict(sizes),
        "benches": {finding.name: finding.as_dict() for finding in findings},
        "errors": errors,
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())
