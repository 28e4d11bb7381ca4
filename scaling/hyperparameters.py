"""Published hyperparameter laws, and what they recommend for a run.

    h = coefficient * prod_k variable_k^exponent_k,   at most `highest`

Each is a frozen record that carries what its constants count, where they were fitted and by whom.
`recommend` says the values and warns outside that range; `rescale` moves a tuned value along a law
whose coefficient is not published, or does not hold in another setting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from scaling.errors import UserError, nearest
from scaling.laws.law import Convention, require


@dataclass(frozen=True)
class Power:
    """One hyperparameter as a power law of named variables. No coefficient: only the exponents
    were published."""

    coefficient: float | None
    exponents: Mapping[str, float]
    highest: float = math.inf


@dataclass(frozen=True)
class HyperparameterLaw:
    """A published law. `fitted_on` is the range of each variable behind it, where that is stated;
    `notes` say what else its use rests on."""

    name: str
    form: str
    powers: Mapping[str, Power]
    convention: Convention
    fitted_on: Mapping[str, tuple[float, float]]
    recipe: str
    source: str
    notes: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """What must be known to use it."""
        return tuple(
            dict.fromkeys(name for each in self.powers.values() for name in each.exponents)
        )


@dataclass(frozen=True)
class Recommendation:
    """Values by hyperparameter, with the law that they come from and what limits their worth."""

    law: HyperparameterLaw
    variables: Mapping[str, float]
    values: Mapping[str, float]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{name} = {value:.4g}" for name, value in self.values.items()]
        lines += [f"{self.law.form}; {self.law.source}", *self.warnings]
        return "\n".join(lines)


def recommend(name: str, /, **variables: float) -> Recommendation:
    """What the law `name` says at these variables, such as
    recommend("steplaw2025", params_nonembedding=1e9, tokens=1e11)."""
    law = by_name(name)
    bare = [hyper for hyper, power in law.powers.items() if power.coefficient is None]
    if bare:
        raise UserError(
            f"{name}: only the exponents of {', '.join(bare)} are published; tune one run and use "
            f"rescale('{name}', '{bare[0]}', value, ...)"
        )
    require(law.variables, variables, f"variables of '{name}'")
    for variable, value in variables.items():
        _positive(variable, value)
    values = {}
    for hyper, power in law.powers.items():
        assert power.coefficient is not None
        log = sum(p * math.log(variables[variable]) for variable, p in power.exponents.items())
        values[hyper] = min(power.highest, power.coefficient * math.exp(log))
    return Recommendation(law, dict(variables), values, (*_outside(law, variables), *law.notes))


def rescale(name: str, hyper: str, value: float, /, **ratios: float) -> float:
    """A tuned value moved along a law: value * prod_k ratio_k^exponent_k. A ratio is the new
    variable over the one at which `value` was tuned; a variable left out stays the same.

    rescale("bjorck2024", "lr", 3e-4, tokens=10) is the learning rate for ten times the tokens.
    """
    law = by_name(name)
    if hyper not in law.powers:
        raise UserError(f"{name} has no law of '{hyper}': {nearest(hyper, law.powers)}")
    exponents = law.powers[hyper].exponents
    _positive(hyper, value)
    for variable, ratio in ratios.items():
        if variable not in exponents:
            raise UserError(
                f"{name}: '{hyper}' does not depend on '{variable}'; {nearest(variable, exponents)}"
            )
        _positive(variable, ratio)
        value *= ratio ** exponents[variable]
    return min(law.powers[hyper].highest, value)


def by_name(name: str) -> HyperparameterLaw:
    """One published law."""
    if name not in HYPERPARAMETER_LAWS:
        raise UserError(
            f"unknown hyperparameter law '{name}': {nearest(name, HYPERPARAMETER_LAWS)}"
        )
    return HYPERPARAMETER_LAWS[name]


def deepseek_flops_per_token(layers: float, width: float, seq_len: float) -> float:
    """M = 72 L d^2 + 12 L d T: training FLOPs per token without embeddings or head, attention
    included. DeepSeek's C is M times tokens. Source: Bi et al. 2024, arXiv 2401.02954."""
    return 72 * layers * width**2 + 12 * layers * width * seq_len


