"""A Python file in two: its docstrings, and the rest."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

Scope = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def docstrings(content: bytes) -> bytes:
    """The docstrings of a file, in order, with an empty line between them.

    Raises:
        ValueError: the file is no Python of this version (SyntaxError is one).
    """
    found = (ast.get_docstring(scope) for scope, _ in _documented(content))
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


def _documented(content: bytes) -> Iterator[tuple[Scope, ast.Expr]]:
    """Each scope with a docstring, and the statement that is the docstring."""
    try:
        with warnings.catch_warnings():  # of others' code
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except SyntaxError as error:
        raise ValueError(f"line {error.lineno}: {error.msg}") from error
    for scope in ast.walk(tree):
        if isinstance(scope, Scope) and scope.body and ast.get_docstring(scope) is not None:
            first = scope.body[0]
            assert isinstance(first, ast.Expr)
            yield scope, first
