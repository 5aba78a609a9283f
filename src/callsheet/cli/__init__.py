"""The command line: `callsheet`.

One file per group of commands. A command parses its arguments, calls the engine or the API, and prints the result.
Commands import their dependencies when they are called, so that help and completion start quickly.
"""

from callsheet.cli.app import app
from callsheet.cli.standard_streams import open_standard_streams


def main() -> None:
    """Run the command line and exit with its status."""
    open_standard_streams()
    app(prog_name="callsheet")
