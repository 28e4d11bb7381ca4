"""The tiny run of the neighbours, here and in the processes that are started."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))
