"""Names of what clients store on a server."""

from typing import Annotated

from callsheet.domain.text_form import TextForm

StoredName = Annotated[
    str, TextForm(r"^[a-z0-9][a-z0-9_-]{0,63}$", "1 to 64 small letters, digits, '-' and '_', with no '-' first")
]
"""Name of a stored plan or a schedule."""
