import ast
from pathlib import Path

import callsheet


def test_the_public_names_are_complete_and_importable():
    tree = ast.parse(Path(callsheet.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = [alias.name for line in guarded.body for alias in line.names]

    assert sorted(callsheet.__all__) == sorted(typed)
    assert all(getattr(callsheet, name) is not None for name in callsheet.__all__)
