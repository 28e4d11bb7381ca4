from __future__ import annotations

import contextlib
import copy
import os
import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
import records
import tiny

from experiments import data, record
from experiments.plan.run import Run
from experiments.record import StudyPart
from experiments.sweep import preflight
from experiments.sweep.preflight import check_budgets, check_data, check_folder, fewer_windows
from scaling.common.errors import UserError

STUDY = tiny.study("texts")
RUNS = STUDY.runs
Usage = namedtuple("Usage", "total used free")


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_runs_that_fit_pass(tmp_path, corpus):
    check_data(RUNS, corpus)
    check_folder(tmp_path / "new", STUDY, RUNS)
    assert not (tmp_path / "new").exists()


def test_vocabulary_must_be_the_tokenizers(corpus):
    run = Run(tiny.config("model.vocab_size=128"), rung=0)
    with pytest.raises(UserError, match=r"model\.vocab_size=128.*set model\.vocab_size=256"):
        check_data([run], corpus)


def test_corpus_smaller_than_the_budget_asks_for_epochs(corpus):
    needs = corpus.only.corpora[0].train.tokens * 3 // 2
    run = Run(tiny.config(f"budget.tokens={needs}"), rung=0)
    with pytest.raises(UserError, match=r"declare data\.epochs=2") as caught:
        check_budgets([*RUNS, run], corpus)
    one_line(caught)
    check_budgets([Run(tiny.config(f"budget.tokens={needs}", "data.epochs=2"), rung=0)], corpus)


def test_corpus_of_less_than_a_window_is_refused(corpus):
    store = data.MemoryTokens(np.zeros(9, np.uint8))
    small = copy.copy(corpus)
    small.only = data.Mixture((replace(corpus.only.corpora[0], train=store),))
    with pytest.raises(UserError, match=r"9 tokens.*batch\.seq_len=16 needs 17"):
        check_data(RUNS, small)


def test_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(
        UserError, match=r"out: cannot write there \(Not a directory\).*--out"
    ) as caught:
        check_folder(tmp_path / "out", STUDY, RUNS)
    one_line(caught)


def test_folder_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(preflight.tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"cannot write there \(Permission denied\)"):
        check_folder(tmp_path, STUDY, RUNS)


def test_no_space_is_told_before_anything_is_trained(tmp_path, monkeypatch):
    needed = sum(preflight.RECORD_BYTES + 36 * run.ledger["params_total"] for run in RUNS)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 2_000_000))
    with pytest.raises(UserError, match=r"2 MB free, the runs need about 5 MB") as caught:
        check_folder(tmp_path, STUDY, RUNS)
    one_line(caught)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, needed))
    check_folder(tmp_path, STUDY, RUNS)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, needed - 1))
    with pytest.raises(UserError, match=r"choose another folder with --out"):
        check_folder(tmp_path, STUDY, RUNS)
    check_folder(tmp_path, STUDY, RUNS[1:])


def test_checkpoints_that_are_kept_need_space(tmp_path, monkeypatch):
    def needs(*assignments):
        run = Run(tiny.config(*assignments), rung=0)
        for free in range(10**6, 10**7, 10**4):
            monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(0, 0, free))
            with contextlib.suppress(UserError):
                check_folder(tmp_path, STUDY, [run])
                return free
        raise AssertionError

    one = 12 * RUNS[0].ledger["params_total"]
    plain = needs()
    assert needs("execution.permanent=8,16,50") - plain == pytest.approx(3 * one, abs=10**4)
    assert needs("execution.keep=10") - plain == pytest.approx(8 * one, abs=10**4)


@pytest.mark.parametrize("name", [record.STUDY, f"{RUNS[0].run_id}/{record.CONFIG}"])
def test_folder_of_another_version_is_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"schema": 1, "name": "tiny"}')
    with pytest.raises(UserError, match=r"record schema 1, this version reads 2") as caught:
        check_folder(tmp_path, STUDY, RUNS)
    one_line(caught)


