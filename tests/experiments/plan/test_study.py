from __future__ import annotations

from dataclasses import replace

import pytest
import tiny

from experiments.config.identity import identity
from experiments.record import StudyPart
from scaling.common.errors import UserError


def test_run_ids_come_from_the_science_and_bind_to_the_corpus():
    study = tiny.study("texts")
    assert [run.run_id for run in study.runs] == [identity(r.config.science) for r in study.runs]
    bound = study.with_fingerprints(lambda config: "0123456789abcdef")
    assert {run.config.science.data.fingerprint for run in bound.runs} == {"0123456789abcdef"}
    assert not {run.run_id for run in bound.runs} & {run.run_id for run in study.runs}
    moved = tiny.study("elsewhere").with_fingerprints(lambda config: "0123456789abcdef")
    assert [run.run_id for run in moved.runs] == [run.run_id for run in bound.runs]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0b", "x" * 101])
def test_a_name_is_that_of_a_folder(name):
    with pytest.raises(UserError, match="it names the folder of the runs"):
        replace(tiny.study("texts"), name=name)


def test_a_law_of_no_file_is_refused_before_any_training():
    with pytest.raises(UserError, match="did you mean 'chinchilla'"):
        replace(tiny.study("texts"), law="chinchila")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"part": "fitt"}, "part='fitt': did you mean 'fit'"),
        ({"rung": "a"}, "rung='a': must be int"),
        ({"rung": True}, "rung=True"),
        ({"rung": -1}, "counted from 0"),
        ({"label": 3}, "label=3: must be str"),
        ({"config": None}, "config=None: must be RunConfig"),
    ],
)
def test_a_run_of_wrong_values_is_refused_where_it_is_made(change, message):
    with pytest.raises(UserError, match=message):
        replace(tiny.study("texts").runs[0], **change)


def test_a_part_may_be_named_by_its_word():
    held = replace(tiny.study("texts").runs[0], part="held_out")
    assert held.part is StudyPart.HELD_OUT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "name=3: give a text"),
        ({"runs": (tiny.config(),)}, "one is a RunConfig; give each as a Run"),
        ({"tokens": "token"}, "tokens=token: did you mean 'tokens'"),
        ({"loss": "los"}, "loss=los: did you mean 'loss'"),
        ({"loss": "evaluation.recall"}, "loss=evaluation.recall: did you mean 'evaluations'"),
        ({"reading": "transfr"}, "reading=transfr: did you mean 'transfer'"),
        ({"reading": ""}, "Study: reading=: known: abilities"),
        ({"published": {"": "maybe"}}, "published: =maybe: did you mean 'yes'"),
        ({"published": {"small": "yes"}}, "published: small: no run has this label; there is none"),
    ],
)
def test_a_study_of_wrong_values_is_refused_where_it_is_made(change, message):
    with pytest.raises(UserError, match=message):
        replace(tiny.study("texts"), **change)


def test_ledger_counts_the_tokens_really_seen():
    run = tiny.study("texts").override(["budget.tokens=100"]).runs[0]
    assert run.ledger["tokens"] == 128
    assert run.ledger["flops_6nd"] == 6 * run.ledger["params_total"] * 128
