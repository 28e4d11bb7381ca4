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
from analysis.report.report import write_page
from analysis.tables.study import load_study

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
        write_page(load_study(folder))
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
    page.evaluate("ready")
    charts = page.evaluate(
        "[...document.querySelectorAll('.plot')].map(each => [each.querySelector('img').alt,"
        " each.querySelectorAll('.chart svg').length, each.clientWidth, each.clientHeight])"
    )
    assert len(charts) == 9
    for alt, drawn, wide, tall in charts:
        assert len(alt) > 20
        assert drawn == 1 and wide >= 300 and tall >= 200
    cells = ", #rows td, pre, .chart text" if width < 600 else ""  # a phone hides no column
    outside = page.evaluate(
        f"[...document.querySelectorAll('h1, h2, p, dl, figure, .scroll{cells}')]"
        ".filter(each => each.getBoundingClientRect().right > innerWidth + 0.5).length"
    )
    assert outside == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    first = int(background.removeprefix("rgb(").partition(",")[0])
    assert (first > 200) == (scheme == "light")
    context.close()


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.goto(page_file.as_uri())
    opened.evaluate("ready")
    yield opened
    context.close()


def test_charts_are_drawn_anew_where_the_page_gets_narrow(page: Any):
    """As a phone does that is turned; names of a legend have columns by their lengths."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        "[...document.querySelectorAll('.chart text')]"
        ".every(each => each.getBoundingClientRect().right <= innerWidth + 0.5)",
        timeout=10_000,
    )


def test_tables_sort_and_filter(page: Any):
    def column(name: str) -> list[str]:
        return page.evaluate(
            "name => { const { tHead, tBodies } = document.getElementById('rows');"
            " const heads = [...tHead.rows[0].cells];"
            " const at = heads.findIndex(each => each.innerText.startsWith(name));"
            " const rows = [...tBodies[0].rows].filter(each => !each.hidden);"
            " return rows.map(each => each.cells[at].innerText) }",
            name,
        )

    page.click("#rows th:has-text('D/N') button")
    ratios = [float(text) for text in column("D/N")]
    assert ratios == sorted(ratios) and len(set(ratios)) > 3
    page.click("#rows th:has-text('D/N') button")
    assert [float(text) for text in column("D/N")] == ratios[::-1]
    page.fill("input[data-rows]", "held out")
    assert column("in the fit") == ["held out"]


def test_a_chart_tells_its_values_and_shows_one_series_alone(page: Any):
    page.locator("#residuals .chart").scroll_into_view_if_needed()
    point = page.locator("#residuals .chart .mark-symbol.role-mark path").first
    point.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "compute 6ND" in page.inner_text("#vg-tooltip-element")

    def faded() -> int:
        return page.evaluate(
            "[...document.querySelectorAll('#residuals .chart .role-mark path')]"
            ".filter(each => each.getAttribute('opacity') == 0.08).length"
        )

    assert faded() == 0
    page.locator("#residuals .chart .role-legend-symbol path").first.click()
    page.wait_for_timeout(100)
    assert faded() > 5


def test_data_of_a_figure_can_be_taken(page: Any):
    with page.expect_download() as table:
        page.click("#residuals a:has-text('CSV')")
    rows = Path(table.value.path()).read_text().splitlines()
    assert rows[0] == "panel,series,kind,x,y,x2,y2"
    assert sum(",point," in row for row in rows) == 17
    with page.expect_download() as chart:
        page.click("#residuals button:has-text('JSON')")
    assert "vega-lite" in Path(chart.value.path()).read_text()


def test_print_has_still_pictures(page: Any):
    page.emulate_media(media="print")
    shown = page.evaluate(
        "[...document.querySelectorAll('.plot')].map(each =>"
        " [each.querySelector('img').clientHeight > 0, each.querySelector('.chart').clientHeight])"
    )
    assert shown and all(still and chart == 0 for still, chart in shown)
    boxes = page.evaluate(  # a head that holds a box is printed on its first page alone
        "['#rows thead', '#rows th button'].map(each =>"
        " getComputedStyle(document.querySelector(each)).display)"
    )
    assert boxes == ["table-header-group", "contents"]
    page.set_viewport_size({"width": 500, "height": 700})
    assert page.evaluate(
        "[...document.querySelectorAll('pre')].every(a => a.scrollWidth <= a.clientWidth)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_accessibility(browser: Any, page_file: Path, width: int, scheme: str):
    """WCAG 2 AA by axe; the marks inside charts are described by their alt text."""
    from axe_core_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.evaluate("ready")
    found = Axe().run(
        page,
        context={"exclude": [[".chart svg"]]},
        options={"runOnly": ["wcag2a", "wcag2aa"]},
    )
    assert [each["id"] for each in found["violations"]] == []
    context.close()
