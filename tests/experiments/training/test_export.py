"""Parameters to a plain safetensors file and back, by this package and by safetensors alone."""

from __future__ import annotations

import json
import re
from functools import cache, partial

import jax
import numpy as np
import pytest
import tiny
from quick import quick_jit
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from experiments import data, record
from experiments.__main__ import main
from experiments.config.fields import to_dict
from experiments.record import RunSummary
from experiments.training.export import from_arrays, read, to_arrays, write
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
    init = quick_jit(partial(init_state, made))
    return config, made, init(hypers(config.science)).params


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture
def file(tmp_path):
    config, _, params = drawn()
    path = tmp_path / "model.safetensors"
    write(path, config, params)
    return path


def test_scanned_and_unrolled_layers_are_one_file(file, tmp_path):
    config, made, params = drawn("execution.program.layers=scan")
    other = tmp_path / "other.safetensors"
    write(other, config, params)
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
    found, arrays = read(file)
    assert to_dict(found) == to_dict(config)
    assert_equal(from_arrays(made, arrays, "here"), params)


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
    for path, message in (
        (damaged, "no whole safetensors file"),
        (bare, "hold no config"),
        (tmp_path / "absent.safetensors", "cannot read"),
    ):
        assert main(["evaluate", str(path)]) == 2
        said = capsys.readouterr().err
        assert message in said and str(path) in said and said.count("\n") == 1
    config, _, params = drawn()
    with pytest.raises(UserError, match="cannot write"):
        write(damaged / "folder.safetensors", config, params)


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


def test_only_completed_runs_are_exported(tmp_path, capsys):
    assert main(["export", str(tmp_path / "none"), "--to", str(tmp_path / "x")]) == 2
    assert "missing; give the folder of a completed run" in capsys.readouterr().err
