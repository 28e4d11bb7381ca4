"""Settings that follow a hyperparameter law, from the command line to the record."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
import tiny

from experiments import data, record, studies
from experiments.config.identity import identity
from experiments.config.overrides import override
from experiments.plan import law_settings
from experiments.plan.run import Run, following
from experiments.record import Status
from experiments.runs.job import Job
from experiments.training.trainer import train
from scaling.common.errors import UserError
from scaling.common.files import write_json
from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.hyperparameters.law_file import from_law
from scaling.hyperparameters.published import by_name
from scaling.hyperparameters.recommendation import recommend
from scaling.laws._law import Convention

N_RANGE, D_RANGE = (1e3, 1e6), (1e6, 1e8)


@pytest.fixture
def law(tmp_path: Path) -> str:
    """lr = 3 N^-0.5 D^0.1, batch = 0.05 D^0.6, as analysis saves it."""
    fitted_on = {"params_nonembedding": N_RANGE, "tokens": D_RANGE}
    mine = HyperparameterLaw(
        name="mine",
        form="",
        rules={
            "lr": Power(3.0, {"params_nonembedding": -0.5, "tokens": 0.1}, fitted_on=fitted_on,
                        confidence=Confidence.OWN),
            "batch_tokens": Power(0.05, {"tokens": 0.6}, fitted_on={"tokens": D_RANGE},
                                  confidence=Confidence.OWN),
        },
        batch=Batch.OWN,
        schedule="linear",
        convention=Convention(params="N", tokens="D", loss="nats"),
        recipe="made up",
        source="own fit",
    )  # fmt: skip
    path = tmp_path / "law.json"
    write_json(path, from_law(mine, {}))
    return str(path)


def test_each_run_gets_the_number_for_its_own_size_and_tokens(law):
    study = studies.load(
        "quickstart",
        [f"optimizer.learning_rate=law({law})", "parametrization.name=sp"],
    )
    for run in study.runs:
        N, D = run.ledger["params_nonembedding"], run.config.science.budget.tokens
        rate = run.config.science.optimizer.learning_rate
        assert rate == pytest.approx(3 * N**-0.5 * D**0.1, rel=1e-12)
    assert len({run.config.science.optimizer.learning_rate for run in study.runs}) > 10
    assert study.settings["optimizer.learning_rate"] == f"law({law})"


def test_the_identity_is_that_of_the_number(law):
    run = Run(override(tiny.config(), ["parametrization.name=sp"]), 0)
    followed = run.follow(law_settings.separate([f"optimizer.learning_rate=law({law})"])[1])
    rate = followed.config.science.optimizer.learning_rate
    by_hand = override(run.config, [f"optimizer.learning_rate={rate!r}"])
    assert followed.run_id == identity(by_hand.science) != run.run_id


def test_the_batch_comes_first_and_is_the_nearest_number_of_sequences(law):
    text = [f"{path}=law({law})" for path in ("optimizer.learning_rate", "batch.sequences")]
    run = Run(override(tiny.config(), ["parametrization.name=sp", "budget.tokens=2000000"]), 0)
    followed = run.follow(law_settings.separate(text)[1])
    wanted = 0.05 * 2e6**0.6 / 16  # sequences of 16 tokens
    found = followed.config.science.batch.sequences
    assert found == min(range(1, 100), key=lambda n: abs(math.log(n / wanted)))
    assert [each.path for each in followed.given] == ["batch.sequences", "optimizer.learning_rate"]
    assert followed.given[1].advice.value == followed.config.science.optimizer.learning_rate


def test_a_study_file_says_the_same_with_a_function(law):
    runs = [Run(override(tiny.config(), ["parametrization.name=sp"]), 0)]
    by_option = law_settings.separate([f"optimizer.learning_rate=law({law})"])[1]
    assert following(runs, {"optimizer.learning_rate": law}) == (runs[0].follow(by_option),)


def test_a_published_law_by_its_name():
    run = Run(override(tiny.config(), ["parametrization.name=sp"]), 0)
    (followed,) = following([run], {"optimizer.learning_rate": "steplaw2025"})
    science = followed.config.science
    asked = {"params_nonembedding": run.ledger["params_nonembedding"],
             "tokens": float(science.budget.tokens)}  # fmt: skip
    published = recommend(by_name("steplaw2025"), **asked).values["lr"]
    assert science.optimizer.learning_rate == pytest.approx(published)
    assert followed.given[0].record().file == ""


def test_experts_are_counted_as_the_authors_do():
    """Step Law by all parameters, a law of dense models by those that a token meets."""
    run = Run(override(tiny.config(), ["parametrization.name=sp", "model.experts=8"]), 0)
    idle = run.ledger["params_total"] - run.ledger["params_active"]
    assert idle > 0
    for name, left_out in (("steplaw2025", 0), ("kaplan2020", idle)):
        (followed,) = following([run], {"optimizer.learning_rate": name})
        said = followed.given[0].record()
        counted = run.ledger["params_nonembedding"] - left_out
        assert said.asked["params_nonembedding"] == counted, name
        assert ("fitted on dense models" in " ".join(said.warnings)) == bool(left_out), name


def test_layers_that_share_weights_have_more_active_parameters_than_they_store():
    shared = ["model.layers=4", "model.layers_unique=1", "model.sharing=cycle"]
    run = Run(override(tiny.config(), ["parametrization.name=sp", *shared]), 0)
    assert run.ledger["params_active"] > run.ledger["params_total"]
    (followed,) = following([run], {"optimizer.learning_rate": "steplaw2025"})
    asked = followed.given[0].record().asked
    assert asked["params_nonembedding"] == run.ledger["params_nonembedding"]


def test_the_record_says_which_law_and_what_it_was_asked(law, tmp_path):
    texts = tiny.write_texts(tmp_path / "texts")
    start = Run(override(tiny.config(texts=texts), ["parametrization.name=sp"]), 0)
    run = start.follow(law_settings.separate([f"optimizer.learning_rate=law({law})"])[1])
    corpus = data.Corpora(tmp_path / "cache")
    job = Job(run, "tiny", tmp_path / run.run_id)
    assert train(job, corpus) is Status.COMPLETED
    for kind in (record.RunRecord, record.RunSummary):
        said = record.read(job.folder, kind).laws["optimizer.learning_rate"]
        assert (said.law, said.file, said.quantity) == ("mine", law, "lr")
        assert said.sha256 == hashlib.sha256(Path(law).read_bytes()).hexdigest()
        assert said.value == run.config.science.optimizer.learning_rate
        assert said.asked["tokens"] == 3200
        assert any("times outside the range" in text for text in said.warnings)


def test_the_summary_line_says_how_far_out_of_range(law):
    base = override(tiny.config(), ["parametrization.name=sp"])
    source = law_settings.separate([f"batch.sequences=law({law})"])[1]
    inside = Run(override(base, ["budget.tokens=2000000"]), 0).follow(source)
    outside = Run(override(base, ["budget.tokens=100000"]), 0).follow(source)
    assert law_settings.summary(inside.given) == [
        "batch.sequences by mine in 1 runs; config.json says what it was asked"
    ]
    (line,) = law_settings.summary([*inside.given, *outside.given])
    assert (
        "in 2 runs, 1 of them outside the range it was fitted on by a factor of up to 10;" in line
    )
    assert law_settings.summary(Run(base, 0).given) == []


def test_a_rate_at_another_batch_than_the_laws_own_is_told(law):
    base = override(tiny.config(), ["parametrization.name=sp", "budget.tokens=2000000"])
    wanted = 0.05 * 2e6**0.6
    rate = "optimizer.learning_rate"
    both = [f"{rate}=law({law})", f"batch.sequences=law({law})"]
    alone = Run(base, 0).follow(law_settings.separate(both[:1])[1])
    (text,) = alone.given[0].warnings
    assert text.endswith(f"the run's is {64 / wanted:.3g} times that")
    assert "at batches up to a factor of" in law_settings.summary(alone.given)[0]
    assert all(
        each.warnings == () for each in Run(base, 0).follow(law_settings.separate(both)[1]).given
    )


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizer.learning_rate=law(nowhere.json)", r"law\(nowhere\.json\): cannot read"),
        ("optimizer.learning_rate=law(stplaw2025)", r"did you mean 'steplaw2025'\?"),
        ("optimizer.beta2=law(steplaw2025)", r"optimizer\.beta2=law.*: no law gives it; one of"),
        ("optimizer.learning_rate=law(steplaw2025)", r"gives no lr_mup, .*name=mup; it gives lr"),
        ("optimizer.weight_decay=law(adamw_timescale2024)", r"needs tuned_weight_decay"),
    ],
)
def test_a_law_that_cannot_be_followed_is_one_line(assignment, message):
    with pytest.raises(UserError, match=message) as caught:
        studies.load("quickstart", [assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not valid JSON"), ('{"format": "x"}', r"\$\.format: Invalid value 'x'; write one")],
)
def test_a_file_that_holds_no_law_is_one_line(tmp_path, text, message):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(UserError, match=message):
        studies.load("quickstart", [f"optimizer.learning_rate=law({tmp_path / 'bad.json'})"])
