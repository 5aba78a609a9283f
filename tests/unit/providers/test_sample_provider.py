"""The sample provider in `examples/provider`: installed as a package, listed, contract-tested, and used."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "provider"
CONTRACT = """
    from callsheet.testing.provider_contract import ProviderContract
    from callsheet_acme.fake import FakeAcme

    class TestAcme(ProviderContract):
        fake = FakeAcme
"""
GENERATE = """
    import asyncio, sys
    from pathlib import Path

    import callsheet
    from callsheet.fakes.providers.task_script import sample_video
    from callsheet.settings import Settings
    from callsheet_acme.fake import FakeAcme

    PLAN = {"jobs": [{"id": "clip", "operation": "generate", "params": {"modelId": "acme/clip-1", "prompt": "A fox"}}]}

    async def main(folder):
        async with FakeAcme() as acme:
            settings = Settings(
                _env_file=None,
                data_dir=folder / "data",
                models_file=sys.argv[2],
                provider_poll_initial=0.05,
                provider_poll_max=0.05,
                provider_poll_interval=0.05,
            )
            execution = await callsheet.arun(
                PLAN, settings=settings, provider_settings=[acme.provider_settings()], out=folder / "out"
            )
            assert execution.status == "succeeded", execution.jobs[0].error
            [file] = (folder / "out" / "clip").iterdir()
            assert file.read_bytes() == sample_video().data
            assert acme.paid == 1

    if __name__ == "__main__":
        asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Environment variables with the sample provider installed in a folder on PYTHONPATH."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(EXAMPLE)], check=True, timeout=120)
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1"}


def run(environment, folder, *arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, cwd=folder, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def script(folder, name, text):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def test_the_models_command_lists_it_with_its_missing_setting(environment, tmp_path):
    known = {**environment, "CALLSHEET_MODELS_FILE": str(EXAMPLE / "models.yaml")}

    shown = run(known, tmp_path, "-m", "callsheet", "models", "show", "acme/clip-1")
    assert "acme, as clip-1: provider 'acme' needs CALLSHEET_ACME_API_KEY" in shown

    shown = run(
        {**known, "CALLSHEET_ACME_API_KEY": "a-key"}, tmp_path, "-m", "callsheet", "models", "show", "acme/clip-1"
    )
    assert "acme, as clip-1: ready" in shown


def test_it_passes_the_contract_suite(environment, tmp_path):
    path = script(tmp_path, "test_acme.py", CONTRACT)

    result = run(environment, tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", path)

    assert " passed" in result and "failed" not in result


def test_a_generate_job_stores_its_file(environment, tmp_path):
    models = EXAMPLE / "models.yaml"
    known = {**environment, "CALLSHEET_MODELS_FILE": str(models)}

    run(known, tmp_path, script(tmp_path, "generate.py", GENERATE), tmp_path, models)

    [file] = (tmp_path / "out" / "clip").iterdir()
    assert file.stat().st_size
