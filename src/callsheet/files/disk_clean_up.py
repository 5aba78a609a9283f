"""The clean-up of the scratch spaces of this machine, by the rules of the settings.

Every machine does this for itself, since others have other disks. Processes with the same scratch spaces take turns.
"""

from callsheet.files.partial_files import PartialFiles
from callsheet.files.temporary_files import (
    Removed,
    TemporaryFiles,
    TemporaryRules,
    only_clean_up,
    remove_entries,
    survey_scratch_spaces,
)
from callsheet.settings import Settings


def survey_disk(settings: Settings) -> TemporaryFiles:
    """Return the temporary files of this machine, and what a clean-up removes of them. Raises OSError."""
    rules = TemporaryRules(settings.temp_max_age, settings.finished_result_max_age, settings.temp_max_bytes)
    return survey_scratch_spaces(settings.scratch_dirs, rules)


def clean_up_disk(settings: Settings) -> tuple[TemporaryFiles, Removed]:
    """Remove the temporary files of this machine that no process needs. Return what is left, and what was removed.

    Files of live processes are never touched. While another process of this machine cleans, nothing is removed. Raises
    OSError if a scratch space cannot be read.
    """
    with only_clean_up(settings.scratch_dirs) as is_alone:
        if not is_alone:
            return survey_disk(settings), Removed()
        removed = remove_entries(survey_disk(settings).removable)
        removed.files += PartialFiles(settings.data_dir / "uploads").remove_older_than(settings.upload_max_age)
        return survey_disk(settings), removed
