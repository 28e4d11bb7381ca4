"""Work of a study of thousands of runs that is done once, not once for each."""

from __future__ import annotations

from experiments.__main__ import main
from experiments.plan import run as run_module
from scaling.common.errors import _choices


def test_each_identity_is_hashed_once_and_annotations_are_read_once(
    study_file, cache, tmp_path, monkeypatch
):
    hashed, identity = [], run_module.identity
    monkeypatch.setattr(run_module, "identity", lambda *of: hashed.append(of) or identity(*of))
    _choices.cache_clear()
    assert main(["status", study_file, "--out", str(tmp_path / "out"), "--cache", str(cache)]) == 0
    assert 4 <= len(hashed) <= 2 * 4, "of four runs, before and after their corpus is known"
    found = _choices.cache_info()
    assert found.misses == found.currsize < found.hits / 3
