from __future__ import annotations

import pytest

from scaling.common.errors import UserError
from scaling.machines.chips import CHIPS, GIB, chip

# Austin et al. 2025, part 2: bf16 FLOP/s, HBM GB, one-way bytes/s of a link
BOOK = {
    "v3": (1.4e14, 32, 1e11),
    "v4": (2.75e14, 32, 4.5e10),
    "v5e": (1.97e14, 16, 4.5e10),
    "v5p": (4.59e14, 96, 9e10),
    "v6e": (9.2e14, 32, 9e10),
}


@pytest.mark.parametrize("name", BOOK)
def test_tpus_are_those_of_the_book(name: str) -> None:
    """Within 1 %: the book rounds v6e's 918, and of v5p's 96 GiB the runtime keeps one."""
    flops, memory, link = BOOK[name]
    assert chip(name).flops("bfloat16") == pytest.approx(flops, rel=0.01)
    assert chip(name).hbm_bytes == pytest.approx(memory * GIB, rel=0.011)
    assert chip(name).link_bandwidth == link


@pytest.mark.parametrize(("name", "out"), [("a100", 3e11), ("h100", 4.5e11), ("b200", 9e11)])
def test_nvlink_of_one_gpu(name: str, out: float) -> None:
    assert chip(name).links * chip(name).link_bandwidth == out


def test_a_share_of_the_hosts_network() -> None:
    assert chip("v5p").network == 6.25e9
    assert chip("v5e").network == 3.125e9
    assert chip("h100").network == 5e10


@pytest.mark.parametrize(
    ("name", "chips", "sides"),
    [
        ("v5e", 16, (4, 4)),
        ("v5e", 32, (4, 8)),
        ("v5p", 128, (4, 4, 8)),
        ("v5p", 4, (1, 2, 2)),
        ("v6e", 64, (8, 8)),
        ("tpu7x", 1, (1, 1, 1)),
    ],
)
def test_slices_are_as_square_as_can_be(name: str, chips: int, sides: tuple[int, ...]) -> None:
    assert chip(name).torus(chips) == sides


def test_a_dtype_without_units_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"float8.* v5e, which has float32, bfloat16, int8"):
        chip("v5e").flops("float8")


def test_an_unknown_chip_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'v5p'"):
        chip("v5pp")


def test_recalled_figures_are_figures() -> None:
    assert any(known.recalled for known in CHIPS.values())
    for known in CHIPS.values():
        assert all(hasattr(known, name) or name in known.peak for name in known.recalled)
