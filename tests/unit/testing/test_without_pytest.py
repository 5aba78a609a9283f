import subprocess
import sys

BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pytest", "_pytest", "pytest_asyncio"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Block())

import importlib, pkgutil
import callsheet.testing, callsheet.fakes

for package in (callsheet.testing, callsheet.fakes):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)

from callsheet.fakes.providers.luma import FakeLuma
from callsheet.testing.provider_contract import ProviderContract

class Luma(ProviderContract):
    fake = FakeLuma

Luma().test_a_submission_is_sent_once_and_returns_its_task()
assert "pytest" not in sys.modules
"""


def test_the_test_kit_and_the_fakes_need_no_pytest():
    done = subprocess.run([sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
