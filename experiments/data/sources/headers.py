"""The C and C++ headers of all installed packages and of the system."""

from pathlib import Path

from experiments.data.sources._embedded import embedded, installed

SOURCE = embedded(
    lambda: [installed(), Path("/usr/include")],
    lambda name: name.endswith((".h", ".hpp", ".hh")),
    "of installed packages, and of the system's development packages (libc6-dev)",
    enters=lambda name: name != "__pycache__",
)
