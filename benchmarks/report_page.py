"""How long a report of many pictures takes to write and to become usable in a browser.

    segdiff predict --image examples/nuclei/val/images examples/nuclei/train/images --instances --output-dir runs/e
    python benchmarks/report_page.py runs/e --count 1000

Takes the predictions in a folder, repeats them under other names until there are as many as asked for, writes a report
of them and opens it in headless Chromium (`make browser`). A page is usable when its table is drawn and answers keys.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from segdiff.workflows.report.write import ReportOptions, write_report


def repeated(source: Path, target: Path, count: int) -> None:
    """A folder like `source` with `count` pictures."""
    record = json.loads((source / "prediction.json").read_text())
    done = [one for one in record["images"] if one["status"] == "done"]
    images = []
    for number in range(count):
        one = done[number % len(done)]
        stem = f"{number:05}_{one['stem']}"
        outputs = {kind: f"{stem}{name.removeprefix(one['stem'])}" for kind, name in one["outputs"].items()}
        for kind, name in one["outputs"].items():
            shutil.copy(source / name, target / outputs[kind])
        images.append({**one, "image": str(Path(one["image"]).resolve()), "stem": stem, "outputs": outputs})
    (target / "prediction.json").write_text(json.dumps({**record, "images": images}))


def browser() -> Any:
    """Headless Chromium."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.binary_location = shutil.which("chromium") or ""
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def opened(driver: Any, page: Path) -> dict[str, float]:
    """Milliseconds until the page was usable and was loaded, and of the processor's time of its main thread."""
    driver.get("about:blank")
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    driver.get(page.resolve().as_uri())
    ready = float(driver.execute_script("return document.documentElement.dataset.ready"))
    loaded = float(driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
    metrics = {one["name"]: one["value"] for one in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    driver.execute_cdp_cmd("Performance.disable", {})
    return {"usable": ready, "loaded": loaded, "main_thread": 1000 * metrics["TaskDuration"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--times", type=int, default=5, help="each page is opened (the median is shown)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        repeated(args.predictions, target, args.count)
        driver = browser()
        try:
            for name, single in (("beside", False), ("single", True)):
                began, work = time.perf_counter(), time.process_time()
                options = ReportOptions(single_file=single)
                written = write_report([target], target / f"{name}.html", options)
                seconds, work = time.perf_counter() - began, time.process_time() - work
                files = list(written.beside.iterdir()) if written.beside else []
                size = sum(path.stat().st_size for path in files)
                told = f"written in {seconds:.1f} s ({work:.1f} s of processor time)"
                large = f"page {written.page.stat().st_size / 1e6:.1f} MB"
                beside = f"beside it {len(files)} files, {size / 1e6:.1f} MB"
                print(f"{name}: {written.pictures} pictures, {told}; {large}, {beside}")
                runs = [opened(driver, written.page) for _ in range(args.times)]
                medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                print("  " + ", ".join(f"{key} {value:.0f} ms" for key, value in medians.items()))
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
