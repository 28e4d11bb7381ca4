"""A Python file in two: its docstrings, and the rest."""

from __future__ import annotations

import ast
import inspect
import warnings
from collections import deque
from collections.abc import Iterator

Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (
    "body",
    "handlers",
    "cases",
    "orelse",
    "finalbody",
)  # as their nodes order them


def docstrings(content: bytes) -> bytes:
    """The docstrings of a file, in order, with an empty line between them.

    Raises:
        ValueError: the file is no Python of this version (SyntaxError is one).
    """
    found = (inspect.cleandoc(text) for text, _ in _documented(content))
    return "\n\n".join(text for text in found if text).encode()


def code(content: bytes) -> bytes:
    """The file without the lines of its docstrings. Raises a ValueError as `docstrings`."""
    lines = content.splitlines(keepends=True)
    for _, expression in _documented(content):
        assert expression.end_lineno is not None
        lines[expression.lineno - 1 : expression.end_lineno] = [b""] * (
            expression.end_lineno - expression.lineno + 1
        )
    return b"".join(lines)


def _documented(content: bytes) -> Iterator[tuple[str, ast.Expr]]:
    """Each docstring and its statement, outer scopes first.

    Statements alone are walked: an expression holds no scope with a docstring.
    """
    try:
        with warnings.catch_warnings():  # of others' code
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from error
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        for name in BLOCKS:
            waiting.extend(getattr(node, name, ()))
        if not isinstance(node, Scope) or not node.body:
            continue
        first = node.body[0]
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            yield first.value.value, first
