"""The type stubs (.pyi) of mypy, jedi and the packages that Windtunnel depends on."""

from experiments.data.sources._embedded import embedded, package, packages

SOURCE = embedded(
    lambda: [*package("mypy"), *package("jedi"), *packages()],
    lambda name: name.endswith(".pyi"),
    "most are jedi's, for Django, and mypy's: pip install -e '.[dev]'",
    enters=lambda name: name != "__pycache__",
)
