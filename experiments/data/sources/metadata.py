"""The descriptions of all installed packages: their METADATA files, most of it their readmes."""

from experiments.data.sources._embedded import embedded, installed

SOURCE = embedded(
    lambda: [installed()],
    lambda name: name in ("METADATA", "PKG-INFO"),
    "of installed packages: pip install -e '.[dev]'",
    enters=lambda name: name.endswith((".dist-info", ".egg-info")),
)
