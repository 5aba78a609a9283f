"""Build the documentation as a site: `python -m tools.site [--out FOLDER]`.

Run it with the Python of `.venv-site`: `make site`. Every warning is an error: links and headings that do not exist,
and pages that docs/README.md does not name.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tools.site.navigation import Entry, as_toml, missing_pages, navigation
from tools.site.pages import BrokenLink, copy_pages

ROOT = Path(__file__).resolve().parents[2]
_SETTINGS = Path(__file__).with_name("zensical.toml")


def main() -> int:
    """Build the site of the given folder; return the exit status."""
    parser = argparse.ArgumentParser(description="Build the documentation as a site.")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build/site", help="folder of the site (default: build/site)"
    )
    options = parser.parse_args()
    try:
        problem = build(options.root.resolve(), options.out.resolve())
    except BrokenLink as error:
        problem = str(error)
    if problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(
        f"The site is in {options.out / 'html'}. To read it: python -m http.server -d {options.out}/html\n"
    )
    return 0


def build(root: Path, out: Path) -> str | None:
    """Build the site of the repository `root` in `out`/html; return the problem, or none.

    Raises:
        BrokenLink: a link leads to no file.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    entries = navigation((root / "docs/README.md").read_text())
    pages = {str(page.relative_to(root / "docs")) for page in (root / "docs").rglob("*.md")}
    if missing := missing_pages(entries, pages):
        return f"docs/README.md does not name {', '.join(sorted(missing))}"
    outside = copy_pages(root, out / "pages")
    files = Entry("Files of the repository", children=tuple(Entry(_title(page), page) for page in outside))
    settings = _SETTINGS.read_text().replace("nav = []", f"nav = {as_toml((*entries, files))}")
    (out / "zensical.toml").write_text(settings)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, timeout=120)
    return None if done.returncode == 0 else done.stdout + done.stderr


def _title(page: str) -> str:
    return page.partition("/")[2].removesuffix(".md")


if __name__ == "__main__":
    sys.exit(main())
