"""The site that `make site` builds: whole, still, and usable at every width."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import WIDTHS, browser, open_page, serious

__all__ = ["browser", "open_page"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SHOWN = ("", "start/", "concepts/", "extend/", "methods/", "results/", "parameters/", "commands/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with every warning an error."""
    folder = tmp_path_factory.mktemp("site")
    settings = (ROOT / "zensical.toml").read_text()
    assert settings.count('"docs"') == settings.count('"site"') == 1
    # Built elsewhere: tests leave no file in the checkout.
    (folder / "zensical.toml").write_text(settings)
    shutil.copytree(DOCS, folder / "docs")
    program = Path(sys.executable).parent / "zensical"
    done = subprocess.run(
        [program, "build", "--clean", "--strict"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def test_the_site_has_every_page(site: Path) -> None:
    named = re.findall(r'= "([\w-]+)\.md"', (ROOT / "zensical.toml").read_text())
    assert sorted(named) == sorted(page.stem for page in DOCS.glob("*.md"))
    for name in named:
        path = site / "index.html" if name == "index" else site / name / "index.html"
        assert "<h1" in path.read_text(), name


def test_the_site_asks_nothing_of_others(site: Path) -> None:
    page = (site / "index.html").read_text()
    asked = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="(https?://[^"]+)"', page)
    assert asked == []


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SHOWN)
def test_pages_fit_and_images_load(
    address: str, open_page: Callable[..., Page], name: str, width: int
) -> None:
    page = open_page(address + name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    images = page.locator("article img")
    loaded = images.evaluate_all("all => all.map(each => each.complete && each.naturalWidth > 0)")
    assert all(loaded)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(address: str, open_page: Callable[..., Page], scheme: str) -> None:
    page = open_page(f"{address}concepts/", 1280, color_scheme=scheme)
    assert serious(page) == []


def test_the_search_finds(address: str, open_page: Callable[..., Page]) -> None:
    page = open_page(address, 1280)
    page.get_by_role("button", name="Search").first.click()
    page.wait_for_timeout(500)
    page.keyboard.type("harmonic")
    page.get_by_text(re.compile(r"^[1-9]\d* results?$")).wait_for(timeout=10_000)
