"""Images under DVC: no second copy of them, and a clone that pulls them has nothing to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.conftest import Project, draw_image

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def tracked(made: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give the images to DVC as docs/dvc.md says."""
    made.run("dvc", "config", "cache.type", "hardlink")
    made.run("git", "rm", "-r", "--quiet", "--cached", "data")
    made.run("dvc", "add", "data")
    pipeline = made.folder / "dvc.yaml"
    text = pipeline.read_text()
    assert "deps: [sreclip/data," in text
    pipeline.write_text(text.replace("deps: [sreclip/data,", "deps: [data, sreclip/data,", 1))
    assert made.repro() == {"prepare_data": 1}, "newer folders; the images in them are the same"
    made.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path_factory.mktemp("shelf")))
    made.run("dvc", "push")
    made.commit("Images under DVC")
    return made


def images(folder: Path) -> list[Path]:
    return sorted((folder / "data").rglob("*.png"))


def test_there_is_no_second_copy(tracked: Project) -> None:
    """Each image and its object in the cache are one file, which nobody can write to."""
    cached = {path.stat().st_ino for path in (tracked.folder / ".dvc/cache").rglob("*")}
    for path in images(tracked.folder):
        assert path.stat().st_ino in cached
        assert not path.stat().st_mode & 0o222
    assert tracked.changed() == {}


def test_a_clone_pulls_images_and_results_in_any_order(tracked: Project, tmp_path: Path) -> None:
    tracked.run("git", "clone", "--quiet", str(tracked.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    stages = ("data", "graph", "features", "train", "evaluate", "report")
    clone.run("dvc", "pull", *stages)
    clone.run("dvc", "pull")  # the images' folders are the newest now
    assert len(images(clone.folder)) == len(images(tracked.folder))
    assert clone.changed() == {}
    assert clone.planned_jobs("all") == {}
    assert clone.repro() == {}

    draw_image(clone.folder / "data/target/cat/99.png", 0, 999, lines=True)
    assert "data" in clone.changed()
    assert clone.planned_jobs("all") == {"prepare_data": 1}


def test_symbolic_links_into_the_cache_are_refused(tracked: Project, tmp_path: Path) -> None:
    tracked.run("git", "clone", "--quiet", str(tracked.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "config", "cache.type", "symlink")
    clone.run("dvc", "pull", "data.dvc")
    assert images(clone.folder)[0].is_symlink()
    said = clone.run("sreclip", "prepare-data", check=False)
    assert said.returncode == 2
    assert "the link leads out of the data root" in said.stderr


def test_images_of_a_shared_folder_are_imported(made: Project, tmp_path: Path) -> None:
    for kind, name in enumerate(("cat", "dog")):
        for domain in ("source", "target"):
            place = tmp_path / f"shared/{domain}/{name}/a.png"
            draw_image(place, kind, kind + 10 * (domain == "target"), lines=False)
    small = Project(tmp_path / "small")
    small.folder.mkdir()
    small.run("dvc", "init", "--quiet", "--no-scm")
    small.run("dvc", "import-url", str(tmp_path / "shared"), "images")
    params = "task: {name: folder, folder: {root: images}}\ngraph: {senses: {}}\n"
    (small.folder / "params.yaml").write_text(params)
    assert "2 source and 2 target" in small.run("sreclip", "prepare-data").stderr
    assert small.changed() == {}
