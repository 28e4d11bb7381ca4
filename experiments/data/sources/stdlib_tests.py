"""The .py files of the tests of the interpreter's standard library."""

from experiments.data.sources._embedded import embedded, standard_library

SOURCE = embedded(
    lambda: [standard_library() / "test"],
    lambda name: name.endswith(".py"),
    "of the package test of CPython, which some systems install apart (libpython3-testsuite)",
    enters=lambda name: name != "__pycache__",
)
