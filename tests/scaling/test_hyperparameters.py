from __future__ import annotations

import json
import math

import pytest

from scaling.common.errors import UserError
from scaling.common.files import line
from scaling.hyperparameters.derived_variables import WAYS
from scaling.hyperparameters.given import GIVEN
from scaling.hyperparameters.law import (
    QUANTITIES,
    Advice,
    Batch,
    Confidence,
    Experts,
    HyperparameterLaw,
    Power,
    Range,
)
from scaling.hyperparameters.law_file import from_law, parse, to_law
from scaling.hyperparameters.published import HYPERPARAMETER_LAWS, by_name
from scaling.hyperparameters.published.deepseek import deepseek_flops_per_token
from scaling.hyperparameters.recommendation import (
    own_batch,
    recommend,
    side_by_side,
    spread,
)
from scaling.laws import Convention

# each worked out by hand from the printed formula; no constant that is only recalled
VALUES = [
    ("steplaw2025", {"params_nonembedding": 1e9, "tokens": 1e11}, "lr", 1.6325e-3),
    ("steplaw2025", {"params_nonembedding": 1e9, "tokens": 1e11}, "batch_tokens", 1.1077e6),
    ("deepseek2024", {"flops_nonembedding": 1e19}, "lr", 1.3146e-3),
    ("deepseek2024", {"flops_nonembedding": 1e19}, "batch_tokens", 4.7886e5),
    ("minicpm2024", {"loss_c4": 3.0}, "batch_tokens", 1.2751e6),
    ("minicpm2024", {"loss_c4": 3.0}, "lr_mup", 0.01),
    ("olmo_ladder2024", {"params_nonembedding": 1.08e8}, "lr", 0.0047),
    ("olmo_ladder2024", {"params_nonembedding": 8 * 1.08e8}, "lr", 0.00235),
    ("olmo_ladder2024", {"params_nonembedding": 8 * 1.08e8}, "batch_tokens", 4 * 327680),
    # the released ladder peaks at a quarter of the rule, its sequences being of 4096
    ("olmo_ladder2024", {"params_nonembedding": 190354176}, "lr", 4 * 9.72728518721015e-4),
    ("power_scheduler2024", {"batch_seqs": 1024, "tokens_seen": 1e12}, "lr_mup", 3.107e-3),
    ("power_scheduler2024", {"batch_seqs": 1024, "tokens_seen": 1e9}, "lr_mup", 0.02),
    # 93.20 N^0.468 sequences of 512 at 1.2B parameters, N in millions, D = 20 N
    ("zhang2024", {"tokens": 20 * 1.2e9}, "batch_critical", 93.196814 * 1200**0.46827823 * 512),
    (
        "bjorck2024",
        {"tuned_lr": 3e-4, "tuned_tokens": 1e10, "tokens": 1e11},
        "lr",
        3e-4 * 10**-0.32,
    ),
    (
        "adamw_timescale2024",
        {
            "tuned_weight_decay": 0.1, "tuned_batch_tokens": 5e5, "tuned_lr": 1e-3,
            "tuned_tokens": 1e10, "batch_tokens": 1e6, "lr": 5e-4, "tokens": 1e11,
        },
        "weight_decay",
        0.1 * 2 * 2 / 10,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "variables", "quantity", "value"), VALUES)
def test_recommendations(name: str, variables: dict[str, float], quantity: str, value: float):
    found = recommend(by_name(name), **variables)
    assert found.values[quantity] == pytest.approx(value, rel=1e-3)


def test_kaplans_critical_batch_is_that_of_the_law_of_the_loss():
    found = recommend(by_name("kaplan2020"), params_nonembedding=1e9, loss_webtext2=2.5)
    assert found.values["batch_critical"] == pytest.approx(2e8 / 2.5 ** (1 / 0.21))


def test_power_lines_weight_decay_has_the_published_timescale():
    """tau = 0.21 at 610M parameters and 20 tokens each, at every batch."""
    tokens = 20 * 610e6
    for batch in (63 * 2048.0, 2016 * 2048.0):
        said = recommend(
            by_name("power_lines2025"),
            batch_tokens=batch, lr=2e-3, tokens=tokens, tokens_per_param=20,
        ).values["weight_decay"]  # fmt: skip
        assert batch / (2e-3 * said * tokens) == pytest.approx(0.21)


def test_every_law_says_where_it_comes_from():
    for name, law in HYPERPARAMETER_LAWS.items():
        assert law.name == name
        assert law.source and law.recipe and law.schedule and law.convention.tokens
        assert set(law.rules) <= set(QUANTITIES)
        for variable in law.variables:
            assert variable in GIVEN or variable in WAYS


