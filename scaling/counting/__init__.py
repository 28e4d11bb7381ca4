"""Parameters, FLOPs and bytes of a model, by formula and from the traced program."""
