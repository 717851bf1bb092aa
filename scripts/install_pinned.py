"""Install a file of pinned requirements into this Python, with or without CUDA.

    python scripts/install_pinned.py requirements/demo.txt
    python scripts/install_pinned.py --torch cpu requirements/demo.txt

On Linux the torch that PyPI has comes with CUDA: 4.7 GB of an environment of 7. ``--torch cpu``
installs the builds of the same versions without it, from PyTorch's own index, and all other
requirements without what only CUDA needs. On other systems PyPI's torch has no CUDA.

PyTorch's index gives its files hashes of its own, which are not in the requirements: torch and
torchvision for the CPU are trusted as that index serves them. All else is checked against the
hashes of the file.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INDEX = "https://download.pytorch.org/whl/cpu"
OTHER_BUILDS = ("torch", "torchvision")
CUDA = ("cuda-", "nvidia-", "triton")


def requirements_of(text: str) -> list[str]:
    """Split pinned requirements into one text each, with hashes and comments.

    A package has several where its version depends on that of Python.
    """
    return re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]


def name_of(requirement: str) -> str:
    return requirement.partition("==")[0]


def without_cuda(text: str) -> tuple[list[str], list[str]]:
    """Return the requirements that are the same without CUDA, and those with another build."""
    same, builds = [], []
    for each in requirements_of(text):
        if name_of(each) in OTHER_BUILDS:
            builds.append(each.split()[0] + "+cpu")
        elif not name_of(each).startswith(CUDA):
            same.append(each)
    return same, builds


def install(path: Path, torch: str, index: str) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    if torch == "cuda" or sys.platform != "linux":
        subprocess.run([*pip, "--require-hashes", "-r", str(path)], check=True)
        return
    same, builds = without_cuda(path.read_text())
    # The file names everything that is needed, and pip would look for a torch with hashes.
    pip.append("--no-deps")
    subprocess.run([*pip, "--index-url", index, *builds], check=True)
    with tempfile.TemporaryDirectory() as folder:
        rest = Path(folder) / path.name
        rest.write_text("".join(same))
        subprocess.run([*pip, "--require-hashes", "-r", str(rest)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--torch", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--index", default=INDEX, help="where torch for the CPU comes from")
    given = parser.parse_args()
    try:
        install(given.file, given.torch, given.index)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