def test_inside_its_range_a_law_is_not_warned_about():
    deepseek, steplaw = by_name("deepseek2024"), by_name("steplaw2025")
    assert recommend(deepseek, flops_nonembedding=1e18).warnings == ()
    outside = recommend(deepseek, flops_nonembedding=2e22)
    assert any("1e+03 times outside" in text for text in outside.warnings)
    below = recommend(steplaw, params_nonembedding=2.1e7, tokens=1e10)
    assert any("params_nonembedding=2.1e+07 is 10 times outside" in t for t in below.warnings)
    edge = recommend(steplaw, params_nonembedding=2.1e8 * (1 - 1e-12), tokens=1e11)
    assert edge.warnings == ()
    (reach,) = outside.advice[0].reach
    assert (reach.range, reach.factor) == (Range.OUTSIDE, pytest.approx(1000))


def test_an_unstated_range_and_recalled_constants_are_said():
    minicpm = recommend(by_name("minicpm2024"), loss_c4=3.0)
    assert any("loss_c4 that it was fitted on is not stated" in text for text in minicpm.warnings)
    kaplan = recommend(by_name("kaplan2020"), params_nonembedding=1e9, loss_webtext2=2.5)
    assert any("recalled" in text for text in kaplan.warnings)


def test_the_text_carries_source_and_warnings():
    text = str(recommend(by_name("steplaw2025"), params_nonembedding=7e9, tokens=2e12))
    assert "arXiv 2503.04715" in text and "times outside" in text and "lr = " in text


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: by_name("step_law"), "unknown hyperparameter law 'step_law'"),
        (
            lambda: recommend(by_name("steplaw2025"), tokens=1e10),
            "'params_nonembedding' is missing",
        ),
        (
            lambda: recommend(by_name("steplaw2025"), params_total=1e9, tokens=1e10),
            "unknown 'params_total'; did you mean 'params_nonembedding'",
        ),
        (
            lambda: recommend(by_name("minicpm2024"), loss_c4=0.0),
            "loss_c4=0.0: must be finite and positive",
        ),
    ],
)
def test_mistakes_are_named(call: object, match: str):
    with pytest.raises(UserError, match=match):
        call()  # type: ignore[operator]


def test_bjorck_and_step_law_disagree_in_sign_and_say_so():
    bjorck, steplaw = by_name("bjorck2024"), by_name("steplaw2025")
    assert bjorck.powers["lr"].exponents["tokens"] < 0 < steplaw.powers["lr"].exponents["tokens"]
    assert any("Step Law" in text for text in bjorck.notes)
    assert (bjorck.batch, steplaw.batch) == (Batch.FIXED, Batch.OWN)


def test_deepseek_counts_attention():
    assert deepseek_flops_per_token(24, 1024, 2048) == 72 * 24 * 1024**2 + 12 * 24 * 1024 * 2048


# --- side by side ---


def ask(**values: float) -> dict[tuple[str, str], Advice]:
    found = side_by_side(
        HYPERPARAMETER_LAWS.values(), {"params_total": 1e9, "tokens": 1e11, **values}
    )
    return {(each.law.name, each.quantity): each for each in found}


def test_every_rule_answers_or_says_what_it_needs():
    found = ask()
    assert len(found) == sum(len(law.rules) for law in HYPERPARAMETER_LAWS.values())
    for each in found.values():
        assert math.isfinite(each.value) != bool(each.missing)
    assert found["bjorck2024", "lr"].missing == "needs tuned_lr, tuned_tokens"
    assert found["power_scheduler2024", "lr_mup"].missing == "needs seq_len"


def test_what_was_not_given_is_made_and_said():
    plain = ask()
    assert plain["steplaw2025", "lr"].filled == (
        "params_nonembedding = 1e+09: embeddings included",
    )
    assert plain["deepseek2024", "lr"].variables["flops_nonembedding"] == 6e20
    exact = ask(params_nonembedding=9e8, layers=20, width=2048, seq_len=4096)
    assert exact["steplaw2025", "lr"].filled == ()
    per_token = deepseek_flops_per_token(20, 2048, 4096)
    assert exact["deepseek2024", "lr"].variables["flops_nonembedding"] == per_token * 1e11
    assert exact["deepseek2024", "lr"].filled == ()


def test_a_loss_is_predicted_by_the_law_of_its_own_corpus_or_taken():
    plain = ask(params_nonembedding=9e8)
    (c4,) = plain["minicpm2024", "batch_tokens"].filled
    (webtext,) = plain["kaplan2020", "batch_critical"].filled
    assert "muennighoff2023_c4" in c4 and "kaplan:kaplan2020" in webtext
    # E + A N^-a + B D^-a with the published ln E, ln A, ln B and a
    loss = math.exp(0.6254804) + sum(
        math.exp(log) * x**-0.3526596 for log, x in ((6.255414, 1e9), (7.3049974, 1e11))
    )
    assert plain["minicpm2024", "batch_tokens"].variables["loss_c4"] == pytest.approx(loss)
    taken = ask(loss=3.0)
    assert taken["minicpm2024", "batch_tokens"].value == pytest.approx(1.2751e6, rel=1e-3)


