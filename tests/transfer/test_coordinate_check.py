"""muP keeps the size of activations over width, CompleteP over depth; every table its theory.

By default muP and SP are trained; test_mistakes.py checks the rules of all tables over both axes.

Slopes here are measured by training: widths 64 and 256, depths 4 and 16. A size halfway has no
weight in a slope. All tables of one family of updates are numbers in one program. Mistakes and
their names are in test_mistakes.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import pandas as pd
import pytest
from faulty import Variant, config, faulty, tables

from analysis.estimators.coordinate_check import CoordinateCheck, check
from experiments.config.overrides import override
from models.module import Spec
from models.transformer import weights
from scaling.common import plugins
from scaling.machines.program import PLAIN
from scaling.parametrization.theory import RANDOM_SUMS
from scaling.parametrization.weight import Weight

WIDTHS = (64, 256)
KEPT = 0.1  # |slope| of what keeps its size, after a few steps from zero
FROM_ZERO: Variant = {"keep_query": 0.0, "keep_readout": 0.0}
# What turns muP into SP, by exponents of m
SP: Variant = {
    "hidden_rate": 1.0,
    "readout_multiplier": 1.0,
    "readout_init": -0.5,
    "attention": 0.5,
    "epsilon": 1.0,
}
LARGE_EPSILON: Variant = {
    "adam_epsilon": 1e-2
}  # as large as the gradients, or it is not to be seen
FAIR: dict[str, Variant] = {"mup": FROM_ZERO, "sp": SP | FROM_ZERO}
# The other tables, each at a rate that moves its features as far as muP's; of their slopes those
# that are not 0 in theory, by place and quantity
OTHERS: dict[str, Variant] = {
    "lingle_relative": FROM_ZERO | {"learning_rate": 2.0**-5},
    "lingle_absolute": FROM_ZERO | {"learning_rate": 2.0**-2},
    "umup": FROM_ZERO | {"learning_rate": 1.0},
    "ntk": {"learning_rate": 2.0**-6},
}
SLOPES: dict[str, dict[tuple[str, str], float]] = {
    "lingle_relative": {},
    "lingle_absolute": {},
    "umup": {("embedded", "change"): -0.5},  # the embedding's rate is d^-1/2
    "ntk": {  # q.k / sqrt(d) of aligned q and k; at the start they are not
        ("attention/logits", "size"): 0.5,
        ("attention/logits", "change"): 0.5,
    },
}
SLOW: Variant = {"learning_rate": 2.0**-7}
DEEP: dict[str, Variant] = {
    "completep": SLOW,
    "depth_mup": SLOW | {"name": "depth_mup"},
    "residual multiplier": SLOW | {"branch": 1.0},  # which is muP
    "learning rate in the blocks": SLOW | {"block_rate": 0.5},
}


def verdicts(
    base: Any, variants: dict[str, Variant], seeds: int, steps: int, **sizes: Any
) -> dict[str, CoordinateCheck]:
    measured = tables(base, list(variants.values()), seeds, steps, **sizes)
    frames = [pd.DataFrame([vars(row) for row in table]) for table in measured]
    return {name: check(frame) for name, frame in zip(variants, frames, strict=True)}


@pytest.fixture(scope="module")
def fair() -> dict[str, CoordinateCheck]:
    """From a readout and a query of zero, so that no random start hides what training does."""
    return verdicts(config(embedding_norm="none"), FAIR, 6, 8, width=WIDTHS)


@pytest.fixture(scope="module")
def others() -> dict[str, CoordinateCheck]:
    named = {name: {**variant, "name": name} for name, variant in OTHERS.items()}
    return verdicts(config(embedding_norm="none"), named, 6, 8, width=WIDTHS)


@pytest.fixture(scope="module")
def sgd() -> dict[str, CoordinateCheck]:
    """With the rates of SGD, and with those of Adam for the hidden matrices."""
    base = override(config(embedding_norm="none"), ["optimizer.name=sgd"])
    own = FROM_ZERO | {"learning_rate": 0.5}
    return verdicts(base, {"own": own, "adam": own | {"hidden_rate": -1.0}}, 6, 8, width=WIDTHS)


@pytest.fixture(scope="module")
def deep() -> dict[str, CoordinateCheck]:
    return verdicts(
        config("completep", heads=2, kv_heads=2, head_dim=16), DEEP, 3, 4, layers=(4, 16)
    )


def last(verdict: CoordinateCheck) -> pd.DataFrame:
    """The slopes after the last step."""
    slopes: pd.DataFrame = verdict.slopes
    return slopes[slopes["step"] == slopes["step"].max()]


def worst(verdict: CoordinateCheck) -> pd.DataFrame:
    """The slopes that are not kept; a sum that starts at random may still shrink like the root."""
    slopes, all_steps = last(verdict), verdict.slopes
    starts = set(all_steps.loc[all_steps["step"] == 0, "place"]) & set(RANDOM_SUMS)
    low = -KEPT - 0.5 * slopes["place"].isin(starts)
    kept = slopes["slope"].between(low, KEPT)
    return slopes[~kept][["place", "layer", "quantity", "slope"]]


def test_mup_keeps_every_activation_and_its_change_at_one_size(
    fair: dict[str, CoordinateCheck],
) -> None:
    """The largest |slope| is 0.07, of the attention logits, whose seeds differ most."""
    verdict = fair["mup"]
    assert verdict.passes
    assert last(verdict)["slope"].abs().max() < KEPT, worst(verdict)
    assert set(last(verdict)["place"]) >= {"embedded", "attention/logits", "stream", "logits"}
    assert verdict.broken == ()


def test_sp_does_not(fair: dict[str, CoordinateCheck]) -> None:
    slopes = last(fair["sp"]).groupby("place")["slope"].max()
    for place in ("attention/query", "attention/logits", "mlp/in", "stream", "logits"):
        assert slopes[place] > 0.3, slopes


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_each_other_table_has_its_slopes(others: dict[str, CoordinateCheck], name: str) -> None:
    """Within 1/4: a power of the root of the width too many or too few is 1/2. What starts at zero
    or from few tokens comes to its power from below, and is worst: -0.22, the attention logits."""
    for _, row in last(others[name]).iterrows():
        expected = SLOPES[name].get((row["place"], row["quantity"]), 0.0)
        assert row["slope"] == pytest.approx(expected, abs=0.25), row
        if row["place"] in ("embedded", "stream", "logits") and expected == 0:
            assert abs(row["slope"]) < 0.2, row


@pytest.mark.slow
def test_ntk_starts_as_sp_does(others: dict[str, CoordinateCheck]) -> None:
    """So its logits do not shrink with the width at first, as a random sum over m would."""
    slopes = others["ntk"].slopes
    start = slopes[(slopes["step"] == 0) & (slopes["quantity"] == "size")].set_index("place")
    assert abs(start.loc["logits", "slope"]) < 0.1
    assert abs(start.loc["attention/logits", "slope"]) < 0.1
    assert others["ntk"].broken == ()


@pytest.mark.slow
def test_sgd_has_rates_of_its_own(sgd: dict[str, CoordinateCheck]) -> None:
    """1 / m^0 for hidden matrices and m elsewhere, clipped by a norm that knows them; with Adam's
    1/m queries shrink."""
    slopes = last(sgd["own"])["slope"]
    assert slopes.abs().max() < 0.2, worst(sgd["own"])
    assert sgd["own"].broken == ()
    adam = last(sgd["adam"]).set_index("place")["slope"]
    assert adam["attention/query"].max() < -0.5
    assert sgd["adam"].broken == ("hidden learning rate",)


@pytest.mark.slow
def test_muon_has_a_rate_of_its_own() -> None:
    """m^-1/2 for hidden matrices; the largest |slope| is 0.08. With Adam's 1/m queries shrink."""
    quick = FROM_ZERO | {"learning_rate": 2.0**-5}
    base = override(config(embedding_norm="none"), ["optimizer.name=muon"])
    found = verdicts(
        base, {"own": quick, "adam": quick | {"hidden_rate": -0.5}}, 3, 6, width=WIDTHS
    )
    assert found["own"].passes
    assert worst(found["own"]).empty, worst(found["own"])
    adam = last(found["adam"]).set_index("place")["slope"]
    assert adam["attention/query"].max() == pytest.approx(-0.5, abs=0.1)


