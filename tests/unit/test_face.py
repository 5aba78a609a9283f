import ast
from pathlib import Path

import callsheet


def test_the_names_of_the_face_are_all_there_and_no_others():
    tree = ast.parse(Path(callsheet.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = [alias.name for line in guarded.body for alias in line.names]

    assert sorted(callsheet.__all__) == sorted(typed)
    assert all(getattr(callsheet, name) is not None for name in callsheet.__all__)
