"""Sizes of a measurement."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Sizes of a run; `QUICK` shows that everything works and measures nothing well."""

    rounds: int = 5
    jobs: int = 10_000
    only: str = ""
    """Text in the names of the systems that the engine bench measures."""
    warm_up: int = 2_000
    """Jobs before each engine measurement: Node compiles what it has seen often enough."""
    pickups: int = 300
    pause: float = 0.03
    """Seconds between two submissions to an idle worker."""
    requests: int = 5_000
    """HTTP requests of one measurement."""
    burst: int = 50_000
    followed: int = 10_000
    """Executions that are followed at once."""
    watchers: int = 500
    """Event streams of one server process."""
    plan_jobs: int = 10_000
    finished: int = 1_000_000
    scheduled: int = 200_000
    waiting: int = 200_000
    scene_seconds: float = 5.0
    """Length of each of the six scenes of a film."""
    previewed_seconds: int = 300
    ladder_seconds: int = 8
    tiny_jobs: int = 40
    """Jobs beside as many bare commands."""
    long_film_seconds: int = 600
    provider_waits: int = 100_000
    """Jobs that wait for a provider, beside a hundredth of them."""
    watched_seconds: float = 20.0
    webhooks: int = 1_000
    """Jobs that webhooks end, and as many calls that are only taken in."""
    comfyui_jobs: int = 40
    comfyui_large_jobs: int = 8
    """Jobs with files of 75 MB."""
    server_away_seconds: float = 120.0
    """How long a ComfyUI server is away."""
    searched_vectors: int = 100_000


FULL = Sizes()
QUICK = Sizes(
    rounds=1,
    jobs=1_000,
    warm_up=200,
    pickups=30,
    requests=500,
    burst=1_000,
    followed=500,
    watchers=100,
    plan_jobs=1_000,
    finished=20_000,
    scheduled=4_000,
    waiting=4_000,
    scene_seconds=1.5,
    previewed_seconds=30,
    ladder_seconds=2,
    tiny_jobs=5,
    long_film_seconds=60,
    provider_waits=2_000,
    watched_seconds=3.0,
    webhooks=60,
    comfyui_jobs=4,
    comfyui_large_jobs=3,
    server_away_seconds=8.0,
    searched_vectors=5_000,
)