def adamw_timescale(lr: float, weight_decay: float, batch_tokens: float, tokens: float) -> float:
    """tau = B / (eta lambda D): how long AdamW remembers, as a share of the run, for weight decay
    that is multiplied by the learning rate. Source: Wang & Aitchison 2024; Bergsma et al. 2025."""
    return batch_tokens / (lr * weight_decay * tokens)


def weight_decay_at(timescale: float, lr: float, batch_tokens: float, tokens: float) -> float:
    """lambda = B / (eta D tau), the inverse of `adamw_timescale`. Bergsma et al. 2025 (Power Lines)
    find tau = 0.21 best at 610M parameters and 20 tokens per parameter, for batches of 63 to 2016
    sequences, and falling with tokens per parameter to a power between -0.529 and -0.507."""
    return batch_tokens / (lr * tokens * timescale)


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{name}={value!r}: must be finite and positive")


def _outside(law: HyperparameterLaw, variables: Mapping[str, float]) -> tuple[str, ...]:
    warnings = []
    for name, value in variables.items():
        if name not in law.fitted_on:
            warnings.append(f"{law.name}: the range of {name} that it was fitted on is not stated")
            continue
        low, high = law.fitted_on[name]
        if not low <= value <= high:
            away = high if value > high else low
            ratio = max(value / away, away / value)
            warnings.append(
                f"{law.name}: {name}={value:.3g} is {ratio:.3g} times outside the range it was "
                f"fitted on, {low:.3g} to {high:.3g}"
            )
    return tuple(warnings)


_NONEMBEDDING = "non-embedding parameters (params_nonembedding)"
_BATCH = "batch_tokens in tokens"

