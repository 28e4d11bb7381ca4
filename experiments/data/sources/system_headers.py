"""The C and C++ headers of this system's development packages, whatever they are."""

from pathlib import Path

from experiments.data.sources._embedded import embedded

SOURCE = embedded(
    lambda: [Path("/usr/include")],
    lambda name: name.endswith((".h", ".hpp", ".hh")),
    "of the system's development packages (libc6-dev)",
    enters=lambda name: True,
)
