"""`callsheet dev`: trying everything without keys and without costs."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

group = typer.Typer(help="Try things without keys and without costs.", no_args_is_help=True)

_FIRST_PORT = 8600


@group.callback()
def dev() -> None:
    """Try things without keys and without costs."""


@group.command()
def fakes(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65000, help="The first of the ports to answer at, 0 takes free ones")
    ] = _FIRST_PORT,
    pace: Annotated[
        float, typer.Option("--pace", min=0.01, metavar="SECONDS", help="How long each stage of a task takes")
    ] = 1.0,
) -> None:
    """Run stand-ins of all providers until Ctrl-C, and print the variables that lead to them.

    They speak as the providers do, take any order, and give a second of film. A stand-in of a ComfyUI server, which
    runs graphs without models, is among them. Keep the variables in a file `.env`, or set them in the shell that runs
    Callsheet.
    """
    from callsheet.cli.loop import run_async

    run_async(_stand_in(port, pace))


async def _stand_in(port: int, pace: float) -> None:
    import asyncio
    import tempfile
    from pathlib import Path

    from callsheet.cli.loop import on_stop_signals
    from callsheet.domain.errors import ConfigurationError
    from callsheet.fakes.comfyui import running_comfyui
    from callsheet.fakes.providers.all import STAND_INS, all_fakes, environment_of

    stopped = asyncio.Event()
    on_stop_signals(stopped.set)
    try:
        with tempfile.TemporaryDirectory(prefix="callsheet-comfyui-") as folder:
            async with (
                all_fakes(pace=pace, first_port=port) as stand_ins,
                running_comfyui(Path(folder), port=port + len(STAND_INS) if port else 0) as comfyui,
            ):
                _announce({**environment_of(stand_ins), "COMFYUI_API_URL": comfyui.url})
                await stopped.wait()
    except OSError as error:
        raise ConfigurationError(
            f"The stand-ins cannot answer at the ports from {port} on: {error.strerror}."
        ) from None


def _announce(environment: "Mapping[str, str]") -> None:
    import shlex

    from callsheet.cli.printing import say, show

    show("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items()))
    say("Stand-ins of all providers answer at these addresses; Ctrl-C ends them.")
