"""How fast the page of annotations is in headless Chromium: first paint, and each step.

    python benchmarks/page.py [ANNOTATIONS] [CHROMIUM]

A run is made up: METASPACE's golden annotations in as many databases as it takes, each
with twenty molecules, images of 160 by 120 pixels. First paint is what the browser says
of the page loaded anew, the best and the median of five. Of each step the milliseconds
are from the event to the frame after the next, when what it changed is on the screen:
the median and the worst of seven.
"""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from annotation_runs import write_run
from metabolite_annotation.report.page import save_report

GOLDEN = 311  # annotations of one database
MOLECULES = "; ".join(f"Phosphatidylcholine (18:{k}/20:{k + 1})" for k in range(20))
FIRST_PAINT = (
    "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
)
LOADED = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
ON_SCREEN = """change => new Promise(done => {
  const begun = performance.now();
  new Function(change)();
  const end = () => done(performance.now() - begun);
  requestAnimationFrame(() => requestAnimationFrame(end));
})"""
STEPS = {
    "search, many rows": ["setState({search: 'c'})", "setState({search: ''})"],
    "search, few rows": ["setState({search: 'no8p +k'})", "setState({search: ''})"],
    "FDR": ["setState({fdr: '1'})", "setState({fdr: '0.05'})"],
    "adduct": ["setState({adduct: '+Na'})", "setState({adduct: ''})"],
    "range of m/z": ["setState({mz: '400-800'})", "setState({mz: ''})"],
    "sort by m/z": ["setState({sort: 'mz'})", "setState({sort: ''})"],
    "sort by molecule": ["setState({sort: 'names'})", "setState({sort: ''})"],
    "next annotation": ["stepBy(1)", "stepBy(1)"],
    "last, first": ["stepBy(total)", "stepBy(-total)"],
    "scroll": ["find('list').scrollTop = 9e4", "find('list').scrollTop = 0"],
    "images": ["setState({view: 'images'})", "setState({view: 'table'})"],
}


def make_report(folder: Path, n: int) -> Path:
    """Write a run of about so many annotations, and its page."""
    databases = tuple(f"database {k}" for k in range(-(-n // GOLDEN)))
    run = write_run(
        folder, databases=databases, names=[MOLECULES], width=160, height=120
    )
    return save_report(run)


def get_first_paint_ms(page: Page, address: str) -> float:
    """Load a page anew, and return when something of it was first on the screen."""
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_function(f"({FIRST_PAINT}) !== null")
    return page.evaluate(FIRST_PAINT)


def measure_step(page: Page, changes: list[str], n: int = 7) -> list[float]:
    """Return the milliseconds of a change; each is undone before the next."""
    times = []
    for _ in range(n):
        for change in changes:
            times.append(page.evaluate(ON_SCREEN, change))
            page.wait_for_timeout(450)  # the address is written by then
    return times


def main() -> None:
    """Make the page, and print the figures."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    chromium = sys.argv[2] if len(sys.argv) > 2 else shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = make_report(Path(folder), n)
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        paints = [get_first_paint_ms(page, path.as_uri()) for _ in range(5)]
        page.wait_for_load_state()
        page.wait_for_timeout(1000)
        rows, loaded = page.evaluate(f"[total, {LOADED}]")
        print(f"{rows:,} annotations, page of {path.stat().st_size / 1e6:.1f} MB")
        print(f"{'step, ms':24}{'median':>8}{'worst':>8}")
        print(f"{'first paint':24}{statistics.median(paints):8.0f}{max(paints):8.0f}")
        print(f"{'all images loaded':24}{loaded:8.0f}")
        for name, changes in STEPS.items():
            times = measure_step(page, changes)
            print(f"{name:24}{statistics.median(times):8.0f}{max(times):8.0f}")
        browser.close()


if __name__ == "__main__":
    main()
