"""The report's page in a browser: headless Chromium through Selenium (`make browser` installs it on Debian)."""

from __future__ import annotations

import csv
import json
import shutil
import time
from dataclasses import replace

import pytest
from PIL import Image
from reports import data_of, make_pictures, make_predictions

from segdiff.workflows.report import write
from segdiff.workflows.report.write import ReportOptions, write_report

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[dev]'")
from selenium.webdriver import ActionChains, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="needs Chromium and its driver: make browser",
    ),
]
WIDE, NARROW = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    # Containers have no user namespaces, little shared memory and no GPU.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_predictions(make_pictures(folder / "pictures"), folder / "out")
    return folder


@pytest.fixture(scope="module")
def page(made):
    return write_report([made / "out"]).page


class Browser:
    """A page opened, and what the tests ask of it."""

    def __init__(self, driver, page, size=WIDE, dark=False):
        self.driver, self.page = driver, page
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == NARROW}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get("about:blank")
        driver.get(page.resolve().as_uri())
        assert self.js("return document.documentElement.dataset.ready") is not None, self.errors()

    def js(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        return self.js("return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector)

    def press(self, *keys):
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def wait(self, text, *arguments):
        """Until a JavaScript expression is true."""
        return WebDriverWait(self.driver, 20, 0.05).until(lambda _: self.js(f"return {text}", *arguments), text)

    def open(self, name):
        self.js(
            "[...document.querySelectorAll('#table button.link')].find((e) => e.textContent === arguments[0]).click()",
            name,
        )
        self.wait("document.querySelector('#viewer').open && document.querySelector('#canvas img')?.complete")

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def browser(driver, page):
    found = Browser(driver, page)
    yield found
    assert not found.errors()
    found.js("localStorage.clear()")


def test_failures_are_on_top_and_every_picture_is_in_the_table(browser, page):
    data = data_of(page)
    assert browser.one("#summary").text.startswith("6 pictures · 1 failed · ")
    assert "broken: " in browser.one("#trouble .failed li").text
    assert browser.texts("#table button.link") == [
        row["name"] for row in sorted(data["rows"], key=lambda row: row["rank"])
    ]
    assert browser.texts("#first-list b")[0] == "broken"
    assert len(browser.all("#objects-list img")) == len(data["objects"])
    assert len(browser.all("#histograms svg")) == len(data["histograms"]) == 2
    assert "objects" in browser.all("#histograms svg")[0].get_attribute("aria-label")
    images = "[...document.querySelectorAll('#table img, #first-list img, #objects-list img')]"
    browser.wait(f"{images}.every((image) => image.complete && image.naturalWidth > 0)")


def test_nothing_comes_from_a_network(browser):
    browser.open("a")
    loaded = browser.js("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert all(name.startswith(("file:", "data:", "blob:")) for name in loaded)
    blocked = browser.driver.execute_async_script(
        "const done = arguments[0]; const image = new Image();"
        "document.addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective));"
        "image.onload = () => done('loaded'); image.src = 'http://127.0.0.1:9/x.png';"
    )
    assert blocked == "img-src"
    assert any("violates" in entry for entry in browser.errors())  # taken from the log


def test_the_table_is_sorted_by_its_headers(browser, page):
    values = {row["name"]: row["values"]["confidence"] for row in data_of(page)["rows"]}
    head = next(one for one in browser.all("#table th button") if one.text.startswith("Confidence"))
    for direction, down in (("ascending", False), ("descending", True)):
        head.click()
        assert browser.js("return arguments[0].closest('th').getAttribute('aria-sort')", head) == direction
        assert len(browser.all("#table th[aria-sort]")) == 1
        names = browser.texts("#table button.link")
        assert names[-1] == "broken"  # what has no value comes last, either way
        shown = [values[name] for name in names[:-1]]
        assert shown == sorted(shown, reverse=down)
    name = next(one for one in browser.all("#table th button") if one.text.startswith("Name"))
    name.click()
    assert browser.texts("#table button.link") == ["a", "b", "broken", "c", "d", "e"]


def test_pictures_are_filtered(browser):
    browser.one("#filter").send_keys("BRO")
    assert browser.texts("#table button.link") == ["broken"] and browser.one("#count").text == "1 of 6 pictures"
    browser.one("#filter").send_keys(Keys.BACKSPACE * 3)
    for value, count in [("failed", 1), ("todo", 6), ("accept", 0), ("all", 6)]:
        browser.js(
            "const e = document.querySelector('#which'); e.value = arguments[0]; e.dispatchEvent(new Event('change'))",
            value,
        )
        assert len(browser.all("#table tbody tr")) == count, value


def test_decisions_by_keys_are_kept_and_saved(browser, page, tmp_path):
    browser.one("#table button.link").send_keys("r")
    browser.press("j", "a", "j", "d", "j", "a", "a", "k", "k")
    assert [text[0] if text else "" for text in browser.texts("#table td.decision")] == ["✕", "✓", "?", "", "", ""]
    browser.wait("document.querySelector('#said').textContent.includes('undecided, 3 decisions of 6')")
    assert browser.one("#progress").text == "3 of 6 decided"
    order = browser.texts("#table button.link")
    found = save(browser, tmp_path)
    assert {row["name"]: row["decision"] for row in found if row["decision"]} == dict(
        zip(order, ("reject", "accept", "doubt"), strict=False)
    )
    assert len(found) == 6 and all(bool(row["decided_at"]) == bool(row["decision"]) for row in found)
    assert next(row["image"] for row in found if row["name"] == "a").endswith("a.png")
    again = Browser(browser.driver, page)
    assert again.one("#progress").text == "3 of 6 decided"
    again.js("localStorage.clear()")
    fresh = Browser(browser.driver, page)
    assert fresh.one("#progress").text == "0 of 6 decided"
    fresh.one("#load-file").send_keys(str(tmp_path / "decisions.csv"))
    fresh.wait("document.querySelector('#progress').textContent === '3 of 6 decided'")
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    fresh.one("#load-file").send_keys(str(tmp_path / "other.csv"))
    fresh.wait("document.querySelector('#said').textContent.includes('not a file of decisions')")


def save(browser, folder):
    """The rows of the file that the button saves."""
    where = {"behavior": "allow", "downloadPath": str(folder)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    browser.one("#save").click()
    path = folder / "decisions.csv"
    until = time.monotonic() + 20
    while not (path.is_file() and path.read_text().count("\n") >= 7):
        assert time.monotonic() < until, "nothing was saved"
        time.sleep(0.05)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_full_view_by_keys(browser, page):
    order = browser.texts("#table button.link")
    browser.all("#table button.link")[1].send_keys(Keys.ENTER)
    browser.wait("document.querySelector('#canvas img')")
    assert browser.one("#viewer-name").text == order[1] and browser.one("#viewer-place").text == "2 of 6"
    kinds = browser.js("return [...document.querySelectorAll('#canvas img')].map((e) => e.dataset.kind)")
    assert kinds == ["picture", "probability", "uncertainty", "mask", "outlines"]
    for key, kind in [("m", "mask"), ("o", "outlines"), ("p", "probability"), ("u", "uncertainty")]:
        before = visible(browser, kind)
        browser.press(key)
        assert visible(browser, kind) != before
        button = browser.one(f"#layers [value={kind}]")
        assert button.get_attribute("aria-pressed") == str(not before).lower()
    assert (
        not visible(browser, "probability") and browser.one("#legend-uncertainty").is_displayed()
    )  # one hides the other
    browser.press("t")  # there is no truth here
    assert not browser.one("#layers [value=truth]").is_displayed()
    opacity = "return getComputedStyle(document.querySelector('#canvas [data-kind=mask]')).opacity"
    assert browser.js(opacity) == "0.6"
    browser.press("]", "]")
    assert browser.js(opacity) == "0.8" and browser.one("#strength-value").text == "80 %"
    browser.press("a", Keys.ARROW_RIGHT)
    browser.wait("document.querySelector('#viewer-name').textContent === arguments[0]", order[2])
    assert browser.js("return decodeURIComponent(location.hash)") == f"#picture={order[2]}"
    browser.press(Keys.ARROW_LEFT)
    browser.wait("document.querySelector('#decide [value=accept]').getAttribute('aria-pressed') === 'true'")
    zoom = "return new DOMMatrix(document.querySelector('#canvas').style.transform).a"
    browser.wait("document.querySelector('#canvas img')")
    fit = browser.js(zoom)
    browser.press("+", "+")
    assert browser.js(zoom) == pytest.approx(fit * 1.5**2)
    browser.press("0")
    assert browser.js(zoom) == pytest.approx(fit)
    browser.press(Keys.ESCAPE)
    browser.wait("!document.querySelector('#viewer').open")
    assert (
        browser.js("return document.activeElement.textContent") == order[1] and browser.js("return location.hash") == ""
    )


def visible(browser, kind):
    return not browser.js("return document.querySelector(`#canvas [data-kind=${arguments[0]}]`).hidden", kind)


def test_objects_are_linked_to_their_places(browser, made):
    with (made / "out" / "b_objects.csv").open() as file:
        objects = {row["id"]: row for row in csv.DictReader(file)}
    browser.open("b")
    rows = browser.all("#viewer-objects tbody tr")
    assert {row.get_attribute("data-object") for row in rows} == set(objects)
    sureness = [float(objects[row.get_attribute("data-object")]["confidence"]) for row in rows]
    assert sureness == sorted(sureness)
    crop = browser.js("return getComputedStyle(document.querySelector('#viewer-objects .crop')).backgroundImage")
    assert crop.count("blob:") == 2
    for number in list(objects)[:2]:
        browser.js(f"document.querySelector('#viewer-objects [data-object=\"{number}\"] button').click()")
        assert browser.texts("#viewer-objects tr.chosen button") == [number]
        at = centre(browser)
        assert at == pytest.approx((float(objects[number]["x"]), float(objects[number]["y"])), abs=0.02)
    # A click on the picture chooses the object there, and its marker lies on it.
    browser.press("0")
    number, row = next(reversed(objects.items()))
    point = browser.js(
        "const m = new DOMMatrix(document.querySelector('#canvas').style.transform);"
        "const s = document.querySelector('#stage');"
        "return [m.e + arguments[0] * m.a - s.clientWidth / 2, m.f + arguments[1] * m.a - s.clientHeight / 2]",
        float(row["x"]),
        float(row["y"]),
    )
    ActionChains(browser.driver).move_to_element_with_offset(
        browser.one("#stage"), *map(round, point)
    ).click().perform()
    assert browser.texts("#viewer-objects tr.chosen button") == [number]
    box, middle = (browser.all(f"#{name}")[0].rect for name in ("marker", "stage"))
    for at, length in (("x", "width"), ("y", "height")):
        assert box[at] + box[length] / 2 == pytest.approx(middle[at] + middle[length] / 2, abs=3)


def centre(browser):
    """The pixel of the picture in the middle of the stage."""
    return tuple(
        browser.js(
            "const m = new DOMMatrix(document.querySelector('#canvas').style.transform);"
            "const s = document.querySelector('#stage');"
            "return [(s.clientWidth / 2 - m.e) / m.a, (s.clientHeight / 2 - m.f) / m.a]"
        )
    )


def test_an_object_of_the_first_look_opens_its_picture(browser, page):
    first = data_of(page)["objects"][0]
    browser.one("#objects-list button").click()
    browser.wait("document.querySelector('#viewer-objects tr.chosen')")
    assert browser.one("#viewer-name").text == data_of(page)["rows"][first["row"]]["name"]
    assert browser.texts("#viewer-objects tr.chosen button") == [str(first["number"])]


def test_a_link_opens_a_picture_and_a_failed_one_says_so(browser, page):
    browser.driver.get("about:blank")
    browser.driver.get(f"{page.resolve().as_uri()}#picture=broken")
    browser.wait("document.querySelector('#viewer').open")
    assert browser.one("#stage-message").text == "This picture failed."
    assert "not an image" in browser.one("#viewer-remarks .failed").text


def test_single_keys_can_be_switched_off(browser):
    browser.press("?")
    browser.wait("document.querySelector('#help').open")
    browser.one("#keys-on").click()
    browser.press(Keys.ESCAPE)
    browser.one("#table button.link").send_keys("a")
    assert browser.one("#progress").text == "0 of 6 decided"


def test_full_views_in_files_beside_the_page(driver, made, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "INLINE", 0)
    written = write_report([made / "out"], tmp_path / "r é#%.html")
    browser = Browser(driver, written.page)
    browser.open("a")
    browser.press(Keys.ARROW_RIGHT)
    browser.wait("document.querySelector('#canvas img')?.complete")
    assert not browser.errors()
    for path in written.beside.iterdir():  # of another report
        path.write_text(path.read_text().replace(data_of(written.page)["id"], "0" * 16))
    browser = Browser(driver, written.page)
    browser.js("document.querySelectorAll('#table button.link')[2].click()")
    browser.wait("document.querySelector('#stage-message').textContent.includes('belongs to another report')")
    shutil.rmtree(written.beside)
    browser = Browser(driver, written.page)
    browser.js("document.querySelectorAll('#table button.link')[2].click()")
    browser.wait("document.querySelector('#stage-message').textContent.includes('is not beside this page')")
    assert any("ERR_FILE_NOT_FOUND" in entry for entry in browser.errors())  # taken from the log


def test_a_training(driver, tmp_path):
    run = tmp_path / "run"
    (run / "panels").mkdir(parents=True)
    (run / "config.yaml").write_text("trainer: {max_steps: 2}\n")
    (run / "metrics.csv").write_text("step,loss,val_dice,val_iou\n1,2.0,,\n1,,0.3,0.2\n2,0.5,,\n2,,0.6,0.4\n")
    for name, grey in (("step_000001", 80), ("step_000002", 160), ("final", 240)):
        Image.new("RGB", (40, 30), (grey,) * 3).save(run / "panels" / f"{name}.png")
    browser = Browser(driver, write_report([run]).page)
    labels = [chart.get_attribute("aria-label") for chart in browser.all("#curves svg")]
    assert labels == ["Training loss: Loss 0.5000 at step 2", "Validation: Dice 0.6000 at step 2, IoU 0.4000 at step 2"]
    assert browser.one("#panel-name").text == "final"
    first = browser.one("#panel-picture").get_attribute("src")
    browser.one("#panel-step").send_keys(Keys.ARROW_LEFT)
    assert browser.one("#panel-name").text == "step 2" and browser.one("#panel-picture").get_attribute("src") != first
    assert not browser.one("#pictures").is_displayed() and "no final validation" in browser.one("#notes").text
    assert not browser.errors()


def test_a_picture_that_is_not_there_has_its_objects(driver, made, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(made / "out" / "a_objects.csv", out)
    one = {"image": "gone.png", "stem": "a", "status": "done", "outputs": {"objects": "a_objects.csv"}}
    (out / "prediction.json").write_text(json.dumps({"images": [one]}))
    browser = Browser(driver, write_report([out]).page)
    browser.one("#table button.link").click()
    browser.wait("document.querySelector('#viewer-objects button.link')")
    browser.one("#viewer-objects td button.link").click()
    assert len(browser.all("#viewer-objects tr.chosen")) == 1 and not browser.all("#viewer-objects .crop")
    assert browser.one("#stage-message").text == "There is no picture to show." and not browser.errors()


# For everybody.


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_colours_follow_the_system_and_can_be_chosen(driver, page, dark):
    browser = Browser(driver, page, dark=dark)
    ground = "const c = getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g); return Number(c[0])"
    assert (browser.js(ground) < 60) == dark
    seen = []
    for _ in range(3):
        browser.one("#theme").click()
        seen.append((browser.one("#theme").text, browser.js(ground) < 60))
    assert seen == [("Colours: light", False), ("Colours: dark", True), ("Colours: auto", dark)]


@pytest.mark.parametrize("where", ["page", "viewer", "help"])
def test_everything_has_a_name_for_screen_readers(browser, where):
    """As the browser itself tells assistive technology, not as the source looks."""
    if where == "viewer":
        browser.open("a")
    elif where == "help":
        browser.press("?")
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"button", "checkbox", "searchbox", "textbox", "combobox", "slider", "link", "dialog", "table", "region"}
    seen = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node.get("ignored")]
    assert {role for role, _ in seen} >= {"button", "heading"}
    assert not [role for role, name in seen if role in named and not name.strip()]
    pictures = [name for role, name in seen if role in ("image", "img")]
    assert all(pictures) and (where == "help" or pictures)  # those for show alone are not in the tree
    if where == "page":
        assert {"main", "table", "searchbox", "combobox"} <= {role for role, _ in seen}
        assert browser.js("return document.documentElement.lang") == "en"
    else:
        names = [name for role, name in seen if role == "dialog"]
        assert names == [{"viewer": "a", "help": "Keys"}[where]]


def test_what_has_the_focus_is_seen(browser):
    browser.press(Keys.TAB)
    assert browser.js("return document.activeElement.className") == "skip"
    assert browser.one(".skip").rect["x"] >= 0
    browser.press(Keys.TAB)
    style = browser.js("const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]")
    assert style == ["solid", "3px"]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_sticks_out(driver, page, size):
    browser = Browser(driver, page, size)
    wide = "return document.documentElement.scrollWidth"
    assert browser.js(wide) <= size[0]
    browser.open("a")
    assert browser.js(wide) <= size[0]
    assert browser.js("return document.querySelector('#viewer').scrollWidth") <= size[0]
    stage = browser.one("#stage").rect
    assert stage["width"] > 0.6 * size[0] or size == WIDE
    assert stage["height"] > 0.4 * size[1]


def test_a_thousand_pictures(driver, made, tmp_path, monkeypatch):
    """What it takes is the time of the page's main thread: a clock on the wall would measure who else is at work."""
    out = tmp_path / "out"
    shutil.copytree(made / "out", out, ignore=shutil.ignore_patterns("report*"))
    many(out, 1000)
    prepare, known = write.prepare, {}

    def once(row, size):  # the same picture a thousand times is prepared once
        key = row.outputs["mask"]
        if key not in known:
            known[key] = prepare(row, size)
        return replace(known[key], row=row)

    monkeypatch.setattr(write, "prepare", once)
    page = write_report([out], options=ReportOptions(size=64)).page
    driver.get("about:blank")
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser = Browser(driver, page)
    metrics = {one["name"]: one["value"] for one in driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]}
    driver.execute_cdp_cmd("Performance.disable", {})
    assert 0 < metrics["TaskDuration"] < 2
    drawn = len(browser.all("#table tbody tr"))
    assert 100 <= drawn < 1000 and "of " in browser.one(".more").text
    browser.js("document.querySelector('.more').scrollIntoView()")
    browser.wait(f"document.querySelectorAll('#table tbody tr').length > {drawn}")
    browser.one("#filter").send_keys("0999")
    assert browser.texts("#table button.link") == ["0999_a"]
    browser.open("0999_a")
    browser.press("r", Keys.ESCAPE)
    assert browser.one("#progress").text == "1 of 1,000 decided" and not browser.errors()


def many(out, count):
    """Let the record of a folder name its done pictures `count` times."""
    record = json.loads((out / "prediction.json").read_text())
    done = [image for image in record["images"] if image["status"] == "done"]
    images = [{**done[n % len(done)], "stem": f"{n:04}_{done[n % len(done)]['stem']}"} for n in range(count)]
    images[999]["stem"] = "0999_a"
    (out / "prediction.json").write_text(json.dumps({**record, "images": images}))
