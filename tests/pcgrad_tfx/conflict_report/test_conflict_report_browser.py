"""The report in a real browser: nothing missing, nothing too wide, no complaint."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from pcgrad_tfx.conflict_report.page import render
from pcgrad_tfx.conflict_report.report import make_report
from pcgrad_tfx.conflict_report.telemetry import read_telemetry
from report_data import comparison, settings, write_model_run

WIDTHS = {"phone": 390, "desktop": 1280}
TWENTY = tuple(f"{word}_{i}" for i in range(10) for word in ("sold", "delay_at_arrival"))
FORTY = tuple(f"the_label_of_column_number_{i}_of_forty" for i in range(40))


def cosines(tasks):
    """Of all strengths, in both directions."""
    pairs = len(tasks) * (len(tasks) - 1) // 2
    return [((i * 37) % 100 - 50) / 100 for i in range(pairs)]


# By name: the tasks, whether there is a comparison, how many charts there are.
CASES = {
    "one task": (("price",), False, 1),
    "two tasks": (("price", "sold"), False, 4 + 1 + 2),
    # Of a comparison: all tasks, the trade-off, each task (or method and metric), the price.
    "two tasks, compared": (("price", "sold"), True, 4 + 1 + 2 + 1 + 1 + 2 + 1),
    "three tasks, compared": (("price", "sold", "days"), True, 4 + 1 + 3 + 1 + 1 + 3 + 1),
    "twenty tasks, compared": (TWENTY, True, 4 + 1 + 20 + 1 + 4 * 2 + 1),
    "forty tasks": (FORTY, False, 4 + 1 + 40),
}


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine; install the system's package `chromium`")
    with sync_playwright() as playwright:
        # Without a sandbox: root, as in most containers, has none.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The files, by case."""
    folder = tmp_path_factory.mktemp("pages")
    files = {}
    for name, (tasks, compared, _) in CASES.items():
        run = write_model_run(folder / name, tasks, cosines(tasks), settings=settings(tasks))
        found = comparison(tasks, tuned=True) if compared else None
        report = make_report(name, {"Source": "some.csv"}, read_telemetry(str(run)), found)
        files[name] = folder / f"{name}.html"
        files[name].write_text(render(report))
    return files


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("case", CASES)
def test_page(browser, pages, case, width):
    viewport = {"width": WIDTHS[width], "height": 800}
    context = browser.new_context(offline=True, viewport=viewport)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(pages[case].as_uri())

    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [pages[case].as_uri()]
    for details in page.locator("details").all():
        details.evaluate("element => element.open = true")
    charts = page.locator("figure svg")
    assert charts.count() == CASES[case][2]
    for i in range(charts.count()):
        box = charts.nth(i).bounding_box()
        assert box["width"] > 100, box
        assert box["height"] > 50, box
        assert box["x"] >= 0, box
        assert box["x"] + box["width"] <= WIDTHS[width], box
        assert charts.nth(i).get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]
    _check_texts(page)
    _check_tables(page)
    if os.environ.get("REPORT_SCREENSHOTS"):
        path = f"{os.environ['REPORT_SCREENSHOTS']}/{case}, {width}.png"
        page.screenshot(path=path, full_page=True)
    context.close()


def _check_texts(page):
    """No text of a chart leaves its chart, and none is too small to be read."""
    texts = page.evaluate(
        """() => [...document.querySelectorAll("figure svg text")].map(text => {
            const box = text.getBoundingClientRect()
            const chart = text.closest("svg").getBoundingClientRect()
            const inside = box.left >= chart.left - 2 && box.right <= chart.right + 2
            const scale = chart.width / text.closest("svg").viewBox.baseVal.width
            return [text.textContent, inside, parseFloat(getComputedStyle(text).fontSize) * scale]
        })"""
    )
    assert texts
    assert [text for text, inside, _ in texts if not inside] == []
    assert [(text, size) for text, _, size in texts if size < 6] == []


def _check_tables(page):
    """No cell is so narrow that its words fall apart."""
    cells = page.evaluate(
        """() => [...document.querySelectorAll("th, td")].map(
            cell => [cell.textContent, cell.getBoundingClientRect().width])"""
    )
    assert cells
    assert [text for text, width in cells if text.strip() and width < 40] == []


def test_no_script_of_a_name_runs(browser, tmp_path):
    name = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    run = write_model_run(tmp_path, [name, "b"], [-0.3], settings=settings([name, "b"]))
    report = make_report(name, {name: name}, read_telemetry(str(run)), comparison([name, "b"]))
    (tmp_path / "page.html").write_text(render(report))
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    assert page.locator("img, script").count() == 0
    assert page.title() == f"{name}: do the tasks conflict?"
    page.close()
