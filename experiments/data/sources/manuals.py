"""The manual pages of the system, in English, as their troff source."""

from pathlib import Path

from experiments.data.sources._embedded import embedded

SECTIONS = tuple(f"/usr/share/man/man{section}" for section in "12345678")

SOURCE = embedded(
    lambda: [Path(section) for section in SECTIONS],
    lambda name: True,
    "of the system's packages; minimal containers leave them out (man-db, manpages-dev)",
)
