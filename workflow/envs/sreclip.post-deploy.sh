#!/usr/bin/env bash
# Snakemake runs this in the new environment, from the folder that it was started in.
set -euo pipefail
if [ ! -e requirements/demo.txt ]; then
	echo "the environment for conda can be made in a clone alone; run without conda here" >&2
	exit 1
fi
python -m pip install -r requirements/demo.txt
python -m pip install --no-deps --no-build-isolation --editable .
