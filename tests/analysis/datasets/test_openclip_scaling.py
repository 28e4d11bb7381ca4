"""CLIP models: the slope of the error over compute that is known for all of them."""

from __future__ import annotations

import numpy as np
from paths import needs_tables

from analysis.datasets import load

pytestmark = needs_tables("openclip_scaling/raw")


def test_imagenet_error_falls_with_compute_as_known():
    table = load("openclip_scaling")
    assert table["run_id"].nunique() == 32
    rows = table.query("evaluation == 'imagenet1k' and corpus != 'CLIP-WIT'")
    assert len(rows) == 29
    slope = np.polyfit(np.log(rows["gmacs"]), np.log(rows["error_top1"]), 1)[0]
    assert abs(slope + 0.10124644250296284) < 1e-6
    np.testing.assert_allclose(rows["gmacs"], rows["samples"] * rows["gmacs_per_sample"], rtol=1e-6)
    retrieval = table.query("evaluation == 'mscoco_captions'")
    assert retrieval[["error_image_r5", "error_text_r5"]].notna().all(axis=None)
