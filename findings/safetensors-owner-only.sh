#!/usr/bin/env bash
# Surprise: a file that safetensors 0.8.0 saves can be read by its owner alone (mode 600), whatever the umask says; up to 0.7.0
# it had the rights of any new file (644 under the usual umask). A file that was there before, and was readable, is 600 after
# it is saved again: the new version writes another file and moves it into place.
# Who meets it: whoever trains under one account and serves, copies or backs up under another one, from a shared folder, a
# volume of containers or a group's disk: "permission denied" after an upgrade that nothing else tells.
# Our side: checkpoints, saved fits, networks and selections are given the rights that new files have.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
cat > "$folder/save.py" <<'PY'
import os
import stat
import sys
from importlib.metadata import version

import numpy as np
from safetensors.numpy import save_file

os.umask(0o022)
with open("kept.safetensors", "wb"):
    pass
os.chmod("kept.safetensors", 0o664)
found = []
for name in ("new.safetensors", "kept.safetensors"):
    save_file({"weight": np.ones((2, 3), np.float32)}, name)
    found.append(f"{stat.S_IMODE(os.stat(name).st_mode):o}")
    os.remove(name)
print(f"safetensors {version('safetensors')}: a new file has mode {found[0]}, one that was there with 664 has {found[1]}")
wanted = sys.argv[1:]
assert found == wanted, f"changed: {wanted} expected"
PY
cd "$folder"
env/bin/pip install --quiet numpy==2.2.6 safetensors==0.7.0
env/bin/python save.py 644 664
env/bin/pip install --quiet safetensors==0.8.0
env/bin/python save.py 600 600
