#!/usr/bin/env bash
# Surprise: with arviz 1.3 and h5netcdf 1.8 installed, a posterior still cannot be written. xarray takes h5netcdf as its
# NetCDF engine, since that can be imported, and then fails: h5netcdf no longer installs h5py, through which it writes. Its
# metadata name h5py under an extra only. Without h5netcdf the error names netCDF4 and h5netcdf as what to install, which
# leads right here.
# Who meets it: whoever samples for an hour, then calls to_netcdf() in a fresh environment on Python 3.12 or newer
# (ArviZ 0.23 on 3.11 installed h5py by itself), or follows the first error's advice.
# Our side: h5py is a dependency of its own, and writers are tried before a run starts.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.12}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet arviz==1.3.0 h5netcdf==1.8.2
cd "$folder"
env/bin/python - <<'PY'
import importlib.metadata
import importlib.util

import arviz
import numpy as np

for name in ("arviz", "h5netcdf", "xarray"):
    print(name, importlib.metadata.version(name))
posterior = arviz.from_dict({"posterior": {"x": np.random.default_rng(0).normal(size=(4, 100))}})
print("h5py installed:", importlib.util.find_spec("h5py") is not None)
try:
    posterior.to_netcdf("posterior.nc")
    found = "written"
except ImportError as error:
    found = str(error)
print("to_netcdf:", found)
assert "h5py" in found, "changed: the file was written"
print("h5netcdf requires:", importlib.metadata.requires("h5netcdf"))
PY
