"""The command line: `callsheet`.

One file per group of verbs; a command parses, calls, prints. Commands import what they work with when they are called,
because help and completion have to be quick.
"""

from callsheet.cli.app import app


def main() -> None:
    """Run the command line and exit with its status."""
    app(prog_name="callsheet")
