from __future__ import annotations

import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.runs.checkpoint import Checkpoints, kept
from experiments.runs.checksums import SEAL, damage, seal
from scaling.common.errors import UserError


def state(value: float, size: int = 100):
    return {"step": jnp.int32(value), "params": {"w": jnp.full(size, value), "k": jnp.arange(3)}}


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def save(folder: Path, *steps: int, **policy) -> None:
    with Checkpoints(folder, **policy) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step))


def restore(folder: Path):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(state(0))


def restore_and_move(folder: Path, told: list[str]):
    """As the owner of a run does."""

    def aside(checkpoint: Path, reason: str) -> None:
        told.append(reason)
        checkpoint.rename(folder.with_name(f"aside.{checkpoint.name}"))

    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(state(0), aside)


def truncate(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    truncate_file(max(files, key=lambda file: file.stat().st_size))


def truncate_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def break_the_seal(folder: Path) -> None:
    truncate_file(folder / SEAL)


def remove_metadata(folder: Path) -> None:
    for file in folder.rglob("_METADATA"):
        file.unlink()


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def content(name: str, text: bytes) -> Callable[[Path], None]:
    """Replace files of an unsealed checkpoint."""

    def damage(folder: Path) -> None:
        (folder / SEAL).unlink()
        found = [path for path in folder.rglob(name) if path.is_file()]
        assert found
        for file in found:
            file.write_bytes(text)

    return damage


CONTENTS = [
    content(*case)
    for case in (
        ("_METADATA", b""),
        ("_METADATA", b"[]"),
        ("_METADATA", b"\xff{"),
        ("manifest.ocdbt", b"{"),
        ("*", bytes(64)),
    )
]


def test_without_a_checkpoint_the_given_state_comes_back(tmp_path):
    assert_same(restore(tmp_path / "none"), state(0))


def test_latest_is_restored_with_its_types_and_two_are_kept(tmp_path):
    save(tmp_path, 1, 3, 5, 10)
    assert_same(restore(tmp_path), state(10))
    assert restore(tmp_path)["params"]["k"].dtype == jnp.int32
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["10", "5"]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [
        ({"keep": 1}, [6]),
        ({"keep": 3}, [4, 5, 6]),
        ({"keep": 1, "permanent": (2, 4)}, [2, 4, 6]),
        ({"keep": 2, "permanent": (1, 6)}, [1, 5, 6]),
    ],
)
def test_newest_are_kept_and_permanent_ones_besides(tmp_path, policy, kept):
    save(tmp_path, 1, 2, 3, **policy)
    save(tmp_path, 4, 5, 6, **policy)  # a second opening removes none that the first one kept
    assert sorted(int(folder.name) for folder in tmp_path.iterdir()) == kept


def test_permanent_checkpoint_is_restored_where_the_newest_are_damaged(tmp_path):
    save(tmp_path, 1, 2, 3, permanent=(1,))
    truncate(tmp_path / "2")
    truncate(tmp_path / "3")
    assert_same(restore(tmp_path), state(1))


