"""The C and C++ headers of Python and of packages that Windtunnel depends on."""

import sysconfig
from pathlib import Path

from experiments.data.sources._embedded import embedded, package

PACKAGES = ("jaxlib", "numpy", "pyarrow", "scipy")

SOURCE = embedded(
    lambda: [Path(sysconfig.get_path("include")), *(p for name in PACKAGES for p in package(name))],
    lambda name: name.endswith((".h", ".hpp", ".hh")),
    "most are pyarrow's and those of Python (python3-dev): pip install -e '.[text]'",
    enters=lambda name: name not in ("__pycache__", "site"),  # headers of any other package
)
