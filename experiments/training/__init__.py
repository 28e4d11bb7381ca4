"""The training of one or several runs: step, objective, schedule, optimizers, layouts."""
