"""The descriptions of the packages that Windtunnel asks for: their METADATA, mostly readmes."""

from experiments.data.sources._embedded import embedded, requirements

SOURCE = embedded(
    requirements,
    lambda name: name == "METADATA",
    "of the packages in constraints/: pip install -e '.[dev]'",
    enters=lambda name: False,
)
