"""The type stubs (.pyi) of all installed packages."""

from experiments.data.sources._embedded import embedded, installed

SOURCE = embedded(
    lambda: [installed()],
    lambda name: name.endswith(".pyi"),
    "of installed packages; most are mypy's: pip install -e '.[dev]'",
    enters=lambda name: name != "__pycache__",
)