def test_weight_decay_takes_the_middle_of_the_laws_or_what_was_chosen():
    plain = ask()
    used = plain["power_lines2025", "weight_decay"].variables
    for quantity in ("lr", "batch_tokens"):
        middle = spread(plain.values(), quantity, tuple(Range))
        assert middle is not None and used[quantity] == pytest.approx(middle.mean)
    chosen = ask(lr=1e-3, batch_tokens=5e5)["power_lines2025", "weight_decay"]
    assert (chosen.variables["lr"], chosen.variables["batch_tokens"]) == (1e-3, 5e5)
    assert chosen.filled == ()


def test_the_spread_holds_checked_absolute_values_by_range():
    found = ask(tuned_lr=1.0, tuned_tokens=1e11)
    everything = spread(found.values(), "lr", tuple(Range))
    three = [found[name, "lr"].value for name in ("steplaw2025", "deepseek2024", "olmo_ladder2024")]
    assert everything is not None
    assert (everything.low, everything.high, everything.count) == (min(three), max(three), 3)
    assert everything.mean == pytest.approx(math.prod(three) ** (1 / 3))
    assert found["bjorck2024", "lr"].value == 1.0  # moved from a tuned run: shown, not counted
    inside = spread(found.values(), "lr", (Range.INSIDE,))
    assert inside is not None and inside.high == found["steplaw2025", "lr"].value
    assert spread(found.values(), "batch_critical", (Range.INSIDE,)) is None
    assert spread(found.values(), "lr_mup", tuple(Range)) is None


def test_of_a_mixture_of_experts_both_counts_stand_side_by_side():
    """Step Law's authors count all experts; the others fitted dense models, and are not covered."""
    dense, sparse = ask(), {"params_total": 1e9, "params_active": 3e8, "tokens": 1e11}
    for experts in (Experts.TOTAL, Experts.ACTIVE):
        size = {Experts.TOTAL: 1e9, Experts.ACTIVE: 3e8}[experts]
        found = side_by_side(HYPERPARAMETER_LAWS.values(), sparse, [experts])
        by = {(each.law.name, each.quantity): each for each in found}
        lr = by["steplaw2025", "lr"]
        assert lr.variables["params_nonembedding"] == size and lr.counted is experts
        assert (lr.range is Range.INSIDE) is (experts is Experts.TOTAL)
        olmo = by["olmo_ladder2024", "lr"]
        assert olmo.range is Range.OUTSIDE
        assert olmo.foreign == (
            f"mixture of experts: fitted on dense models, N is params_{experts}",
        )
        # compute is that of the active parameters by any count
        assert by["deepseek2024", "lr"].variables["flops_nonembedding"] == 6 * 3e8 * 1e11
        assert by["zhang2024", "batch_critical"] == dense["zhang2024", "batch_critical"]
    both = side_by_side(HYPERPARAMETER_LAWS.values(), sparse)
    counts = [(each.law.name, each.counted) for each in both if each.quantity == "lr"]
    assert counts.count(("steplaw2025", Experts.TOTAL)) == 1
    assert counts.count(("steplaw2025", Experts.ACTIVE)) == 1
    assert [name for name, _ in counts].count("deepseek2024") == 1


def test_the_count_of_experts_leaves_embeddings_and_own_laws_alone():
    sparse = {"params_total": 1e9, "params_active": 3e8, "tokens": 1e11}
    steplaw = by_name("steplaw2025")
    shaped = {**sparse, "params_nonembedding": 9e8}
    lr = side_by_side([steplaw], shaped, [Experts.ACTIVE])[0]
    assert lr.variables["params_nonembedding"] == pytest.approx(2e8)
    with pytest.raises(UserError, match="less than the embeddings alone"):
        side_by_side([steplaw], {**sparse, "params_nonembedding": 6e8})
    (own,) = side_by_side([OWN], shaped)
    assert own.variables["params_nonembedding"] == 9e8 and own.foreign == ()
    # all parameters active: a dense model
    assert side_by_side([steplaw], {**sparse, "params_active": 1e9})[0].foreign == ()


def test_a_learning_rate_that_turns_negative_is_no_value():
    huge = side_by_side([by_name("kaplan2020")], {"params_total": 1e11, "tokens": 1e12})
    (lr,) = (each for each in huge if each.quantity == "lr")
    assert lr.missing == "gives no lr here"


