"""The page in a real browser: nothing fetched, nothing overflowing, everything legible."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic import Plan, train_held_out, write_study

from analysis.inference import forecast
from analysis.report.predict import predict_held_out
from analysis.report.report import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on the path")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = Plan(statuses={3: "diverged"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecast, "BOOTSTRAP", 60)
        folder = write_study(tmp_path_factory.mktemp("report") / "study", plan)
        predict_held_out(folder)
        train_held_out(folder, plan)
        write_report(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_page(browser: Any, page_file: Path, width: int, height: int, scheme: str):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(page_file.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert [url for url in asked if url.startswith("file:")] == [page_file.as_uri()]

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, dd, dt, td, li, figcaption')]"
        ".map(each => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(sizes) >= 15
    figures = page.evaluate(
        "[...document.images].map(each => [each.alt, each.naturalWidth, each.clientWidth,"
        " each.clientHeight])"
    )
    assert len(figures) == 9
    for alt, natural, wide, tall in figures:
        assert len(alt) > 20
        assert natural > 0 and wide >= 300 and tall >= 200
    outside = page.evaluate(
        "[...document.querySelectorAll('h1, h2, p, dl, figure, .scroll')]"
        ".filter(each => each.getBoundingClientRect().right > innerWidth + 0.5).length"
    )
    assert outside == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    first = int(background.removeprefix("rgb(").partition(",")[0])
    assert (first > 200) == (scheme == "light")
    context.close()
