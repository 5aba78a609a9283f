"""What a release promises: one version everywhere, licences that permit its use, and the Pythons of the classifiers."""

import json
import re
import subprocess
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
ALLOWED = {
    "apache-2.0",
    "bsd-2-clause",
    "bsd-3-clause",
    "isc",
    "mit",
    "mit-0",
    "mit-cmu",
    "mpl-2.0",
    "psf-2.0",
}
"""Licences that need no more than their text. GPL, LGPL and AGPL are not among them."""
_WORDS = {
    "apache software license": "apache-2.0",
    "apache license 2.0": "apache-2.0",
    "apache license, version 2.0": "apache-2.0",
    "apache 2.0": "apache-2.0",
    "bsd license": "bsd-3-clause",
    "bsd": "bsd-3-clause",
    "3-clause bsd license": "bsd-3-clause",
    "isc license (iscl)": "isc",
    "mit license": "mit",
    "mozilla public license 2.0 (mpl 2.0)": "mpl-2.0",
    "python software foundation license": "psf-2.0",
}
"""Names of licences in older metadata."""


def base_install() -> dict[str, Distribution]:
    """The packages of `pip install callsheet`, with their dependencies, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(canonicalize_name("callsheet"), frozenset())]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = distribution(name)
        for text in found[name].requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return found


def licences_of(package: Distribution) -> set[str]:
    """The names of licences in the metadata of a package; of a choice (`OR`), those that are allowed."""
    metadata = package.metadata
    expression = metadata.get("License-Expression")
    if expression is not None:
        alternatives = [_names(each) for each in re.split(r"\s+OR\s+", expression)]
        return next((names for names in alternatives if names <= ALLOWED), set().union(*alternatives))
    named = [
        text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier", []) if text.startswith("License :: ")
    ]
    named = [text for text in named if text != "OSI Approved"] or [(metadata.get("License") or "").split("\n")[0]]
    return {_WORDS.get(text.lower(), text.lower()) for text in named}


def _names(expression: str) -> set[str]:
    return {name.strip("() ").lower() for name in re.split(r"\s+(?:AND|OR)\s+", expression)}


def test_every_package_of_the_base_install_has_a_licence_that_permits_its_use():
    packages = base_install()
    others = {name: licences_of(package) - ALLOWED for name, package in packages.items()}

    assert len(packages) > 40
    assert {name: names for name, names in others.items() if names} == {}


@pytest.mark.parametrize("name", ["LGPL-3.0-or-later", "GPL-2.0-only AND MIT", "AGPL-3.0"])
def test_a_copyleft_licence_is_found(name):
    class Package(Distribution):
        def read_text(self, filename):
            return f"Metadata-Version: 2.4\nName: x\nVersion: 1\nLicense-Expression: {name}\n"

        def locate_file(self, path):
            return Path(path)

    assert licences_of(Package()) - ALLOWED


def test_the_version_is_the_same_in_every_file():
    stated = {
        "installed": distribution("callsheet").version,
        "TypeScript client": json.loads((ROOT / "clients/typescript/package.json").read_text())["version"],
        "changelog": re.findall(r"^## (\S+),", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0],
    }
    for path in [*ROOT.glob("docker-compose*.yml"), *(ROOT / "deploy/kubernetes").rglob("*.yaml")]:
        for index, tag in enumerate(re.findall(r"image: callsheet:(\S+)|newTag: (\S+)", path.read_text())):
            stated[f"{path.relative_to(ROOT)} {index}"] = "".join(tag)

    assert {place: version for place, version in stated.items() if version != VERSION} == {}
    assert len(stated) > 5


def test_a_tagged_commit_has_the_version_of_its_tag_and_a_dated_changelog():
    done = subprocess.run(
        ["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    tags = [tag for tag in done.stdout.split() if re.fullmatch(r"v\d.*", tag)]
    if not tags:
        pytest.skip("the commit has no tag of a version")

    assert tags == [f"v{VERSION}"]
    assert re.search(
        rf"^## {re.escape(VERSION)}, \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )


def test_the_classifiers_name_every_supported_python():
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))

    assert versions[0] == PROJECT["requires-python"].removeprefix(">=")
    assert versions == [
        f"3.{minor}" for minor in range(int(versions[0].split(".")[1]), int(versions[0].split(".")[1]) + len(versions))
    ]
