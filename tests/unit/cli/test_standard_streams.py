"""Commands whose caller has closed their standard streams."""

import subprocess
import sys

import pytest

PROGRAM = (
    "import os, callsheet.cli.standard_streams as s; s.open_standard_streams(); print('x'); print(os.pipe()[0] > 2)"
)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_opened_so_that_no_other_file_takes_their_place(closed, tmp_path):
    check = f"{PROGRAM}; open('result', 'w').write(str(os.pipe()[0] > 2))"

    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", check], cwd=tmp_path, check=False
    )

    assert (done.returncode, (tmp_path / "result").read_text()) == (0, "True")
