"""Which learning rate, second beta and weight decay suit a tiny model?

    windtunnel search lr_search --dry-run  # brackets, rungs, cost; trains nothing
    windtunnel search lr_search            # CPU, 2 free cores: about two minutes
    windtunnel search lr_search --sampler optuna --out runs/lr_optuna
    windtunnel search lr_search --set method=deepening --set R=81  # continues from R=27

Hyperband, R = 27 and eta = 3, over 49 candidates at random. Expected, validation loss in nats/byte
with the standard library of Python 3.11:

    learning rate  beta2  weight decay   40 steps  120 steps  360 steps  1080 steps
         0.008496   0.95       0.03384                 2.674      2.404       2.045
          0.01064   0.95       0.02055      2.958      2.675      2.379       2.057
          0.00443   0.95        0.2626                                        2.071
          0.01229   0.99        0.0261                            2.424       2.074
         0.007103   0.95        0.2889                            2.392       2.094
         0.003075   0.95       0.05906                                        2.129
          0.03738   0.95       0.03245                                        2.228
         0.001162   0.99       0.01964                                        2.331

Rates from 0.004 to 0.012 lie within 0.05 of one another, which one seed cannot tell apart; lower
and higher ones are plainly worse. The search trained 7.3 million tokens; starting promoted
candidates again would take 8.7 million, all candidates at R 27.1 million. CPU time: 210 s; on two
cores shared with other work it took 7 minutes.
"""

from __future__ import annotations

from experiments.config.optimizer import OptimizerConfig
from experiments.config.run import BatchConfig, BudgetConfig, EvaluationConfig, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.search.plan import Search
from experiments.search.space import Choice, LogUniform
from models.shapes import plain
from scaling.parametrization.parametrization import Parametrization

STEPS = 40  # of budget 1


def search() -> Search:
    """Hyperband over the settings that most affect AdamW at one size."""
    batch = BatchConfig(sequences=4, seq_len=128)
    base = RunConfig(
        Science(
            model=plain(32, layers=2, head_dim=8),
            parametrization=Parametrization("mup", base_width=32, base_head_dim=8),
            optimizer=OptimizerConfig(),
            schedule=ScheduleConfig(name="constant", warmup_fraction=0.25),
            batch=batch,
            budget=BudgetConfig(STEPS * batch.batch_tokens),
            evaluation=EvaluationConfig(windows=512),
        )
    )
    return Search(
        name="lr_search",
        question="Which learning rate, second beta and weight decay suit a tiny model?",
        base=base,
        space={
            "optimizer.learning_rate": LogUniform(1e-4, 0.3),
            "optimizer.beta2": Choice((0.95, 0.99)),
            "optimizer.weight_decay": LogUniform(0.01, 1.0),
        },
        R=27,
    )
