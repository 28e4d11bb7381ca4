"""A config in, a record out: configs, data, the step, the trainer, sweeps and studies."""
