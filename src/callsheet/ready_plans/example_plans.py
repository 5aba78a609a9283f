"""The example plans: in the package, or in the checkout that it runs from."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

_PACKAGE = Path(str(files("callsheet")))
_IN_CHECKOUT = _PACKAGE.parents[1] / "examples"


def example_plans() -> Mapping[str, Path]:
    """Return the files of the example plans by their names, such as `two-clips`, in order.

    Raises FileNotFoundError if the package is incomplete.
    """
    packaged = _PACKAGE / "example_plans"
    folder = packaged if packaged.is_dir() else _IN_CHECKOUT
    found = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if not found:
        raise FileNotFoundError(f"There are no example plans in {packaged}; install the package again.")
    return found
