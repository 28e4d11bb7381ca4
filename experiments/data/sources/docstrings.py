"""The docstrings of the installed packages that Windtunnel depends on, without their code."""

from experiments.data.sources import _python
from experiments.data.sources._embedded import embedded, packages

SOURCE = embedded(
    packages,
    lambda name: name.endswith(".py"),
    "of the Python of jax, numpy, scipy, pandas, ...: pip install them as pinned in constraints/",
    text=_python.docstrings,
)
