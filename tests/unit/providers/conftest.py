import pytest

pytest.register_assert_rewrite("callsheet.testing.provider_contract")