@pytest.mark.parametrize("extreme", [1e-300, 1e300])
@pytest.mark.parametrize("name", ["tokens", "loss", "width", "seq_len", "lr", "tuned_lr"])
def test_absurd_runs_get_values_or_none(name: str, extreme: float):
    others = dict.fromkeys(GIVEN, 1e3)
    for each in ask(**{**others, name: extreme}).values():
        assert each.missing or 0 < each.value < math.inf


def test_the_batch_that_a_learning_rate_goes_with():
    found = ask()
    steplaw = found["steplaw2025", "lr"]
    assert own_batch(steplaw, found.values()) == found["steplaw2025", "batch_tokens"].value
    assert own_batch(found["kaplan2020", "lr"], found.values()) is None


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"params_total": 1e9}, "'tokens' is missing: training tokens"),
        ({"params_total": -1e9, "tokens": 1e11}, "params_total=-1000000000.0: must be finite"),
        ({"params_total": math.nan, "tokens": 1e11}, "params_total=nan: must be finite"),
        ({"params_total": 1e9, "token": 1e11}, "unknown 'token': did you mean 'tokens'"),
        (
            {"params_total": 1e9, "tokens": 1e11, "params_nonembedding": 2e9},
            "params_nonembedding=2e.09 exceeds params_total=1e.09",
        ),
    ],
)
def test_nonsense_runs_are_named(values: dict[str, float], match: str):
    with pytest.raises(UserError, match=match):
        side_by_side(HYPERPARAMETER_LAWS.values(), values)


# --- a fitted law as plain data ---

OWN = HyperparameterLaw(
    name="mine",
    form="lr = 2 params_nonembedding^-0.700 tokens^0.300",
    rules={
        "lr": Power(
            2.0,
            {"params_nonembedding": -0.7, "tokens": 0.3},
            fitted_on={"params_nonembedding": (1e5, 1e7), "tokens": (1e7, 1e9)},
            confidence=Confidence.OWN,
        )
    },
    batch=Batch.OWN,
    schedule="linear to 0",
    convention=Convention(params="params_nonembedding", tokens="tokens", loss="nats/byte"),
    recipe="a bowl",
    source="own fit",
    notes=("few cells",),
    experts=Experts.OWN,
)


def test_a_law_survives_json():
    assert to_law(parse(line(from_law(OWN, {})).encode(), "law.json")) == OWN


def test_an_own_law_stands_beside_the_published_and_is_not_in_their_spread():
    values = {"params_total": 1e6, "tokens": 1e8}
    both = side_by_side([OWN, by_name("steplaw2025")], values)
    assert both[0].law is OWN and both[0].range is Range.INSIDE
    over = spread(both, "lr", tuple(Range))
    assert over is not None and over.count == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: [], "$: Expected `object`, got `array`"),
        (lambda d: {**d, "format": "fit"}, "$.format: Invalid value 'fit'"),
        (lambda d: {**d, "version": 2}, "$.version: Invalid enum value 2"),
        (lambda d: {**d, "name": 3}, "$.name: Expected `str`, got `int`"),
        (lambda d: {**d, "colour": "red"}, "$: Object contains unknown field `colour`"),
        (lambda d: {**d, "notes": "few"}, "$.notes: Expected `array`, got `str`"),
        (lambda d: {**d, "batch": "huge"}, "$.batch: Invalid enum value 'huge'"),
        (lambda d: {**d, "convention": {}}, "$.convention: Object missing required field `params`"),
        (lambda d: {**d, "rules": {}}, "$.rules: Expected `object` of length >= 1"),
        (lambda d: {**d, "rules": {"rate": d["rules"]["lr"]}}, "$: rules.rate: known: "),
        (lambda d: with_rule(d, coefficient=-2), "$.rules[...].coefficient: Expected `float` > 0"),
        (
            lambda d: with_rule(d, coefficient="2"),
            "rules[...].coefficient: Expected `float`, got",
        ),
        (
            lambda d: with_rule(d, exponents={"tokens": None}),
            ".exponents[...]: Expected `float`",
        ),
        (
            lambda d: with_rule(d, fitted_on={"tokens": [5]}),
            ".fitted_on[...]: Expected `array`",
        ),
        (lambda d: with_rule(d, fitted_on={"tokens": [5, 4]}), "give 0 < low <= high"),
    ],
)
def test_a_damaged_file_is_named(change, said: str):
    data = change(json.loads(line(from_law(OWN, {}))))
    with pytest.raises(UserError) as caught:
        parse(json.dumps(data).encode(), "law.json")
    assert str(caught.value).startswith("law.json: $") and said in str(caught.value)
    assert "\n" not in str(caught.value)


def with_rule(data, **changes):
    return {**data, "rules": {"lr": {**data["rules"]["lr"], **changes}}}
