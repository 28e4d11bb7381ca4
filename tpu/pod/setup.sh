#!/bin/bash
# An environment for TPUs in the folder given, from the constraints of this repository. Ubuntu 22.04
# of TPU machines has Python 3.10, which is too old: uv brings its own 3.12.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 -m pip install --quiet uv
[ -x "$1/bin/python" ] || python3 -m uv venv --python 3.12 "$1"
python3 -m uv pip install --quiet --python "$1" --constraint constraints/py312.txt --editable '.[tpu]'