ROUTED: dict[str, dict[str, Any]] = {
    "experts": {"capacity_factor": 2.0},
    "recurrent": {"capacity_factor": 2.0, "router": "recurrent", "layers": 2},
    "zero_computation": {
        "capacity_factor": 4.0,
        "router": "gating_residual",
        "pattern": ("attention+zero_computation:constant=1",),
        "experts_active": 4,  # of 7 of which 3 cost nothing, so that no slot's expert is left
        "layers": 2,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROUTED)
def test_mup_keeps_experts_and_the_logits_of_their_router(name: str) -> None:
    """No capacity is full. Places of attention are those of any model: the test below has them."""
    base = config(embedding_norm="none", experts=4, **ROUTED[name])
    found = verdicts(base, {"own": FROM_ZERO}, 6, 4, width=(64, 256))["own"]
    assert set(last(found)["place"]) >= {"mlp/router", "mlp/experts/in", "mlp/experts/out"}
    assert found.passes
    rest = worst(found)[~worst(found)["place"].str.startswith("attention/")]
    assert rest.empty, rest


@pytest.mark.slow
@pytest.mark.parametrize("recursion", ["token_choice", "expert_choice"])
def test_mup_keeps_recursions(recursion: str) -> None:
    """Places in a last recursion that a guess leaves without tokens have no slope."""
    base = config(embedding_norm="none", layers=3, sharing="cycle", recursion=recursion)
    base = replace(base, execution=replace(base.execution, program=PLAIN))
    found = verdicts(base, {"own": FROM_ZERO}, 6, 4, width=(64, 256))["own"]
    assert found.passes
    rest = worst(found)[~worst(found)["place"].str.startswith("attention/")].dropna()
    assert rest.empty, rest


@pytest.mark.slow
def test_mup_keeps_matrices_of_low_rank_and_sparse_ones() -> None:
    base = config(embedding_norm="none", weights="low_rank_sparse", weights_density=0.1)
    found = verdicts(base, {"own": FROM_ZERO}, 6, 8, width=(64, 256))["own"]
    assert found.passes
    assert worst(found).empty, worst(found)


@pytest.mark.slow
@pytest.mark.parametrize("mixer", plugins.names("models.mixers"))
def test_mup_keeps_every_mixer(mixer: str) -> None:
    """After 8 steps, as queries that start at zero need some: the test below.

    Routers start at zero too: of random logits the highest are above 0 by m^-1/2, and so are the
    gates of SwitchHead above 1/2. At widths 64 and 256 its output starts with a slope of -0.17, of
    which routers from zero leave -0.02 at 128 and 512.
    """
    base = config(embedding_norm="none", pattern=(mixer,))
    widths = (128, 512) if mixer == "switch_head" else WIDTHS
    found = verdicts(base, {"own": FROM_ZERO | {"keep_router": 0.0}}, 6, 8, width=widths)["own"]
    assert {place.partition("/")[0] for place in last(found)["place"]} >= {mixer, "mlp", "stream"}
    assert found.passes
    assert worst(found).empty, worst(found)


@pytest.mark.slow
def test_wide_queries_from_zero_are_smaller_for_a_few_steps_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A finite-width effect: the slope of 24 seeds after 3 steps is -0.20 over widths 16 and 64,
    -0.10 over 64 and 256; after 8 steps it is -0.02, with a standard error of 0.02."""
    base = config(embedding_norm="none")
    slopes = verdicts(base, {"own": FROM_ZERO}, 24, 8, width=WIDTHS)["own"].slopes
    of_query = (slopes["place"] == "attention/query") & (slopes["quantity"] == "change")
    found = slopes[of_query].set_index("step")[["slope", "low", "high"]]
    with capsys.disabled():
        print(found.round(3).to_string())
    assert found.loc[3, "high"] < 0
    assert found.loc[8, ["low", "high"]].abs().max() < KEPT


def test_these_mistakes_make_mup_sp() -> None:
    assert_equal("mup", SP, "sp")


def test_these_mistakes_make_completep_depth_mup_and_mup() -> None:
    assert_equal("completep", {"branch": 0.5, "block_rate": -0.5}, "depth_mup")
    assert_equal("completep", {"branch": 1.0}, "mup")


def assert_equal(base: str, faults: Variant, name: Any) -> None:
    """A table with faults is another table; without epsilon and decay, which play no part here."""
    parametrization = config(base).science.parametrization
    shape = config(base, width=128, layers=3).science.model
    mistaken = faulty(parametrization, faults)
    other = replace(parametrization, name=name)
    for weight in jax.tree.leaves(
        weights(Spec(shape), 4), is_leaf=lambda leaf: isinstance(leaf, Weight)
    ):
        found, expected = mistaken.rule(weight, shape), other.rule(weight, shape)
        for part in ("init_std", "multiplier", "learning_rate"):
            assert float(getattr(found, part)) == pytest.approx(getattr(expected, part)), weight
    assert mistaken.attention_factor(64) == pytest.approx(other.attention_factor(64))
    assert mistaken.residual_factor(shape) == pytest.approx(other.residual_factor(shape))


@pytest.mark.slow
def test_completep_keeps_every_activation_over_depth(deep: dict[str, CoordinateCheck]) -> None:
    verdict = deep["completep"]
    assert verdict.axis == "layers"
    assert verdict.passes
    assert worst(verdict).empty, worst(verdict)
    assert verdict.broken == ()


@pytest.mark.slow
def test_depth_mup_keeps_the_stream_and_its_blocks_move_less(
    deep: dict[str, CoordinateCheck],
) -> None:
    """Its branches are r^-1/2 and so are the changes within them: nothing grows, blocks go lazy."""
    verdict = deep["depth_mup"]
    slopes = last(verdict).set_index(["place", "quantity"])["slope"]
    assert slopes[["embedded", "stream", "logits"]].abs().max() < KEPT, slopes
    assert slopes.max() < KEPT, slopes
    assert (
        slopes["mlp/out", "change"]
        < last(deep["completep"]).set_index(["place", "quantity"])["slope"]["mlp/out", "change"]
    )
    assert verdict.broken == ()


@pytest.mark.slow
def test_without_the_depth_rule_the_stream_grows(deep: dict[str, CoordinateCheck]) -> None:
    stream = last(deep["residual multiplier"]).set_index(["place", "quantity"])["slope"]
    assert stream["stream", "size"] > 0.3
    assert not deep["residual multiplier"].passes
