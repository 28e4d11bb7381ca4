"""Parameters to a plain safetensors file and back, by this package and by safetensors alone."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import cache, partial

import jax
import numpy as np
import pytest
import tiny
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from experiments import data, record
from experiments.__main__ import main
from experiments.config.fields import to_dict
from experiments.config.overrides import override
from experiments.data.tokenizer import ByteTokenizer
from experiments.record import RunSummary
from experiments.training.exports.single_file import (
    ExportedModel,
    from_arrays,
    read,
    to_arrays,
    trained,
    write,
)
from experiments.training.hypers import hypers
from experiments.training.step import init_state, recipe
from experiments.training.trainer import train
from scaling.common.errors import UserError

MODEL = (
    "model.layers=2",
    "model.biases=all",
    "model.embeddings=untied",
    "parametrization.name=mup",
    "parametrization.base_width=8",
)


@cache
def drawn(*assignments):
    config = tiny.config(*MODEL, *assignments)
    made = recipe(config)
    init = jax.jit(partial(init_state, made))
    return config, made, init(hypers(config.science)).params


def exported(config, params):
    return ExportedModel(config, to_arrays(recipe(config), params), ByteTokenizer(), 0)


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture
def file(tmp_path):
    config, _, params = drawn()
    path = tmp_path / "model.safetensors"
    write(path, exported(config, params))
    return path


def test_scanned_and_unrolled_layers_are_one_file(file, tmp_path):
    config, made, params = drawn("execution.program.layers=scan")
    other = tmp_path / "other.safetensors"
    write(other, exported(config, params))
    ours, theirs = load_file(file), load_file(other)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])
    assert_equal(from_arrays(made, ours, "here"), params)  # also of the other program


def test_a_stranger_reads_names_shapes_and_what_they_mean(file):
    """By the safetensors package alone: the logits of one token in a model of these arrays."""
    with safe_open(file, framework="numpy") as opened:
        meta = {name: json.loads(text) for name, text in opened.metadata().items()}
        shapes = {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118
    assert shapes["embedding"] == [256, 16]
    assert shapes["blocks.1.attention.query"] == [16, 2, 8]
    assert shapes["blocks.0.mlp.out_bias"] == [16]
    assert meta["letters"]["blocks.1.attention.query"] == "d->hk"
    assert meta["letters"].keys() == meta["multipliers"].keys() == shapes.keys()
    assert meta["multipliers"]["readout"] == 0.5
    assert meta["factors"] == {"attention": 0.5, "residual": 1.0}
    assert meta["config"]["science"]["model"]["width"] == 16
    assert sum(map(np.prod, shapes.values())) == sum(x.size for x in jax.tree.leaves(drawn()[2]))


def test_the_config_and_the_arrays_come_back(file):
    config, made, params = drawn()
    found = read(file)
    assert to_dict(found.config) == to_dict(config)
    assert_equal(from_arrays(made, found.arrays, "here"), params)
    with safe_open(file, framework="numpy") as opened:
        meta = {k: v for k, v in opened.metadata().items() if k not in ("tokenizer", "step")}
    save_file(load_file(file), file, meta)  # as an earlier version wrote it, of bytes
    assert read(file).step == config.science.steps
    assert isinstance(read(file).tokenizer, ByteTokenizer)


@pytest.mark.parametrize(
    "assignments",
    [
        ("model.gains=scalar",),
        ("model.gains=scalar", "execution.program.layers=scan"),
        ("model.gains=scalar", "model.qk_norm=rmsnorm", "model.embedding_norm=rmsnorm"),
        ("model.positions=learned", "model.kv_heads=1", "model.mlp=swiglu"),
    ],
)
def test_every_shape_comes_back_to_the_scalar(tmp_path, assignments):
    config = tiny.config(*MODEL, *assignments)
    made, random = recipe(config), np.random.default_rng(0)
    forms = jax.eval_shape(partial(init_state, made), hypers(config.science)).params
    params = jax.tree.map(lambda form: np.float32(random.normal(size=form.shape)), forms)
    write(tmp_path / "m.safetensors", exported(config, params))
    shapes = [array.shape for array in read(tmp_path / "m.safetensors").arrays.values()]
    assert (() in shapes) == ("model.gains=scalar" in assignments)
    assert_equal(from_arrays(made, read(tmp_path / "m.safetensors").arrays, "here"), params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("blocks.1.mlp.in"), "no array 'blocks.1.mlp.in', which this model has"),
        (lambda a: a.update(readout=a["readout"].T), r"'readout' has the shape \(256, 16\), and"),
        (lambda a: a.update({"blocks.2.mlp.in": a["readout"]}), "'blocks.2.mlp.in' is no weight"),
    ],
)
def test_arrays_of_another_model_are_refused_in_a_line(change, message):
    _, made, params = drawn()
    arrays = dict(to_arrays(made, params))
    change(arrays)
    with pytest.raises(UserError, match=f"^m.safetensors: {message}") as caught:
        from_arrays(made, arrays, "m.safetensors")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_refused_in_a_line(file, tmp_path, capsys):
    damaged, bare = tmp_path / "damaged.safetensors", tmp_path / "bare.safetensors"
    damaged.write_bytes(file.read_bytes()[:-100])
    save_file({"x": np.zeros(3, np.float32)}, bare)
    whole, infinite = tmp_path / "whole.safetensors", tmp_path / "infinite.safetensors"
    save_file({"x": np.zeros(3, np.int32)}, whole)
    save_file({"x": np.array([1, np.nan], np.float32)}, infinite)
    for path, message in (
        (damaged, "no whole safetensors file"),
        (bare, "hold no config"),
        (tmp_path / "absent.safetensors", "cannot read"),
        (whole, "'x' holds int32, and weights are real numbers"),
        (infinite, "'x' holds values that are not finite"),
    ):
        assert main(["evaluate", str(path)]) == 2
        said = capsys.readouterr().err
        assert message in said and str(path) in said and said.count("\n") == 1
    config, _, params = drawn()
    with pytest.raises(UserError, match="cannot write"):
        write(damaged / "folder.safetensors", exported(config, params))


def test_a_run_goes_out_and_its_loss_comes_back(tmp_path, texts, cache, capsys):
    """Of the weights that it is judged by, an average here."""
    job = tiny.job(tmp_path, "evaluation.weights=ema", texts=texts)
    train(job, data.Corpora(cache))
    path = tmp_path / "model.safetensors"
    assert main(["export", str(job.folder), "--to", str(path)]) == 0
    assert main(["evaluate", str(path), "--cache", str(cache)]) == 0
    loss = record.read(job.folder, RunSummary).metrics.loss
    said = re.search(r"^([\d.]+) nats/token", capsys.readouterr().out, re.M)
    assert float(said[1]) == pytest.approx(loss, abs=1e-6)
    assert main(["evaluate", str(path), "--cache", str(cache), "--set", "model.width=32"]) == 2
    assert "is of another config" in capsys.readouterr().err


@pytest.fixture(scope="module")
def bpe_run(tmp_path_factory, texts):
    """A run of trained tokens, with an average and a checkpoint that is kept for good."""
    pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("bpe")
    job = tiny.job(
        folder,
        "data.tokenizer=bpe",
        "data.vocab_size=300",
        "data.epochs=9",
        "model.vocab_size=300",
        "evaluation.weights=ema",
        "execution.permanent=16",
        "execution.checkpoint_seconds=1e9",
        texts=texts,
    )
    mixture = data.Corpora(folder / "cache").mixture(job.run.config.science.data)
    run = replace(
        job.run, config=override(job.run.config, [f"data.fingerprint={mixture.fingerprint}"])
    )
    job = replace(job, run=run, folder=folder / run.run_id)
    train(job, data.Corpora(folder / "cache"))
    return job, mixture


def evaluated(capsys, *arguments):
    code = main(["evaluate", *map(str, arguments)])
    said = capsys.readouterr()
    found = re.search(r"^([\d.]+) nats/token, ([\d.]+) nats/byte", said.out, re.M)
    return code, (float(found[1]), float(found[2])) if found else None, said.err


def test_other_text_is_read_by_the_tokenizer_of_the_file(bpe_run, tmp_path, capsys, monkeypatch):
    """Nearly the loss of its own text, for the words are the same; and without its own text."""
    job, mixture = bpe_run
    file, other = tmp_path / "m.safetensors", tiny.write_texts(tmp_path / "other", seed=7)
    assert main(["export", str(job.folder), "--to", str(file)]) == 0
    assert read(file).tokenizer.content == mixture.tokenizer.content
    with safe_open(file, framework="numpy") as opened:
        assert "merges" in json.loads(opened.metadata()["tokenizer"])["model"]
    cache = ("--cache", tmp_path / "cache")
    code, own, _ = evaluated(capsys, file, *cache)
    assert code == 0
    assert own[0] == pytest.approx(record.read(job.folder, RunSummary).metrics.loss, abs=1e-6)
    trainings = []
    monkeypatch.setattr("experiments.data.tokenizer.train_bpe", lambda *a: trainings.append(a))
    code, there, said = evaluated(capsys, file, *cache, "--set", f"data.path={other}")
    assert (code, trainings) == (0, [])
    assert there[1] == pytest.approx(own[1], rel=0.1)
    assert f"not the text of its training, {mixture.fingerprint}" in said
    for change in ("data.tokenizer=bytes", "data.vocab_size=400"):
        code, _, said = evaluated(capsys, file, *cache, "--set", change)
        assert code == 2 and "reads by its own tokenizer" in said


def test_any_kept_checkpoint_is_exported_by_what_it_is_evaluated_by(bpe_run, tmp_path, capsys):
    """Of a run that need not have ended; its folder does not change."""
    job, _ = bpe_run
    early, last = trained(job.folder, 16), trained(job.folder)
    assert (early.step, last.step) == (16, tiny.STEPS)
    assert any((early.arrays[key] != last.arrays[key]).any() for key in last.arrays)
    running = tmp_path / "running"
    shutil.copytree(job.folder, running)
    (running / record.SUMMARY).unlink()
    saving = running / record.CHECKPOINTS / "99.orbax-checkpoint-tmp"  # by the run's owner
    saving.mkdir()
    again = trained(running, 16)
    assert_equal(dict(again.arrays), dict(early.arrays))
    assert saving.exists()
    for arguments, message in (
        ((), "started, not completed; make a file of a kept checkpoint: windtunnel export"),
        (("--step", "17"), "17: no whole checkpoint; of the run are kept steps [16"),
        (("--step", "16"), "tokenizer.json: cannot read"),
    ):
        if "tokenizer" in message:
            (running / record.TOKENIZER).unlink()
        assert main(["export", str(running), "--to", str(tmp_path / "x"), *arguments]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1


def test_a_file_without_its_tokenizer_is_refused(bpe_run, tmp_path, capsys):
    file = tmp_path / "m.safetensors"
    write(file, trained(bpe_run[0].folder))
    with safe_open(file, framework="numpy") as opened:
        meta = opened.metadata()
    for changed, message in (
        ({k: v for k, v in meta.items() if k != "tokenizer"}, "its metadata hold no tokenizer"),
        ({**meta, "tokenizer": "{}"}, "tokenizer: no tokenizer"),
    ):
        save_file(load_file(file), tmp_path / "changed.safetensors", changed)
        code, _, said = evaluated(capsys, tmp_path / "changed.safetensors")
        assert code == 2 and message in said and said.count("\n") == 1


def test_only_completed_runs_are_exported(tmp_path, capsys):
    assert main(["export", str(tmp_path / "none"), "--to", str(tmp_path / "x")]) == 2
    assert "holds no run; give the folder of one" in capsys.readouterr().err
