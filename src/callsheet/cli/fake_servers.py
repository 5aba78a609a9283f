"""`callsheet dev`: fake servers, to try Callsheet without API keys and costs."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

group = typer.Typer(help="Try Callsheet without API keys and costs.", no_args_is_help=True)

_FIRST_PORT = 8600


@group.callback()
def dev() -> None:
    """Try Callsheet without API keys and costs."""


@group.command()
def fakes(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65000, help="First of the ports to listen on; 0: free ports")
    ] = _FIRST_PORT,
    pace: Annotated[
        float, typer.Option("--pace", min=0.01, metavar="SECONDS", help="Duration of each stage of a task")
    ] = 1.0,
) -> None:
    """Run fakes of all providers until Ctrl-C, and print the environment variables that connect Callsheet to them.

    They speak the wire formats of the providers, accept every submission, and return a video of one second. A fake
    ComfyUI server runs graphs without models, and a fake language model writes sentences without meaning. Save the
    variables in a file `.env`, or set them in the shell that runs Callsheet.
    """
    from callsheet.cli.loop import run_async

    run_async(_run_fakes(port, pace))


async def _run_fakes(port: int, pace: float) -> None:
    import asyncio
    import tempfile
    from pathlib import Path

    from callsheet.cli.loop import on_stop_signals
    from callsheet.domain.errors import ConfigurationError
    from callsheet.fakes.comfyui import running_comfyui
    from callsheet.fakes.language_model import FakeLanguageModel
    from callsheet.fakes.providers.all import FAKES, all_fakes, environment_of

    stopped = asyncio.Event()
    on_stop_signals(stopped.set)
    try:
        with tempfile.TemporaryDirectory(prefix="callsheet-comfyui-") as folder:
            async with (
                all_fakes(pace=pace, first_port=port) as fakes,
                running_comfyui(Path(folder), port=port + len(FAKES) if port else 0) as comfyui,
                FakeLanguageModel(port=port + len(FAKES) + 1 if port else 0) as language_model,
            ):
                environment = {**environment_of(fakes), "COMFYUI_API_URL": comfyui.url}
                _print_environment({**environment, **language_model.environment()})
                await stopped.wait()
    except OSError as error:
        raise ConfigurationError(f"The fakes cannot listen on the ports from {port}: {error.strerror}.") from None


def _print_environment(environment: "Mapping[str, str]") -> None:
    import shlex

    from callsheet.cli.printing import say, show

    show("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items()))
    say("Fakes of all providers are running; Ctrl-C stops them.")
