"""`scripts/export-check`, without the gigabytes that it installs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

# Makes an environment whose programs write down how they were called.
PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
for name in python pip pytest; do
    printf '#!/bin/sh\\necho "%s $*" >>calls\\n' "$name" >"$3/bin/$name"
    chmod +x "$3/bin/$name"
done
"""


def test_the_export_is_tested_with_the_images_pytorch(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/export-check", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    subprocess.run(
        [tmp_path / "scripts" / "export-check", "-x"],
        env={**os.environ, "PYTHON": str(python)},
        check=True,
    )
    (pinned,) = re.findall(r"^ARG TORCH_VERSION=(.+)$", (ROOT / "Dockerfile").read_text(), re.M)
    install, _, tests = (tmp_path / "calls").read_text().splitlines()
    assert install.startswith("pip install ")
    assert f"torch=={pinned}" in install.split()
    assert tests == "pytest tests/export -x"
