"""With a separator, a token sees those of its own document alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from quick import cases
from shared_out import apart

from experiments.devices.resolve import resolve
from experiments.sweep.preflight import check_vocabulary
from experiments.training.objective import loss
from models.config import TransformerConfig
from models.module import Spec
from models.transformer import apply, empty_state, follow, init
from scaling.common.errors import UserError
from scaling.counting.formulas import flops_model
from scaling.counting.traced_flops import matmul_flops

END, FIRST = 0, 7  # the token that ends a document, and the place where the second begins
CONFIG = TransformerConfig(
    layers=2, width=8, heads=4, kv_heads=2, head_dim=4, ffn=12, vocab_size=11, separator=END
)
# five tokens and their end, a document that is empty, and the second, of tokens of its own
WINDOWS = jnp.array([[1, 2, 3, 4, 5, END, END, 6, 7, 8, 9, 10, 6]] * 2)
MODELS: dict[str, dict[str, Any]] = {
    "rope": {},
    "no positions, peri": {"positions": "none", "norms": "peri"},
    "parallel, shared": {"block": "parallel", "sharing": "cycle", "layers_unique": 1},
    "experts": {"experts": 4, "capacity_factor": 2.0},
    "windows in blocks": {"pattern": ("sliding_window:window=3",)},
    "alibi, windows": {"pattern": ("alibi", "sliding_window:window=5")},
    "switch_head": {"pattern": ("switch_head:experts=2:active=1",), "capacity_factor": 2.0},
}


def _params(config: TransformerConfig) -> Any:
    return jax.jit(partial(init, Spec(config), 12))(jax.random.key(0))


def _of_second(config: TransformerConfig, params: Any) -> Any:
    """The loss of the second document, from the logits of the whole window."""
    logits = apply(Spec(config), params, WINDOWS[:, :-1])[:, FIRST:]
    labels = WINDOWS[:, FIRST + 1 :, None]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels, axis=-1).mean()


@pytest.mark.parametrize("name", cases(MODELS, ("rope",)))
def test_the_loss_of_a_document_is_that_of_it_alone(name: str) -> None:
    """In a window that holds others before it, where one text would have another loss."""
    config = replace(CONFIG, **MODELS[name])
    params, one_text = _params(config), replace(config, separator=-1)
    alone = jax.jit(partial(loss, Spec(config)))(params, WINDOWS[:, FIRST:])
    within, joined = (jax.jit(partial(_of_second, each))(params) for each in (config, one_text))
    np.testing.assert_allclose(within, alone, rtol=1e-5)
    assert abs(joined - alone) > 1e-3


def test_no_gradient_crosses_the_end_of_a_document() -> None:
    """None of the second's loss reaches rows of the embedding that only the first has."""
    config = replace(CONFIG, layers=1, embeddings="untied")
    params = _params(config)
    of = {
        end: jax.jit(jax.grad(partial(_of_second, replace(config, separator=end))))(params)
        for end in (END, -1)
    }
    np.testing.assert_array_equal(of[END]["embedding"][:6], 0)
    assert np.abs(of[END]["embedding"][6:10]).max(-1).min() > 0
    assert np.abs(of[-1]["embedding"][:10]).max(-1).min() > 0


def test_the_first_document_has_the_logits_of_one_text() -> None:
    """And its separator is its last token."""
    config = replace(CONFIG, layers=1)
    params = _params(config)
    within, joined = (
        jax.jit(partial(apply, Spec(each)))(params, WINDOWS)
        for each in (config, replace(config, separator=-1))
    )
    np.testing.assert_allclose(within[:, :6], joined[:, :6], rtol=1e-5, atol=1e-6)
    assert np.abs(within - joined)[:, 6:].max(-1).min() > 1e-3


@pytest.mark.parametrize("name", cases(("rope", "alibi, windows", "switch_head"), ("rope",)))
def test_tokens_are_generated_within_their_document(name: str) -> None:
    """Several at once and then one by one, over the ends of documents."""
    config = replace(CONFIG, **MODELS[name])
    spec, params, length = Spec(config), _params(config), WINDOWS.shape[1]
    whole = apply(spec, params, WINDOWS)
    step = jax.jit(partial(follow, spec))
    found, state = step(params, empty_state(spec, 2, length), WINDOWS[:, :5])
    found = [found]
    for t in range(5, length):
        more, state = step(params, state, WINDOWS[:, t : t + 1])
        found.append(more)
    np.testing.assert_allclose(jnp.concatenate(found, 1), whole, rtol=1e-4, atol=1e-5)


def test_flops_are_those_of_the_whole_square() -> None:
    spec = Spec(CONFIG)
    traced = matmul_flops(partial(apply, spec), _params(CONFIG), WINDOWS)
    assert 3 * traced == flops_model(CONFIG.dims(WINDOWS.shape[1])) * WINDOWS.size


def test_a_member_of_a_population_has_the_gradients_of_its_solo_run() -> None:
    config = replace(CONFIG, layers=1)
    slope = jax.grad(partial(loss, Spec(config)))
    members = [_params(config), jax.tree.map(lambda w: -0.7 * w, _params(config))]
    stack = jax.tree.map(lambda *w: jnp.stack(w), *members)
    together = jax.jit(jax.vmap(slope, (0, None)))(stack, WINDOWS)
    for k, own in enumerate(members):
        alone = jax.jit(slope)(own, WINDOWS)
        assert apart(jax.tree.map(lambda w, k=k: w[k], together), alone) < 1e-6


STATES = {"gated_delta", "lstm", "qlstm", "retention"}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        *(
            (f"pattern={name}", f"model.separator=0: {name} sees documents as")
            for name in sorted(STATES)
        ),
        ("separator=256", "model.separator=256: must be -1"),
        ("separator=-2", "model.separator=-2: must be -1"),
        ("positions=learned", "model.separator=0: rows of learned positions"),
    ],
)
def test_a_model_that_cannot_have_documents_apart_is_one_line(field: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}") as caught:
        tiny.config("model.separator=0", f"model.{field}")
    assert "\n" not in str(caught.value)


def test_what_documents_go_with() -> None:
    """Kernels without a mask of documents, stages, recursions and other tokenizers are refused."""
    made = tiny.config("model.separator=0")
    assert resolve(made, "cpu").program.attention == "xla"
    assert resolve(made, "tpu").program.attention == "xla"
    stages = ("execution.layout.name=pipeline", "execution.layout.stage=2", "model.layers=2")
    with pytest.raises(UserError, match=r"layout.stage=2: .* model.separator=0 needs the doc"):
        resolve(tiny.config("model.separator=0", *stages), "cpu", 2)
    again = ("model.sharing=cycle", "model.layers=2", "model.recursion=token_choice")
    with pytest.raises(UserError, match="gathers have no documents"):
        tiny.config("model.separator=0", *again)

    class Tokenizer:
        separator = 5

    class Mixture:
        vocab_size, tokenizer = made.science.model.vocab_size, Tokenizer()

    with pytest.raises(UserError, match=r"ends documents with 5; set model\.separator=5"):
        check_vocabulary(made.science, Mixture())
