"""The pages of the documentation, their fenced blocks, and the commands in these."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SHELL = ("console", "sh")

_SEPARATORS = frozenset({"|", "||", "&&", ";", "&"})
_REDIRECTIONS = frozenset({">", ">>", "<"})


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, its text."""

    page: Path
    language: str
    words: tuple[str, ...]
    text: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)} {' '.join((self.language, *self.words))}"

    @property
    def file(self):
        """The file that a reader is to save it as."""
        return next((word for word in self.words if "." in word), None)


@dataclass(frozen=True)
class Command:
    """A command as a shell reads it: variables that are set for it, the program, its arguments."""

    variables: dict[str, str]
    program: str
    arguments: tuple[str, ...]

    def __str__(self):
        return shlex.join(
            [*(f"{name}={value}" for name, value in self.variables.items()), self.program, *self.arguments]
        )


def generator():
    """Return the module `docs/generate.py`."""
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks_of(page):
    """Return the fenced blocks of a page."""
    fences = re.finditer(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(page, fence[1], tuple(fence[2].split()), fence[3]) for fence in fences]


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a block that a shell reads. In a console, those are the lines after `$`."""
    for line in _lines(block):
        for words in _parts(line):
            variables = {}
            while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
                name, _, value = words.pop(0).partition("=")
                variables[name] = value
            if words[:1] == ["export"]:
                variables |= dict(word.split("=", 1) for word in words[1:])
                words = []
            if variables or words:
                yield Command(variables, words[0] if words else "", tuple(words[1:]))


def _lines(block: Block) -> Iterator[str]:
    """Yield complete commands: a line goes on after a backslash, and inside of quotes."""
    waiting = ""
    for line in block.text.splitlines():
        if block.language == "console" and not waiting:
            if not line.startswith("$ "):
                continue  # what a command prints
            line = line[2:]
        waiting += line
        if waiting.endswith("\\"):
            waiting = waiting[:-1]
        elif _is_closed(waiting):
            yield waiting
            waiting = ""
        else:
            waiting += "\n"
    assert not waiting, f"{block}: {waiting} is not complete"


def _is_closed(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def _parts(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line: of a pipe, of a list, and of an overview with several in a line."""
    for part in re.split(r"\s{2,}(?=callsheet )", line):
        lexer = shlex.shlex(part, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words: list[str] = []
        is_file = False
        for word in lexer:
            if word in _REDIRECTIONS or is_file:
                is_file = word in _REDIRECTIONS
            elif word in _SEPARATORS:
                yield words
                words = []
            else:
                words.append(word)
        yield words
