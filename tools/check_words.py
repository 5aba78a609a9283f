"""Check that the repository uses the terms of the glossary (docs/README.md).

Three checks, each over every tracked text file:

- words: idiom that has a plain technical term, in prose and inside identifiers;
- modules: file names that the glossary replaced;
- names: identifiers that the glossary replaced.

Usage: python tools/check_words.py [--names]

`--names` also lists every module and public name, for a review against the glossary.
Exit status 1 when something is found.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = {".py", ".md", ".sql", ".yaml", ".yml", ".toml", ".html", ".js", ".css", ".sh", ""}
EXEMPT = {
    "LICENSE",
    "requirements.lock",
    "bench/requirements.lock",
    "tools/site/requirements.lock",
    "tools/check_words.py",
    *(f"tests/schemas/{name}" for name in ("compose-spec/LICENSE", "keda/LICENSE")),
    *(f"src/callsheet/console/static/swagger-ui/{name}" for name in ("LICENSE", "NOTICE", "swagger-ui-bundle.js")),
}

WORDS = {
    r"tell|tells|told|telling": "report, return, show, distinguish",
    r"wish|wishes": "settings, requirements, request",
    r"whoever|whomever": "name the subject",
    r"nobody|somebody": "no worker, no client, a person: name the subject",
    r"anew": "again",
    r"at home": "locally",
    r"of one's own|of our own|of its own kind": "own, private, custom",
    r"mere|merely": "only",
    r"stand[-_ ]?ins?|stands in": "fake",
    r"lies in|lie in|lay in": "is in",
    r"seats?": "slot",
    r"heard|hearing": "audible, receive, transcribe",
    r"beats?": "heartbeat",
    r"unfit|misfits?": "invalid, problems",
    r"lettering": "text layer",
    r"watchtower": "event stream",
    r"errands?": "prompt run",
    r"forecast": "inject faults",
    r"sought|rivals?": "search criteria, identical submissions",
    r"to be had": "available",
    r"goes on with|go on with": "continue",
    r"comes? to nothing|came to nothing": "fail, discard",
}
"""Regular expression → what to write."""

MODULES = {
    "above",
    "addresses",
    "aim",
    "answering",
    "answers",
    "at_home",
    "beat",
    "by_hand_sql",
    "calling",
    "calling_off",
    "censoring",
    "checkup",
    "compiling",
    "complaints",
    "containers",
    "course",
    "covering",
    "deleting",
    "door",
    "encoded_sound",
    "errand",
    "everyone",
    "faces",
    "faults_of_cli",
    "finding",
    "finishing",
    "first_bytes",
    "fitting",
    "following",
    "fresh",
    "given_script",
    "hearing",
    "house",
    "joining",
    "keep_going",
    "key_sets",
    "landing",
    "laying",
    "lettering",
    "listening",
    "looking",
    "looks",
    "mailbox",
    "making",
    "moments",
    "ordering",
    "outermost",
    "pace",
    "patience",
    "pieces",
    "plain",
    "promote",
    "purposes",
    "reading",
    "reel",
    "run_first",
    "several",
    "shape",
    "shares",
    "shown",
    "stand_in",
    "stand_ins",
    "stills",
    "stretch",
    "telling",
    "tidy",
    "tones",
    "toy_provider",
    "unbroken",
    "verdict",
    "waiting",
    "watch",
    "weather",
    "words",
}
"""Stems of module and SQL file names that have a standard name now."""

NAMES = {
    "House": "Runtime",
    "Tools": "WorkerServices",
    "Beat": "Heartbeat",
    "Promoter": "Scheduler",
    "Reporter": "ProgressWriter",
    "Watchtower": "EventStream",
    "Canceller": "ProviderCanceller",
    "Ordering": "Submissions",
    "Answering": "TaskAwaiter",
    "Finder": "SubmissionReconciler",
    "Messenger": "WebhookSender",
    "Outermost": "RequestMiddleware",
    "Errand": "PromptRun",
    "Ears": "PromptEvents",
    "Footage": "MediaInfo",
    "Lettering": "TextLayer",
    "PlainProvider": "BaseProvider",
    "KeySet": "Jwks",
    "StandIn": "FakeServer",
    "Weather": "Fault",
    "RunFirst": "RunChildJobs",
    "SubJob": "ChildJob",
    "FirstJob": "ChildJobRow",
    "GivenScript": "AssScript",
    "find_lost": "find_submission",
    "made_at_home": "run_locally",
    "refuse_open_door": "require_api_key_beyond_loopback",
    "beat_interval": "heartbeat_interval",
    "promote_interval": "schedule_interval",
    "own_models": "models_file",
    "local_queue_most": "local_queue_limit",
    "provider_first_look": "provider_poll_initial",
    "provider_longest_pause": "provider_poll_max",
    "waiting_interval": "provider_poll_interval",
    "submission_patience": "submission_recovery_timeout",
    "url_lifetime": "signed_url_ttl",
    "beat_at": "heartbeat_at",
    "unmet": "pending_dependencies",
    "database_away": "database_unavailable",
    "not_allowed_now": "invalid_state",
    "ownership_lost": "lease_lost",
    "setup_error": "configuration_error",
    "not_set_up_here": "not_configured",
    "output_gone": "output_expired",
    "media_failed": "ffmpeg_failed",
    "provider_busy": "provider_rate_limited",
    "does_not_fit": "invalid_value",
    "wrong_kind": "wrong_type",
    "beyond_the_end": "out_of_range",
}
"""Replaced identifier → the name to use."""


ALLOWED = {
    "src/callsheet/cli/demo/score.py": {"beat", "beats"},  # of music
    # Names of Celery deployments.
    "deploy/prometheus/prometheus.yml": {"beat"},
    "docker-compose.workers.yml": {"beat"},
    "scripts/start-workers.sh": {"beat"},
    "scripts/stop-workers.sh": {"beat"},
    "tests/acceptance/test_worker_scripts.py": {"beat"},
    "tests/unit/deployment/test_compose.py": {"beat"},
    "docs/deploy.md": {"beat"},
    "src/callsheet/db/embedded/run_as_user.py": {"nobody"},  # the user of the system
}
"""File → banned words that have another meaning there."""


def tracked() -> list[Path]:
    """Return the tracked text files that are checked."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    return [ROOT / name for name in listed if name and name not in EXEMPT and Path(name).suffix in TEXT]


