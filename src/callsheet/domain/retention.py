"""How long ended executions are kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from callsheet.domain.durations import duration_text, parse_duration
from callsheet.domain.statuses import EXECUTION_ENDED, ExecutionStatus

_FORM = "`90d`, `90d,failed=30d,cancelled=7d,key:preview=1d` or `off`"
_KEY = "key:"


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """How long ended executions are kept, from their end. None: for ever. Rules of keys precede those of statuses."""

    default: timedelta | None
    by_status: Mapping[ExecutionStatus, timedelta | None] = field(default_factory=dict)
    by_key: Mapping[str, timedelta | None] = field(default_factory=dict)
    """By the name of the API key."""

    def of_status(self, status: ExecutionStatus) -> timedelta | None:
        """Return how long executions of a status are kept."""
        return self.by_status.get(status, self.default)

    def __str__(self) -> str:
        """Return the rules in the form of the setting."""
        named: dict[str, timedelta | None] = {str(status): age for status, age in self.by_status.items()}
        named |= {f"{_KEY}{name}": age for name, age in self.by_key.items()}
        return ",".join([_age_text(self.default), *(f"{name}={_age_text(age)}" for name, age in named.items())])


def parse_retention(text: str) -> RetentionRules:
    """Parse `90d,failed=30d,key:preview=1d`. Raises ValueError that quotes the invalid part."""
    default: timedelta | None = timedelta(days=90)
    by_status: dict[ExecutionStatus, timedelta | None] = {}
    by_key: dict[str, timedelta | None] = {}
    for index, part in enumerate(piece.strip() for piece in text.split(",")):
        name, equals, age = (piece.strip() for piece in part.partition("="))
        if not equals and index == 0:
            default = _age(name)
        elif equals and name.startswith(_KEY) and name != _KEY:
            by_key[name.removeprefix(_KEY)] = _age(age)
        elif equals and name in EXECUTION_ENDED:
            by_status[ExecutionStatus(name)] = _age(age)
        else:
            raise ValueError(f"'{part}' is not a rule: write {_FORM}")
    return RetentionRules(default, by_status, by_key)


def _age(text: str) -> timedelta | None:
    if text == "off":
        return None
    age = parse_duration(text)
    if not isinstance(age, timedelta) or age <= timedelta(0):
        raise ValueError(f"'{text}' is not a duration above zero: write {_FORM}")
    return age


def _age_text(age: timedelta | None) -> str:
    return "off" if age is None else duration_text(age)
