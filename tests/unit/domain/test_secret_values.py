"""Problems of a validation do not repeat values of secret fields."""

import pytest
from pydantic import SecretStr, ValidationError

from callsheet.access.users import UserChange, UserRequest
from callsheet.domain.model import Model
from callsheet.domain.validation_problems import validation_problems


class Nested(Model):
    user: UserRequest
    number: int = 0
    tokens: list[SecretStr] | None = None


def problems_of(model, given):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    return [str(problem) for problem in validation_problems(caught.value, model)]


@pytest.mark.parametrize("secret", ["hunter2", ["hunter2"], {"a": "hunter2"}])
def test_a_rejected_secret_is_not_repeated(secret):
    for model, given in (
        (UserRequest, {"name": "mia", "password": secret}),
        (UserChange, {"password": secret}),
        (Nested, {"user": {"name": "mia", "password": secret}}),
        (Nested, {"user": {"name": "mia", "password": "long enough for this"}, "tokens": [secret, 5]}),
    ):
        problems = problems_of(model, given)
        assert problems
        assert "hunter2" not in " ".join(problems)


def test_another_rejected_value_is_repeated():
    [problem] = problems_of(Nested, {"user": {"name": "mia", "password": "long enough for this"}, "number": "seven"})

    assert "got 'seven'" in problem
