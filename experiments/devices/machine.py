"""This machine: its devices, found without importing JAX, which would open them.

For a process: the compilation cache and the redirection of output.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from scaling.common.files import writing

Platform = Literal["cpu", "accelerator"]
CAN_PIN = hasattr(os, "sched_setaffinity")
# Settings that decide on the kind and number of JAX's devices, readable without opening them
SETTINGS = ("JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
CHOICES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "TPU_VISIBLE_CHIPS")
TPUS = ("accel[0-9]*", "vfio/[0-9]*")
FILES = ("nvidia[0-9]*", *TPUS)


def platform() -> Platform:
    """The kind of device that JAX will run on, by JAX's rules of discovery."""
    if wanted := os.environ.get("JAX_PLATFORMS"):
        return "cpu" if wanted == "cpu" else "accelerator"
    from importlib.metadata import entry_points  # takes long

    # libtpu compiles for pods on machines that have no TPU
    found = entry_points(group="jax_plugins") or (find_spec("libtpu") and _there(TPUS))
    return "accelerator" if found else "cpu"


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def gpus() -> list[str]:
    """The NVIDIA GPUs that JAX will see, as CUDA_VISIBLE_DEVICES names them."""
    if platform() == "cpu":
        return []
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    there = Path("/dev").glob("nvidia[0-9]*")
    return [str(k) for k in sorted(int(path.name.removeprefix("nvidia")) for path in there)]


def devices() -> list[str | int | None]:
    """The key of this machine's devices: settings, visible devices, device files."""
    chosen = (os.environ.get(name) for name in CHOICES)
    return [
        *(os.environ.get(name) for name in SETTINGS),
        *(text if text is None else len(text.split(",")) for text in chosen),
        *(_there([pattern]) for pattern in FILES),
    ]


def _there(patterns: Sequence[str]) -> int:
    """The number of device files."""
    return sum(len(list(Path("/dev").glob(pattern))) for pattern in patterns)


def use_compilation_cache(cache: Path) -> None:
    """Compile a program once per machine: keep all under ``cache``/xla. Call before compiling."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def redirect_output(log: Path) -> None:
    """Append everything that this process prints from here on, by C++ too, to a file.

    Raises:
        UserError: the disk refuses.
    """
    with writing(log), log.open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
