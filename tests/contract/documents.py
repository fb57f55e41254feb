"""The Markdown documents of the project, parsed, and an index of the names that their text can refer to."""

from __future__ import annotations

import ast
import fnmatch
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.contract.artifacts import ROOT

_PARSER = MarkdownIt("commonmark").enable("table")
_NOT_SOURCE = {"__pycache__", "node_modules"}
_HIDDEN_SOURCE = {".github", ".ci"}


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is the line of its fence."""

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Document:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def _tokens(self) -> list[Token]:
        return _PARSER.parse(self.text)

    def _inline(self) -> Iterator[Token]:
        for token in self._tokens:
            yield from token.children or ()

    @property
    def links(self) -> list[str]:
        """The targets of all links and images."""
        targets = [token.attrGet("href") or token.attrGet("src") for token in self._inline()]
        return [str(target) for target in targets if target]

    @property
    def code(self) -> list[str]:
        """The texts between backticks, without those in fenced blocks."""
        return [token.content for token in self._inline() if token.type == "code_inline"]

    @property
    def blocks(self) -> list[Block]:
        fences = [token for token in self._tokens if token.type == "fence"]
        return [Block(str(self), (token.map or [0])[0] + 1, token.info.strip(), token.content) for token in fences]

    @property
    def examples(self) -> frozenset[str]:
        """The files that the document shows how to write."""
        return frozenset(re.findall(r"^<!-- file: (\S+) -->$", self.text, re.MULTILINE))

    @property
    def defined(self) -> frozenset[str]:
        """The words of the blocks: names that the document defines itself."""
        return frozenset(word for block in self.blocks for word in re.findall(r"\w+", block.text))

    @property
    def tables(self) -> list[list[list[str]]]:
        """The cells of each table as Markdown, by row. The first row is the header."""
        found: list[list[list[str]]] = []
        for before, token in pairwise(self._tokens):
            if before.type == "table_open":
                found.append([])
            if before.type == "tr_open":
                found[-1].append([])
            if before.type in {"th_open", "td_open"}:
                found[-1][-1].append(token.content)
        return found

    @cached_property
    def anchors(self) -> frozenset[str]:
        """The fragments that GitHub gives to headings, and those that the document sets itself."""
        titles = [
            "".join(child.content for child in token.children or ())
            for before, token in pairwise(self._tokens)
            if before.type == "heading_open"
        ]
        seen: Counter[str] = Counter()
        slugs = set()
        for title in titles:
            slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            slugs.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
        return frozenset(slugs | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", self.text)))


@cache
def files() -> frozenset[str]:
    """The paths of all source files, relative to the project. What tools write is not included."""
    found = set()
    for folder, folders, names in os.walk(ROOT):
        ours = [name for name in folders if not name.startswith(".") or name in _HIDDEN_SOURCE]
        folders[:] = [name for name in ours if name not in _NOT_SOURCE and not (Path(folder) == ROOT and name == "build")]
        found |= {
            (Path(folder) / name).relative_to(ROOT).as_posix()
            for name in names
            if not name.endswith(".pyc") and not name.startswith(".coverage")
        }
    return frozenset(found)


@cache
def folders() -> frozenset[str]:
    parents = {parent.as_posix() for file in files() for parent in Path(file).parents}
    return frozenset(parents - {"."})


DOCUMENTS = [Document(ROOT / file) for file in sorted(files()) if file.endswith(".md")]
# The changelog and templates name what was and what is to be written.
CURRENT = [document for document in DOCUMENTS if str(document) != "CHANGELOG.md"]
_TOP = {file.partition("/")[0] for file in files() if "/" in file}
_SUFFIXES = {Path(file).suffix for file in files()} - {""}


def names_a_file(code: str) -> bool:
    """Whether a text between backticks reads as the path of a file or folder of this project."""
    if not re.fullmatch(r"[\w.<>*-]+(/[\w.<>*-]+)*/?", code) or code in _SUFFIXES | {".asl.json"}:
        return False
    return Path(code).suffix in _SUFFIXES or (code.partition("/")[0] in _TOP and "/" in code)


def is_there(path: str, folder: Path) -> bool:
    """Whether a path matches a file or folder: from the root, from a document's folder, or as the end of a longer path.

    `<name>` and `*` stand for any text.
    """
    pattern = re.sub(r"<[^>]*>", "*", path.rstrip("/"))
    here = folder.relative_to(ROOT).as_posix()
    patterns = [pattern, f"*/{pattern}", os.path.normpath(f"{here}/{pattern}")]
    return any(fnmatch.fnmatchcase(name, wanted) for name in files() | folders() for wanted in patterns)


@dataclass(frozen=True)
class Module:
    """The names that a module defines or imports, and the members of its classes."""

    names: frozenset[str]
    classes: dict[str, frozenset[str]]
    bases: dict[str, tuple[str, ...]]


def _assigned(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}


def _members(node: ast.ClassDef) -> set[str]:
    found = set()
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(item.name)
        else:
            found |= _assigned(item)
    stored = [item for item in ast.walk(node) if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store)]
    return found | {item.attr for item in stored if ast.unparse(item.value) == "self"}


def _module(tree: ast.Module) -> Module:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            names |= _assigned(node)
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return Module(
        frozenset(names),
        {node.name: frozenset(_members(node)) for node in classes},
        {node.name: tuple(ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases) for node in classes},
    )


@cache
def modules() -> dict[str, Module]:
    """Every module of the package, of the embedded AWS, of the functions and of the tests, by its dotted name."""
    found = {}
    for file in files():
        name = file.removeprefix("layers/latchkey/").removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        if file.endswith(".py"):
            found[name] = _module(ast.parse((ROOT / file).read_text()))
    return found


@cache
def _packages() -> frozenset[str]:
    names = {".".join(name.split(".")[:length]) for name in modules() for length in range(1, name.count(".") + 2)}
    return frozenset(names)


@cache
def _classes() -> dict[str, set[str]]:
    """The members of the classes of each name, with those of their bases."""
    own: dict[str, set[str]] = defaultdict(set)
    bases: dict[str, set[str]] = defaultdict(set)
    for module in modules().values():
        for name, members in module.classes.items():
            own[name] |= members
            bases[name] |= set(module.bases[name])

    def all_of(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        above = [all_of(base, seen | {name}) for base in bases.get(name, ()) if base not in seen]
        return own.get(name, set()).union(*above)

    return {name: all_of(name) for name in own}


ROOTS = {"latchkey", "local_aws", "tests", "functions"}
# `secret.value` is a path in a request, although modules of these names exist.
_REQUEST_MEMBERS = {"key", "resource", "secret"}
_EXTERNAL = re.compile(r".*\.(com|org|io|aws|cn|net|invalid)$")


def is_a_symbol(code: str) -> bool:
    """Whether a text between backticks reads as a Python name with its module or class, such as `module.function`."""
    name = code.partition("(")[0]
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name) or _EXTERNAL.match(name) or names_a_file(name):
        return False
    first, last = name.split(".")[0], name.split(".")[-1]
    is_member = first[0].isupper() and not first.isupper() and not last[0].isupper()
    return first in ROOTS or is_member or first in {module.rpartition(".")[2] for module in modules()} - _REQUEST_MEMBERS


def symbol_exists(code: str) -> bool:
    """Whether such a name is a module, a name in a module or a member of a class."""
    *path, last = code.partition("(")[0].split(".")
    dotted = ".".join([*path, last])
    if any(name == dotted or name.endswith(f".{dotted}") for name in _packages()):
        return True
    if path[-1] in _classes() and last in _classes()[path[-1]]:
        return len(path) == 1 or symbol_exists(".".join(path))
    holders = [name for name in modules() if name == ".".join(path) or name.endswith("." + ".".join(path))]
    return any(last in modules()[name].names for name in holders)


@cache
def words() -> frozenset[str]:
    """Every word of the sources other than Markdown."""
    texts = [(ROOT / file).read_text(errors="ignore") for file in files() if not file.endswith(".md")]
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))