def test_no_save_is_declined_while_another_is_under_way(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(1, 6):
            checkpoints.save(step, state(step, size=300_000))
    with Checkpoints(tmp_path) as checkpoints:
        assert_same(checkpoints.restore(state(0, size=300_000)), state(5, size=300_000))


def test_saved_state_may_be_donated_at_once(tmp_path):
    """The step that follows takes the buffers while they are still being written."""
    overwrite = jax.jit(lambda s: jax.tree.map(lambda x: x * 0 - 1, s), donate_argnums=0)
    saved = state(7, size=3_000_000)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(7, saved)
        for _ in range(5):
            saved = jax.block_until_ready(overwrite(saved))
    with Checkpoints(tmp_path) as checkpoints:
        assert_same(checkpoints.restore(saved), state(7, size=3_000_000))


@pytest.mark.parametrize("damage", [truncate, remove_metadata, break_the_seal, empty, *CONTENTS])
def test_damaged_checkpoint_gives_way_to_the_one_before_it(tmp_path, damage):
    folder, told = tmp_path / "checkpoints", []
    save(folder, 1, 9)
    damage(folder / "9")
    assert_same(restore(folder), state(1))  # a reader leaves it where it is
    assert (folder / "9").exists()
    assert_same(restore_and_move(folder, told), state(1))
    assert len(told) == 1
    assert "\n" not in told[0]
    assert (tmp_path / "aside.9").exists()
    save(folder, 2, 3)  # below the damaged step
    assert_same(restore(folder), state(3))


def test_save_follows_in_the_process_that_found_the_damage(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, 1, 9)
    truncate(folder / "9")
    with Checkpoints(folder) as checkpoints:
        checkpoints.restore(state(0), lambda checkpoint, _: checkpoint.rename(tmp_path / "aside"))
        checkpoints.save(2, state(2))
    assert_same(restore(folder), state(2))


def test_whole_checkpoint_of_another_model_stays_and_is_one_line(tmp_path):
    folder, told = tmp_path / "checkpoints", []
    save(folder, 1)
    with (
        Checkpoints(folder) as checkpoints,
        pytest.raises(UserError, match=r"1: whole, and cannot be loaded"),
    ):
        checkpoints.restore(state(0, size=7), lambda *_: told.append(_))
    assert told == []
    assert_same(restore(folder), state(1))


def test_flipped_bit_of_an_array_is_seen(tmp_path):
    """Orbax alone reads it back as another number."""
    noise = {"w": jax.random.normal(jax.random.key(0), (100_000,))}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, noise)
        checkpoints.save(2, noise)
    largest = max((tmp_path / "2").rglob("?*"), key=lambda file: file.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with Checkpoints(tmp_path) as checkpoints:
        assert_same(checkpoints.restore(noise), noise)


def test_save_without_a_seal_gives_way_to_the_one_before_it(tmp_path):
    """Killed before its checksums, so nobody knows that its bytes are whole."""
    save(tmp_path, 1, 2)
    (tmp_path / "2" / SEAL).unlink()
    assert "its save was cut short" in str(damage(tmp_path / "2"))
    assert_same(restore(tmp_path), state(1))


def test_seal_is_written_as_soon_as_the_save_is_whole(tmp_path):
    """Not at the next save: a kill between two saves loses none."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state(1))
        deadline = time.monotonic() + 60
        while not (tmp_path / "1" / SEAL).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_no_readable_checkpoint_is_one_line_for_a_reader_and_a_new_start_for_the_owner(tmp_path):
    folder, told = tmp_path / "checkpoints", []
    save(folder, 1, 2)
    truncate(folder / "1")
    truncate(folder / "2")
    with pytest.raises(UserError, match=r"no checkpoint can be read \(steps \[2, 1\]\)") as caught:
        restore(folder)
    assert "\n" not in str(caught.value)
    assert_same(restore_and_move(folder, told), state(0))
    assert len(told) == 2
    save(folder, 1)
    assert_same(restore(folder), state(1))


def test_unfinished_save_is_passed_over_and_cleaned_up(tmp_path):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "1", tmp_path / "2.orbax-checkpoint-tmp")
    assert_same(restore(tmp_path), state(1))
    save(tmp_path, 2)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["1", "2"]


def test_full_disk_is_one_line_and_leaves_the_one_before(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(UserError, match=r"cannot write \(File too large\); make room"):
        save_with_small_files(tmp_path)
    assert_same(restore(tmp_path), state(1))


def save_with_small_files(folder: Path) -> None:
    """Save where no file may grow beyond a limit, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with Checkpoints(folder) as checkpoints:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
            checkpoints.save(2, {"w": jnp.arange(1_000_000.0)})  # a constant compresses to nothing
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_error_that_is_not_of_the_disk_stays_what_it_is(tmp_path):
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(ValueError, match="None"):
        checkpoints.save(1, None)


def test_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_a_name_that_no_step_has_is_no_checkpoint(tmp_path):
    for name in ("7", "9" * 30, "8.tmp"):
        (tmp_path / name).mkdir()
        seal(tmp_path / name)
    assert kept(tmp_path) == [7]