_USES = list(WORDS.values())
_WORDS = re.compile(
    rf"(?<![a-zA-Z])(?:{'|'.join(f'({pattern})' for pattern in WORDS)})(?![a-zA-Z])", re.ASCII | re.IGNORECASE
)
"""All words at once: `lastindex` is the number of the one that was found."""


def found_words(path: Path, text: str) -> Iterator[str]:
    """Yield a line for each banned word; snake_case parts count as words."""
    name_of_file = path.relative_to(ROOT).as_posix()
    allowed = ALLOWED.get(name_of_file, set())

    def place(match: re.Match[str]) -> str:
        return f"{name_of_file}:{text.count(chr(10), 0, match.start()) + 1}: '{match[0]}'"

    for match in _WORDS.finditer(text):
        if match[0].lower() not in allowed:
            yield f"{place(match)}: write {_USES[(match.lastindex or 1) - 1]}"
    for match in re.finditer(r"\w+", text):
        if match[0] in NAMES:
            yield f"{place(match)} is called {NAMES[match[0]]}"


def public_names(path: Path) -> list[str]:
    """Return the public classes and functions of a module."""
    tree = ast.parse(path.read_text())
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def main() -> int:
    """Run the checks; print what is found."""
    problems: list[str] = []
    for path in tracked():
        if path.is_relative_to(ROOT / "src") and path.suffix in (".py", ".sql") and path.stem in MODULES:
            problems.append(f"{path.relative_to(ROOT)}: this module name was replaced")
        problems += found_words(path, path.read_text(errors="replace"))
    if "--names" in sys.argv:
        for path in sorted((ROOT / "src" / "callsheet").rglob("*.py")):
            print(f"{path.relative_to(ROOT / 'src')}: {', '.join(public_names(path)) or '-'}")
    print("\n".join(problems) or "No replaced word, module or name is left.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