def plan(name, runs):
    return records.plan(name, [records.planned(r.run_id) for r in runs], settings={"seed": 1})


def test_folder_of_another_study_is_refused(tmp_path):
    record.write(tmp_path, plan("isoflop", RUNS))
    with pytest.raises(UserError, match=r"holds the study 'isoflop'; choose another folder"):
        check_folder(tmp_path, STUDY, RUNS)
    check_folder(tmp_path, replace(STUDY, name="isoflop"), RUNS)


def test_folder_of_the_same_study_with_other_science_is_refused(tmp_path):
    record.write(tmp_path, plan("tiny", tiny.study("texts", seed=1).runs))
    with pytest.raises(
        UserError, match=r"other science \(settings {'seed': 1}, now {}\)"
    ) as caught:
        check_folder(tmp_path, STUDY, RUNS)
    one_line(caught)


def test_text_that_has_changed_is_told_with_both_fingerprints(tmp_path, cache):
    """The plan is of the text before; a page was added since, or a word was changed."""
    texts = tiny.write_texts(tmp_path / "texts")

    def opened():
        return (data.Corpora(cache).mixture(tiny.config(texts=texts).science.data)).corpora

    (before,) = opened()
    out, others = tmp_path / "out", tiny.study("texts", seed=1).runs
    card = {before.fingerprint: before.card()}
    record.write(
        out, records.plan("tiny", [records.planned(r.run_id) for r in others], corpora=card)
    )
    (texts / "more.txt").write_text("one more page of text")
    (after,) = opened()
    with pytest.raises(UserError) as caught:
        check_folder(out, STUDY, RUNS, [after])
    said = one_line(caught)
    assert (
        f"text of {texts} has changed, corpus {before.fingerprint} -> {after.fingerprint}" in said
    )
    assert "restore it, or choose another folder with --out" in said
    check_folder(tmp_path / "new", STUDY, RUNS, [after])


def test_same_settings_and_text_name_the_study_file(tmp_path):
    record.write(tmp_path, records.plan("tiny", [records.planned("0" * 12)]))
    with pytest.raises(UserError, match=r"other science \(the study file or its defaults\)"):
        check_folder(tmp_path, STUDY, RUNS)


def test_damaged_plan_is_left_to_the_sweep(tmp_path):
    (tmp_path / record.STUDY).write_text("{")
    check_folder(tmp_path, STUDY, RUNS)


def test_study_may_grow(tmp_path):
    record.write(tmp_path, plan("tiny", RUNS[:2]))
    check_folder(tmp_path, STUDY, RUNS)


def test_damaged_config_is_left_to_whoever_claims_the_run(tmp_path):
    path = tmp_path / RUNS[0].run_id / record.CONFIG
    path.parent.mkdir()
    path.write_text('{"schema": 2')
    check_folder(tmp_path, STUDY, RUNS)
    assert path.read_text() == '{"schema": 2'


def test_held_out_runs_are_checked_against_the_corpus_too(corpus):
    held_out = Run(tiny.config("budget.tokens=1e9"), rung=1, part=StudyPart.HELD_OUT)
    with pytest.raises(UserError, match=r"data\.epochs"):
        check_budgets([*RUNS, held_out], corpus)


def test_fewer_windows_than_asked_are_told_once(corpus):
    (have,) = {store.tokens // 16 for store in corpus.only.valid}
    few = [Run(tiny.config(f"evaluation.windows={n}"), rung=0) for n in (have, have + 9)]
    (line,) = fewer_windows([*few, *few], corpus)
    assert line.startswith(f"evaluation.windows={have + 9}: the valid split has {have} windows")


@pytest.mark.parametrize("split", ["train", "valid"])
def test_every_split_must_have_a_window(corpus, split):
    store = data.MemoryTokens(np.zeros(9, np.uint8))
    small = copy.copy(corpus)
    small.only = data.Mixture((replace(corpus.only.corpora[0], **{split: store}),))
    with pytest.raises(UserError, match=rf"the {split} split has 9 tokens.* needs 17"):
        check_data(RUNS, small)
