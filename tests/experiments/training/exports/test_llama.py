"""A model as a Llama's folder: logits by plain NumPy and by transformers, and the way back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file, save_file

from experiments import data
from experiments.__main__ import main
from experiments.config.fields import field_types
from experiments.data.tokenizer import ByteTokenizer, train_bpe
from experiments.training.exports import llama
from experiments.training.exports.single_file import ExportedModel, from_arrays, to_arrays
from experiments.training.hypers import hypers
from experiments.training.step import init_state, recipe
from experiments.training.trainer import train
from models.config import SIZES, TransformerConfig
from models.transformer import apply
from scaling.common.errors import UserError

LLAMA = ("model.mlp=swiglu", "model.layers=2")
FORMS = (
    ("model.kv_heads=1", "model.embeddings=untied", "model.biases=all", "model.gains=scalar",
     "parametrization.name=depth_mup", "parametrization.base_width=8",
     "parametrization.base_layers=1"),
    ("parametrization.name=mup", "parametrization.base_head_dim=4", "parametrization.base_width=4",
     "execution.program.layers=scan", "model.gains=none"),
)  # fmt: skip
TOKENS = np.random.default_rng(0).integers(0, 256, (2, 12))


def logits(made, params) -> np.ndarray:
    return np.asarray(jax.jit(partial(apply, made.spec))(params, TOKENS))


def drawn(*assignments: str) -> tuple[ExportedModel, np.ndarray]:
    """A model of random weights, zeros and ones of its start among them, and its logits."""
    config = tiny.config(*LLAMA, *assignments)
    made, random = recipe(config), np.random.default_rng(1)
    forms = jax.eval_shape(lambda: init_state(made, hypers(config.science))).params
    params = jax.tree.map(lambda x: random.normal(0.2, 0.3, x.shape).astype(np.float32), forms)
    found = ExportedModel(config, to_arrays(made, params), ByteTokenizer(), 7)
    return found, logits(made, params)


def by_hand(folder, tokens: np.ndarray) -> np.ndarray:
    """The logits of a Llama by its published equations, in float64."""
    c = json.loads((folder / "config.json").read_text())
    w = {key: x.astype(float) for key, x in load_file(folder / "model.safetensors").items()}
    h, g, k = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + c["rms_norm_eps"]) * w[f"{name}.weight"]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def turn(x):
        angle = np.arange(x.shape[1])[:, None] * c["rope_theta"] ** (-np.arange(0, k, 2) / k)
        cos, sin = (np.tile(f(angle), 2)[:, None] for f in (np.cos, np.sin))
        return x * cos + np.concatenate([-x[..., k // 2 :], x[..., : k // 2]], -1) * sin

    x = w["model.embed_tokens.weight"][tokens]
    B, T, _ = x.shape
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        y = norm(x, f"{at}.input_layernorm")
        q, key, v = (
            linear(y, f"{at}.self_attn.{name}_proj").reshape(B, T, n, k)
            for name, n in (("q", h), ("k", g), ("v", g))
        )
        key, v = (np.repeat(each, h // g, axis=2) for each in (turn(key), v))
        scores = np.einsum("bthk,bshk->bhts", turn(q), key) / math.sqrt(k)
        scores = np.where(np.tri(T, dtype=bool), scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = np.einsum("bhts,bshk->bthk", p / p.sum(-1, keepdims=True), v).reshape(B, T, h * k)
        x = x + linear(mixed, f"{at}.self_attn.o_proj")
        y = norm(x, f"{at}.post_attention_layernorm")
        gate = linear(y, f"{at}.mlp.gate_proj")
        y = gate / (1 + np.exp(-gate)) * linear(y, f"{at}.mlp.up_proj")
        x = x + linear(y, f"{at}.mlp.down_proj")
    tied = c["tie_word_embeddings"]
    return norm(x, "model.norm") @ w["model.embed_tokens.weight" if tied else "lm_head.weight"].T


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_the_folder_gives_the_logits_of_the_run_and_comes_back(form, tmp_path):
    found, ours = drawn(*form)
    llama.write(tmp_path, found)
    np.testing.assert_allclose(by_hand(tmp_path, TOKENS), ours, rtol=0, atol=1e-4)
    again = llama.read(tmp_path)
    made = recipe(again.config)
    there = logits(made, from_arrays(made, again.arrays, "here"))
    np.testing.assert_allclose(there, ours, rtol=0, atol=1e-4)
    assert (again.step, again.config.science.data) == (7, found.config.science.data)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_transformers_gives_the_same_logits_and_tokens(form, tmp_path):
    transformers, torch = map(pytest.importorskip, ("transformers", "torch"))
    found, ours = drawn(*form)
    llama.write(tmp_path, found)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    with torch.no_grad():
        theirs = model(torch.tensor(TOKENS)).logits.numpy()
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    read = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert read("wind Ā\n")["input_ids"] == list("wind Ā\n".encode())


def test_bytes_are_pairs_without_merges(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    llama.write(tmp_path, drawn()[0])
    read = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "wind tunnel,  Ā\n\tλ!"
    assert read.encode(text).ids == list(text.encode())
    assert read.decode(read.encode(text).ids) == text


@pytest.mark.parametrize(
    "field",
    ["mlp=gelu", "norm=layernorm", "positions=none", "qk_norm=rmsnorm", "block=parallel",
     "pattern=retention", "experts=4", "sharing=cycle", "weights=low_rank_sparse"],
)  # fmt: skip
def test_another_architecture_is_refused_by_its_field(field):
    with pytest.raises(UserError, match=f"^model.{field}: a Llama has") as caught:
        llama.check(tiny.config(*LLAMA, f"model.{field}").science.model)
    assert "\n" not in str(caught.value)


def test_each_choice_of_a_model_is_a_llamas_or_refused():
    """Sizes, and the choices that its weights or its config.json hold."""
    held = {"gains", "biases", "embeddings", "pattern"}
    idle = {"experts_active", "router", "capacity_factor", "layers_unique"}
    idle |= {"weights_rank", "weights_density"}
    assert set(field_types(TransformerConfig)) == {*SIZES, *llama.OURS, *held, *idle}


def test_a_strangers_folder_is_read_or_refused_by_its_field(tmp_path):
    """Without our metadata, in bfloat16 and in two files; with rows that we do not have."""
    import jax.numpy as jnp
    from safetensors.flax import save_file

    found, _ = drawn("model.vocab_size=300", "data.vocab_size=300", "data.tokenizer=bpe")
    found = replace(found, tokenizer=train_bpe([b"the wind tunnel"] * 9, 300))
    llama.write(tmp_path, found)
    whole = load_file(tmp_path / llama.WEIGHTS)
    (tmp_path / llama.WEIGHTS).unlink()
    names = {name: f"part-{k % 2}.safetensors" for k, name in enumerate(whole)}
    for file in set(names.values()):
        part = {name: jnp.bfloat16(whole[name]) for name in whole if names[name] == file}
        save_file(part, tmp_path / file)
    (tmp_path / llama.INDEX).write_text(json.dumps({"weight_map": names}))
    again = llama.read(tmp_path)
    assert again.tokenizer.encode([b"wind"])[0].tolist() == (
        found.tokenizer.encode([b"wind"])[0].tolist()
    )
    assert again.config.science.model == found.config.science.model
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 16}))
    with pytest.raises(UserError, match=r"has the shape .*, which config.json denies"):
        llama.read(tmp_path)
    for field, value in {
        "rope_theta": 500_000.0,
        "rms_norm_eps": 1e-5,
        "hidden_act": "gelu",
        "model_type": "mistral",
        "rope_scaling": {"factor": 8},
        "mlp_bias": True,
        "rope_parameters": {"rope_theta": 2e6},
        "rope_type": "llama3",
    }.items():
        given = {"rope_parameters": {field: value}} if field == "rope_type" else {field: value}
        (tmp_path / "config.json").write_text(json.dumps({**config, **given}))
        said = "rope_theta" if field == "rope_parameters" else field
        with pytest.raises(UserError, match=rf"config.json: {said}=") as caught:
            llama.read(tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": "x"}, r"config.json: hidden_size='x': expected int"),
        ({"vocab_size": 1.5}, r"config.json: vocab_size=1.5: expected int"),
        ({"num_hidden_layers": True}, r"config.json: num_hidden_layers=True: expected int"),
        ({"num_attention_heads": None}, r"config.json: no num_attention_heads; copy it again"),
        ({"num_attention_heads": 0, "head_dim": None}, r"model.heads=0: must be at least 1"),
        ({"num_key_value_heads": 0}, r"model.kv_heads=0: must be at least 1"),
        ({"num_hidden_layers": 1}, r"'model.layers.1.* is no weight of the model of config.json"),
        ({"tie_word_embeddings": True}, r"'lm_head.weight' is no weight of the model of config"),
    ],
)
def test_a_config_that_its_arrays_deny_is_one_line(fields, message, tmp_path):
    found, _ = drawn("model.layers=2", "model.embeddings=untied")
    llama.write(tmp_path, found)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **fields}))
    with pytest.raises(UserError, match=message) as caught:
        llama.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_again_and_buffers_of_others_are_no_weights(tmp_path):
    found, _ = drawn("model.embeddings=tied")
    llama.write(tmp_path, found)
    arrays = load_file(tmp_path / llama.WEIGHTS)
    arrays[llama.READOUT] = arrays[llama.INPUT].copy()
    arrays["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    save_file(arrays, tmp_path / llama.WEIGHTS)
    assert llama.read(tmp_path).arrays.keys() == found.arrays.keys()


def test_the_folder_of_a_run_is_not_written_over(tmp_path):
    (tmp_path / "config.json").write_text("of a run")
    found, _ = drawn()
    with pytest.raises(UserError, match=r"holds another config\.json; name a new folder"):
        llama.write(tmp_path, found)
    assert (tmp_path / "config.json").read_text() == "of a run"


@pytest.mark.slow
def test_a_run_becomes_a_llama_and_is_evaluated_and_sampled_as_before(
    tmp_path, texts, cache, capsys
):
    job = tiny.job(tmp_path, "model.mlp=swiglu", texts=texts)
    train(job, data.Corpora(cache))
    assert main(["export", str(job.folder), "--llama", str(tmp_path / "llama")]) == 0
    found = []
    for place in (job.folder, tmp_path / "llama"):
        asked = ["--prompt", "the ", "--tokens", "8", "--count", "2", "--json"]
        capsys.readouterr()
        assert main(["sample", str(place), *asked]) == 0
        found.append(json.loads(capsys.readouterr().out)["samples"])
    assert found[0] == found[1] and len(found[0]) == 2
    assert main(["evaluate", str(tmp_path / "llama"), "--cache", str(cache), "--json"]) == 0
    loss = json.loads((job.folder / "summary.json").read_text())["metrics"]["loss"]
    said = json.loads(capsys.readouterr().out)
    assert said["loss"] == pytest.approx(loss, abs=1e-5)
    no_text = ["--prompt", "\udcff", "--tokens", "1"]  # as Python holds a byte that is no UTF-8
    assert main(["sample", str(job.folder), *no_text]) == 0
    assert "\ufffd" in capsys.readouterr().out
    assert main(["sample", str(job.folder), "--tokens", "99"]) == 2
    assert "the context of" in capsys.readouterr().err
