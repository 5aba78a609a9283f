import re
from pathlib import Path

from callsheet.cli.errors import EXIT_CODES

DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def test_every_exit_status_is_documented():
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", DOCS.read_text(), re.MULTILINE)]

    assert documented == sorted(EXIT_CODES)