HYPERPARAMETER_LAWS: Mapping[str, HyperparameterLaw] = MappingProxyType(
    {
        law.name: law
        for law in (
            HyperparameterLaw(
                name="steplaw2025",
                form="lr = 1.79 N^-0.713 D^0.307; batch = 0.58 D^0.571",
                powers={
                    "lr": Power(1.79, {"params_nonembedding": -0.713, "tokens": 0.307}),
                    "batch_tokens": Power(0.58, {"tokens": 0.571}),
                },
                convention=Convention(
                    params=f"{_NONEMBEDDING}, layers * width * (4 width + 3 ffn)",
                    tokens=f"training tokens; {_BATCH}",
                    loss="smoothed training loss, nats/token",
                ),
                fitted_on={"params_nonembedding": (2.1e8, 1.08e9), "tokens": (4e9, 1e11)},
                recipe="a line through the runs within 0.25 % of the best of each cell, mean of "
                "1000 bootstraps; cosine to a fixed least lr of 1e-5",
                source="Li et al. 2025, arXiv 2503.04715",
                notes=(
                    "steplaw2025: the released table and recipe do not give these exponents "
                    "(lr = 77.7 N^-0.766 D^0.197 there), though the rule costs 0.1 % on it",
                ),
            ),
            HyperparameterLaw(
                name="deepseek2024",
                form="lr = 0.3118 C^-0.1250; batch = 0.2920 C^0.3271",
                powers={
                    "lr": Power(0.3118, {"flops_nonembedding": -0.1250}),
                    "batch_tokens": Power(0.2920, {"flops_nonembedding": 0.3271}),
                },
                convention=Convention(
                    params="not a variable: C = M D, M = deepseek_flops_per_token, not 6ND",
                    tokens=f"training tokens; {_BATCH}",
                    loss="bits/byte",
                ),
                fitted_on={"flops_nonembedding": (1e17, 2e19)},
                recipe="runs within 0.25 % of the best of each budget",
                source="Bi et al. 2024, arXiv 2401.02954",
            ),
            HyperparameterLaw(
                name="minicpm2024",
                form="batch = 1.21e9 / L^6.24",
                powers={"batch_tokens": Power(1.21e9, {"loss": -6.24})},
                convention=Convention(
                    params="not a variable; fitted at 9M, 30M and 170M non-embedding parameters",
                    tokens=_BATCH,
                    loss="nats/token on C4",
                ),
                fitted_on={},
                recipe="parabolas through points of equal loss, their minima joined",
                source="Hu et al. 2024, arXiv 2404.06395",
            ),
            HyperparameterLaw(
                name="olmo_ladder2024",
                form="lr = 0.0047 (N / 1.08e8)^(-1/3); batch = 2048 * 160 (N / 1.08e8)^(2/3)",
                powers={
                    "lr": Power(0.0047 * 1.08e8 ** (1 / 3), {"params_nonembedding": -1 / 3}),
                    "batch_tokens": Power(
                        2048 * 160 * 1.08e8 ** (-2 / 3), {"params_nonembedding": 2 / 3}
                    ),
                },
                convention=Convention(params=_NONEMBEDDING, tokens=_BATCH, loss="not a variable"),
                fitted_on={},
                recipe="the rule of the model ladder, in its code",
                source="Bhagia et al. 2024, arXiv 2412.04403; OLMo-core and OLMo-ladder",
            ),
            HyperparameterLaw(
                name="power_scheduler2024",
                form="lr(n) = min(0.02, 4 beta n^-0.51)",
                powers={"lr": Power(4.0, {"batch_seqs": 1.0, "tokens_seen": -0.51}, highest=0.02)},
                convention=Convention(
                    params="not a variable, under muP",
                    tokens="n = tokens_seen so far, beta = batch_seqs in sequences",
                    loss="not a variable",
                ),
                fitted_on={},
                recipe="a schedule, not a peak: the lr at n tokens, before a short final decay",
                source="Shen et al. 2024, arXiv 2408.13359; coefficient and cap as third-party "
                "code has them",
                notes=(
                    "power_scheduler2024: that beta counts sequences is inferred (in tokens the "
                    "lr would exceed 10), and the coefficient then hides their length",
                ),
            ),
            HyperparameterLaw(
                name="bjorck2024",
                form="lr ~ D^-0.32 at fixed size and batch",
                powers={"lr": Power(None, {"tokens": -0.32})},
                convention=Convention(
                    params="held fixed",
                    tokens="training tokens; batch held fixed",
                    loss="not a variable",
                ),
                fitted_on={},
                recipe="lr sweeps over token horizons",
                source="Bjorck et al. 2024",
                notes=("bjorck2024: Step Law has lr rise with D, for its batch rises too",),
            ),
            HyperparameterLaw(
                name="power_lines2025",
                form="batch ~ D^0.383",
                powers={"batch_tokens": Power(None, {"tokens": 0.383})},
                convention=Convention(
                    params="not a variable", tokens="training tokens", loss="not a variable"
                ),
                fitted_on={},
                recipe="the batch of least loss; see also weight_decay_at",
                source="Bergsma et al. 2025, exponent as nanochat's log quotes it",
            ),
            HyperparameterLaw(
                name="kaplan2020",
                form="batch = 2.0e6 C_min^0.24",
                powers={"batch_tokens": Power(2.0e6, {"pf_days_min": 0.24})},
                convention=Convention(
                    params="not a variable: C_min = 6 N_nonembedding B S / (1 + B / B_crit), "
                    "in PF-days of 8.64e19 FLOPs",
                    tokens=_BATCH,
                    loss="nats/token on WebText2",
                ),
                fitted_on={},
                recipe="compute-optimal allocation at the critical batch size",
                source="Kaplan et al. 2020, arXiv 2001.08361",
            ),
        )
    }
)
