"""The pages as the builder takes them: docs/, and the files of the repository that they link to."""

import os
import re
import shutil
from pathlib import Path

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_FIRST_LINE = re.compile(r"^```(\w*)([^\n]*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_REPOSITORY = "repository"
"""Folder of the site for files from outside docs/."""

_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".toml": "toml"}


class BrokenLink(Exception):
    """A link leads nowhere."""


def copy_pages(root: Path, target: Path) -> list[str]:
    """Copy docs/ below `root` to `target`, and what its pages link to; return the pages of the files outside docs/.

    Pages are read on the site and in the repository: their links to files outside docs/ lead to copies on the site.

    Raises:
        BrokenLink: a link leads to no file.
    """
    docs = root / "docs"
    shutil.copytree(docs, target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    waiting = {page: target / page.relative_to(docs) for page in docs.rglob("*.md")}
    outside: dict[Path, str] = {}
    while waiting:
        source, page = waiting.popitem()
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(_page_of(source, page, root, target))
        for linked in _links_of(source):
            if not linked.is_relative_to(docs) and linked not in outside:
                outside[linked] = _place(linked, root)
                waiting[linked] = target / outside[linked]
    return sorted(outside.values())


def _page_of(source: Path, page: Path, root: Path, target: Path) -> str:
    if source.is_dir():
        files = "\n".join(f"- [{file.name}]({file.name})" for file in sorted(source.iterdir()) if file.is_file())
        text = f"# {source.relative_to(root)}\n\n{files}\n"
    elif source.suffix == ".md":
        text = source.read_text()
    else:
        language = _LANGUAGES.get(source.suffix, "text")
        return f"# {source.relative_to(root)}\n\n````{language}\n{source.read_text()}\n````\n"
    folder = source if source.is_dir() else source.parent
    return "".join(_prose(part, folder, page, root, target) for part in _FENCE.split(text))


def _prose(part: str, folder: Path, page: Path, root: Path, target: Path) -> str:
    if part.startswith("```"):
        return _FIRST_LINE.sub(_first_line, part, count=1)
    return _LINK.sub(lambda link: f"]({_moved(link[1], folder, page, root, target)})", part)


def _first_line(found: re.Match[str]) -> str:
    """Return the first line of a block: of the words after the language, the name of a file is shown above it."""
    # The builder would load the program that draws diagrams from another server. Their text says the same.
    language = "text" if found[1] == "mermaid" else found[1]
    file = next((word for word in found[2].split() if "." in word), None)
    return f'```{language} title="{file}"' if file else f"```{language}"


def _moved(link: str, folder: Path, page: Path, root: Path, target: Path) -> str:
    """Return the link as it is on the site."""
    name, _, anchor = link.partition("#")
    if "://" in link or not name:
        return link
    file = _resolved(name, folder)
    moved = os.path.relpath(target / _place(file, root), page.parent)
    return f"{moved}#{anchor}" if anchor else moved


def _place(file: Path, root: Path) -> str:
    """Return the place of a file below the folder of the pages."""
    if file.is_relative_to(root / "docs"):
        return str(file.relative_to(root / "docs"))
    name = f"{_REPOSITORY}/{file.relative_to(root)}"
    # A page README is the page of its folder.
    return name.replace("README.md", "about.md") if file.suffix == ".md" else f"{name}.md"


def _links_of(source: Path) -> set[Path]:
    if source.is_dir():
        return {file for file in source.iterdir() if file.is_file()}
    if source.suffix != ".md":
        return set()
    prose = _FENCE.sub("", source.read_text())
    names = {link.partition("#")[0] for link in _LINK.findall(prose) if "://" not in link}
    return {_resolved(name, source.parent) for name in names if name}


def _resolved(name: str, folder: Path) -> Path:
    file = (folder / name).resolve()
    if not file.exists():
        raise BrokenLink(f"{name} in {folder} leads nowhere")
    return file
