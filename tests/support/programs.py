"""Programs of development dependencies."""

import os
import shutil
import sys
from pathlib import Path


def find_program(name):
    """The path of a program beside this Python, else on the PATH; None if there is none."""
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
