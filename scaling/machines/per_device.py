"""What one device has of a run under a layout: parameters, tokens, and whether they divide at all.

Letters as in `scaling.counting.formulas`; which letter lies along which axis is `models.layout`:
layers along stage, heads, feed-forward and vocabulary along tensor, width along fsdp, sequences
along data, fsdp and expert, experts along expert, positions along sequence. Key-value heads and a
vocabulary that the tensor axis does not divide stay whole on each of its devices.
"""

from __future__ import annotations

from scaling.common.errors import UserError
from scaling.counting.formulas import Dims
from scaling.machines.layout import BATCH, Layout


def part(whole: int, ways: int) -> int:
    """The largest of so many parts."""
    return -(-whole // ways)


def _ways(size: int, tensor: int) -> int:
    """Into how many parts that axis splits something that may stay whole."""
    return tensor if size % tensor == 0 else 1


def kv_heads(s: Dims, layout: Layout) -> int:
    """Key-value heads of one device."""
    return s.kv_heads // _ways(s.kv_heads, layout.sizes["tensor"])


def vocab(s: Dims, layout: Layout) -> int:
    """Rows of the embedding, and columns of the logits, of one device."""
    return s.vocab // _ways(s.vocab, layout.sizes["tensor"])


def layers(s: Dims, layout: Layout) -> int:
    """Layers that one device works on."""
    return part(s.layers, layout.sizes["stage"])


def params_blocks(s: Dims, layout: Layout) -> int:
    """Of one device in the layers, as they are used: whole along fsdp; all gains and biases too."""
    tensor = layout.sizes["tensor"]
    heads = 2 * part(s.heads, tensor) + 2 * kv_heads(s, layout)
    layer = s.width * (s.head_dim * heads + s.experts)
    if not s.experts:
        layer += s.ffn_matrices * s.width * part(s.ffn, tensor)
    vectors = part(s.vectors, layout.sizes["stage"])
    return layers(s, layout) * layer + params_experts(s, layout) + vectors


def params_experts(s: Dims, layout: Layout) -> int:
    """Of one device in matrices of experts, which no other device along that axis has."""
    sizes = layout.sizes
    own = part(s.experts, sizes["expert"]) * s.ffn_matrices * s.width * part(s.ffn, sizes["tensor"])
    return layers(s, layout) * own


def params_ends(s: Dims, layout: Layout) -> int:
    """Of one device in embedding, position table and readout, whole along fsdp."""
    return ((2 - s.tied) * vocab(s, layout) + s.positions) * s.width


def tokens(s: Dims, sequences: int, layout: Layout) -> int:
    """Of so many sequences, the tokens of one device."""
    sizes = layout.sizes
    return part(sequences, layout.batch_ways) * part(s.context, sizes["sequence"])


def pipeline_parts(layout: Layout) -> int:
    """Parts of a microbatch on its way through the stages."""
    stages = layout.sizes["stage"]
    return 1 if stages == 1 else layout.parts or 2 * stages


def check(s: Dims, sequences: int, microbatch: int, layout: Layout) -> None:
    """What a layout splits divides by its axes.

    Raises:
        UserError: something does not.
    """
    sizes, ways = layout.sizes, layout.batch_ways
    batch = " x ".join(f"{axis} {sizes[axis]}" for axis in BATCH)
    share = part(microbatch, ways)
    for name, whole, parts, axes in (
        ("batch.sequences", sequences, microbatch, "execution.microbatch"),
        ("execution.microbatch", microbatch, ways, batch),
        ("model.width", s.width, sizes["fsdp"], "fsdp"),
        ("model.heads", s.heads, sizes["tensor"], "tensor"),
        ("model.ffn", s.ffn, sizes["tensor"], "tensor"),
        ("model.layers", s.layers, sizes["stage"], "stage"),
        ("model.experts", s.experts, sizes["expert"], "expert"),
        ("batch.seq_len", s.context, sizes["sequence"], "sequence"),
        ("execution.microbatch", share * ways, pipeline_parts(layout) * ways, "pipeline's parts"),
    ):
        if whole % parts:
            raise UserError(
                f"{name}={whole} does not divide by {parts} ({axes}); "
                f"choose a multiple of {parts}, or other sizes of execution.layout"
            )
