"""Check a release: the versions agree, both distributions build, install and run the demo.

    python scripts/check_release.py --tag v0.2.0 version build install
    python scripts/check_release.py --tag v0.2.0 notes

``version``  the tag, the package, CITATION.cff and the changelog name one version
``build``    wheel and source distribution into ``dist/``; their metadata and what they hold
``install``  each into an empty environment of its own, then ``sreclip doctor`` and the demo in an
             empty folder, whose zero-shot numbers must be those of ``reports/``
``notes``    print the changelog's section

``version`` and ``notes`` need Python alone, the others what ``make test`` installs. Without a tag
``version`` leaves the changelog's heading out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
# In percent. Another processor rounds otherwise; zero-shot draws nothing.
TOLERANCE = 0.5


def version_of(root: Path) -> str:
    """Return ``sreclip.__version__`` without an import."""
    return found(r'^__version__ = "(.+)"$', root / "sreclip/__init__.py")


def found(pattern: str, path: Path) -> str:
    match = re.search(pattern, path.read_text(), flags=re.MULTILINE)
    if match is None:
        sys.exit(f"{path.name} has no line like {pattern}")
    return match[1]


def check_version(root: Path, tag: str | None) -> None:
    """Exit with a message unless all places name one version."""
    version = version_of(root)
    cited = found(r"^version: (\S+)$", root / "CITATION.cff")
    if cited != version:
        sys.exit(f"CITATION.cff is of version {cited}, sreclip of {version}")
    if tag is None:
        return
    if tag != f"v{version}":
        sys.exit(
            f"the tag is {tag}, the version of sreclip {version}: the tag should be v{version}"
        )
    day = found(rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$", root / "CHANGELOG.md")
    released = found(r"^date-released: (\S+)$", root / "CITATION.cff").strip("\"'")
    if released != day:
        sys.exit(f"CITATION.cff was released on {released}, in CHANGELOG.md on {day}")


def notes_of(root: Path, tag: str) -> str:
    """Return the section of the changelog about a version."""
    start = rf"^## \[{re.escape(tag.removeprefix('v'))}\].*\n"
    return found(rf"{start}((?:(?!## \[)[^\n]*\n)+)", root / "CHANGELOG.md").strip()


def build(root: Path, dist: Path) -> list[Path]:
    """Build both distributions, and check their metadata and what they hold."""
    shutil.rmtree(dist, ignore_errors=True)
    # With the pinned setuptools of this environment. The wheel is built from the other one.
    uv = [sys.executable, "-m", "uv", "build", "--quiet", "--no-build-isolation"]
    run(*uv, "--python", sys.executable, "--out-dir", str(dist), str(root))
    (dist / ".gitignore").unlink(missing_ok=True)
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(source))
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = [path for path in tracked(root) if not (root / path).is_symlink()]
    packaged = {path for path in ours if path.startswith("sreclip/")}
    packaged |= {
        f"sreclip/workflow/snakemake/{path[9:]}" for path in ours if path.startswith("workflow/")
    }
    missing = packaged - names
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    with tarfile.open(source) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    if not {"LICENSE", "README.md", "pyproject.toml"} <= inside:
        sys.exit(f"{source.name} lacks the licence, the README or pyproject.toml")
    return [wheel, source]


def tracked(root: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True)
    return listed.stdout.decode().split("\0")


def install(distribution: Path, torch: str, index: str | None) -> None:
    """Install a distribution into an empty environment, and run the demo in an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "env", with_pip=True)
        python = str(folder / "env/bin/python")
        pinned = [python, str(ROOT / "scripts/install_pinned.py"), "--torch", torch]
        run(*pinned, *(["--index", index] if index else []), str(ROOT / "requirements/demo.txt"))
        # Nothing is left to get: the pinned packages are in the ranges of the metadata.
        pip = [python, "-m", "pip", "--quiet", "install", "--no-index", "--no-build-isolation"]
        run(*pip, f"{distribution}[demo]")
        (folder / "empty").mkdir()
        shutil.copy(ROOT / "params.yaml", folder / "empty")
        for command in (["--version"], ["doctor"], ["run"], ["verify"]):
            run(str(folder / "env/bin/sreclip"), *command, cwd=folder / "empty")
        check_numbers(folder / "empty/reports/metrics.json", ROOT / "reports/metrics.json")


def check_numbers(made: Path, committed: Path) -> None:
    """Exit with a message unless zero-shot and the list of methods are as committed."""
    here, there = (json.loads(path.read_text())["openmoji"]["mini"] for path in (made, committed))
    if list(here) != list(there):
        sys.exit(f"{made} has the methods {list(here)}, not {list(there)}")
    for metric, value in there["zero_shot"].items():
        other = here["zero_shot"][metric]
        if abs(100 * (other["mean"] - value["mean"])) > TOLERANCE:
            sys.exit(f"{metric} of zero_shot is {other['mean']}, committed is {value['mean']}")


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command without a trace of this clone in its environment; exit if it fails."""
    print("$", *command, flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own = f"{Path(command[0]).parent}{os.pathsep}" if Path(command[0]).is_absolute() else ""
    environment["PATH"] = own + environment["PATH"]
    done = subprocess.run(command, cwd=cwd, env=environment, check=False)
    if done.returncode:
        sys.exit(f"failed with exit status {done.returncode}: {' '.join(command)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=("version", "build", "install", "notes"))
    parser.add_argument("--tag", help="the tag of the release, v and the version")
    parser.add_argument("--dist", type=Path, default=DIST)
    parser.add_argument("--torch", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--index", help="where torch for the CPU comes from")
    given = parser.parse_args()
    begun = time.monotonic()
    if "version" in given.parts:
        check_version(ROOT, given.tag)
    if "notes" in given.parts:
        print(notes_of(ROOT, given.tag or f"v{version_of(ROOT)}"))
        return
    if "build" in given.parts:
        build(ROOT, given.dist)
    if "install" in given.parts:
        for distribution in sorted(given.dist.iterdir()):
            install(distribution, given.torch, given.index)
            print(f"== {distribution.name} works ({time.monotonic() - begun:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
