"""Draw text from a trained model, after a prompt.

PATH is a run's folder, or what export wrote. The context of its training is the most that a
prompt and its text may have together; by default a text fills it.

examples:
  windtunnel sample runs/quickstart/RUN --prompt "def " --temperature 0.7
  windtunnel sample model.safetensors --prompt "import " --count 3 --top-p 0.9
"""

from __future__ import annotations

import argparse
import os

from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.quantities import count, not_negative, share, whole
from scaling.common.remote import local


def add(parser: Parser) -> None:
    parser.add_argument("path", type=local, metavar="PATH", help="runs/STUDY/RUN, or an export")
    parser.add_argument("--prompt", default="", help="the text before; none: a document's start")
    parser.add_argument("--tokens", type=count, help="of each text (default: to fill the context)")
    parser.add_argument("--count", type=count, default=1, help="of texts")
    parser.add_argument("--temperature", type=not_negative, default=1.0, help="0: the likeliest")
    parser.add_argument("--top-k", type=whole, default=0, help="likeliest tokens kept; 0: all")
    parser.add_argument("--top-p", type=share, default=1.0, help="probability kept")
    parser.add_argument("--seed", type=whole, default=0, help="of the draw")


def run(options: argparse.Namespace) -> Answer:
    import numpy as np

    from experiments.evaluation.model import Sampler
    from experiments.evaluation.sampling import sample, seed_of
    from experiments.training.exports.forms import model_of
    from experiments.training.exports.single_file import from_arrays
    from experiments.training.step import recipe

    found = model_of(options.path)
    made, tokenizer = recipe(found.config), found.tokenizer
    typed = os.fsencode(options.prompt)  # whatever its bytes are
    said = typed.decode("utf-8", errors="replace")
    (given,) = tokenizer.encode([typed])
    prompt = np.append(np.int32(tokenizer.separator), given.astype(np.int32))
    room = made.seq_len - len(prompt)
    new = room if options.tokens is None else options.tokens
    if not 1 <= new <= room:
        raise UserError(
            f"--tokens {max(new, 1)}: the context of {options.path} is {made.seq_len}, and its "
            f"prompt takes {len(prompt)}"
        )
    params = from_arrays(made, found.arrays, str(options.path))
    options.progress("drawing")
    texts = sample(
        made.spec,
        params,
        [prompt] * options.count,
        [seed_of(said, k, options.seed) for k in range(options.count)],
        new,
        Sampler(options.temperature, options.top_k, options.top_p),
    )
    for tokens in texts:
        text = tokenizer.decode(tokens).decode("utf-8", errors="replace")
        yield Line("{prompt}{text}", "samples", prompt=said, text=text)
    return 0
