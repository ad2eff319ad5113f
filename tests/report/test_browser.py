"""The pages as a person meets them: in a browser, with eyes or without, with keys alone, on paper and on a phone."""

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from dermdata.report import evaluation_page
from report.samples import FACTS, FINDINGS, WHOLE, finding, page

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine"),
]
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-dev-shm-usage", "--window-size=1280,900",
)  # fmt: skip
SECTIONS = ["findings", "files", "leaks", "conflicts", "duplicates", "coverage", "records", "set", "samples"]
ORIGINS = ["provenance", "citation"]
Pages = dict[str, Path]


class Reader:
    """A browser that is asked short questions."""

    def __init__(self, driver: webdriver.Chrome, pages: Pages) -> None:
        self.driver, self.pages = driver, pages

    def open(self, name: str, *, dark: bool = False, media: str = "", width: int = 1280) -> None:
        """A page from its file, fresh."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # what was said before
        self.driver.get(self.pages[name].as_uri())

    def cdp(self, command: str, **values: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, values)

    def js(self, expression: str, *values: Any) -> Any:
        return self.driver.execute_script(f"return {expression}", *values)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def press(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(self, selector: str) -> WebElement:
        """By the Tab key alone, from where the focus is."""
        for _ in range(80):
            self.press(Keys.TAB)
            if self.js("document.activeElement.matches(arguments[0])", selector):
                return self.driver.switch_to.active_element
        raise AssertionError(f"no Tab leads to {selector}")

    def shown(self) -> list[str]:
        return [one.get_dom_attribute("data-code") for one in self.all("article.finding:not([hidden])")]

    def blurred(self) -> int:
        return int(
            self.js(
                "[...document.querySelectorAll('.veil img')].filter(i => getComputedStyle(i).filter != 'none').length"
            )
        )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "audit": page(
            findings=[
                *FINDINGS,
                finding("known-issue", "note", message="<script>document.title = 'mine'</script>"),
            ]
        ),
        "long": page(findings=[finding(message=f"number {n}") for n in range(60)]),
        "evaluation": "".join(evaluation_page(WHOLE, FACTS)),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def reader(pages: Pages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield Reader(driver, pages)
    driver.quit()


@pytest.fixture(scope="module")
def axe() -> str:
    return files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")


BOTH = pytest.mark.parametrize("name", ["audit", "evaluation"])

# ------------------------------------------------------------------ what must not happen


@pytest.mark.fault(96)
@BOTH
def test_the_browser_complains_of_nothing_and_asks_nobody(reader: Reader, name: str) -> None:
    """No error in its console; no request but for the file itself and the pictures inside it."""
    reader.open(name)
    assert reader.driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in reader.driver.get_log("performance")]
    sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
    asked = [one["request"]["url"] for one in sent if one["documentURL"] == reader.pages[name].as_uri()]
    assert asked[0] == reader.pages[name].as_uri()
    assert [url[:60] for url in asked[1:] if not url.startswith("data:")] == []


@pytest.mark.fault(96)
def test_a_script_that_is_not_ours_is_refused(reader: Reader) -> None:
    """Were one to get into the page, the policy would stop it, and its request."""
    reader.open("audit")
    assert reader.driver.title == "Audit of demo – dermdata"
    reader.js(
        "(() => { const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s);"
        " const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i); })()"
    )
    assert reader.driver.title == "Audit of demo – dermdata"
    told = " ".join(entry["message"] for entry in reader.driver.get_log("browser"))
    assert "script-src" in told
    assert "img-src" in told


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@BOTH
def test_axe_finds_no_fault(reader: Reader, axe: str, name: str, width: int, *, dark: bool) -> None:
    """Contrast, names, roles, headings and focus, small faults too, with the details open."""
    reader.open(name, dark=dark, width=width)
    reader.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    reader.cdp("Runtime.evaluate", expression=axe)
    found = reader.driver.execute_async_script("axe.run(document).then(arguments[0])")
    assert len(found["passes"]) > 20
    assert [(one["id"], one["nodes"][0]["html"][:150]) for one in found["violations"]] == []


@BOTH
def test_nothing_is_wider_than_a_phone(reader: Reader, name: str) -> None:
    """What is wide scrolls within its own frame."""
    reader.open(name, width=390)
    assert reader.js("document.documentElement.scrollWidth") == 390


# ------------------------------------------------------------------ what is there


def test_every_section_is_there_and_the_navigation_leads_to_it(reader: Reader) -> None:
    reader.open("audit")
    targets = [str(one.get_dom_attribute("href")).removeprefix("#") for one in reader.all("nav a")]
    assert targets == [*SECTIONS, *ORIGINS]
    assert all(one.is_displayed() for name in targets for one in reader.all(f"section#{name} > :is(h2, h3)"))
    reader.open("evaluation")
    for one in reader.all("nav a"):
        assert len(reader.all(f"section{one.get_dom_attribute('href')}")) == 1


def test_the_first_screen_and_the_whole_are_short(reader: Reader) -> None:
    """The verdict, its numbers and the leaks are on the first screen; all of it is under 6,000 pixels."""
    reader.open("audit")
    assert reader.js("document.documentElement.scrollHeight") < 6000
    assert reader.js("document.querySelector('.leaks').getBoundingClientRect().bottom") < 500
    assert not any(one.is_displayed() for one in reader.all("article.finding"))


def test_the_three_numbers_stand_in_equal_columns(reader: Reader) -> None:
    """However many lines are below each of them."""
    reader.open("audit")
    boxes = reader.js(
        "[...document.querySelectorAll('.tiles.three .tile')].map(e => [e.clientWidth,"
        " e.querySelector('dd:not(.more)').getBoundingClientRect().top])"
    )
    assert len(boxes) == 3
    assert {*map(tuple, boxes)} == {tuple(boxes[0])}


@pytest.mark.parametrize(("width", "most"), [(1280, 400), (390, 800)])
def test_an_evaluation_says_all_in_its_first_screen(reader: Reader, width: int, most: int) -> None:
    """What the model does, for whom it is worst and who cannot be judged, before anybody scrolls."""
    reader.open("evaluation", width=width)
    assert len(reader.all(".verdict")) == 2
    bottoms = "[...document.querySelectorAll('.verdict, .lead')].map(e => e.getBoundingClientRect().bottom)"
    assert max(reader.js(bottoms)) < most


def test_on_a_phone_operating_points_are_read_without_scrolling(reader: Reader) -> None:
    """Both sides are within the screen, and a reason stands in a line, not in a column of syllables."""
    reader.open("evaluation", width=390)
    assert (
        reader.js(
            "Math.max(...[...document.querySelectorAll('.points td')].map(e => e.getBoundingClientRect().right))"
        )
        <= 390
    )
    heights = reader.js(
        "[...document.querySelectorAll('.points .badge')].map(e => e.getBoundingClientRect().height)"
    )
    assert len(heights) == 2
    assert max(heights) < 60


def test_pictures_are_pictures(reader: Reader) -> None:
    reader.open("audit")
    widths = reader.js("[...document.images].map(i => i.naturalWidth)")
    assert len(widths) > 10
    assert min(widths) > 0


# ------------------------------------------------------------------ with keys alone


def test_the_first_key_skips_to_the_content(reader: Reader) -> None:
    reader.open("audit")
    reader.press(Keys.TAB)
    assert reader.driver.switch_to.active_element.text == "Skip to the content"
    reader.press(Keys.ENTER)
    assert reader.js("document.activeElement.id") == "main"


def test_pictures_are_blurred_until_asked_for(reader: Reader) -> None:
    """One by one, or all at once, and back."""
    reader.open("audit")
    every = len(reader.all(".veil"))
    assert reader.blurred() == every > 3
    reader.tab_to("#unveil")
    reader.press(Keys.SPACE)
    assert reader.blurred() == 0
    reader.press(Keys.SPACE)
    assert reader.blurred() == every
    reader.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    first = reader.tab_to(".veil")
    assert first.accessible_name.startswith("Show demo/r0")
    reader.press(Keys.ENTER)
    assert reader.blurred() == every - 1
    assert first.get_dom_attribute("aria-pressed") == "true"


def test_findings_are_filtered_by_text_code_and_level(reader: Reader) -> None:
    reader.open("audit")
    every = reader.shown()
    assert len(every) == len(FINDINGS) + 1
    reader.tab_to("#text")
    reader.press("DEMO/P1 ")
    assert reader.shown() == ["leak-patient"]
    assert reader.all("article.finding[data-code=leak-patient]")[0].is_displayed()  # unfolded
    assert reader.all("#shown")[0].text == "1 of 8 findings shown"
    assert [one.get_dom_attribute("id") for one in reader.all(".chapter") if one.is_displayed()] == ["leaks"]
    reader.press(Keys.BACKSPACE * 8)
    reader.tab_to("#code")
    reader.press("duplicate-n")
    assert reader.shown() == ["duplicate-near"]
    reader.press(Keys.HOME)
    assert reader.shown() == every
    reader.tab_to("input[value=error]")
    reader.press(Keys.SPACE)
    assert sorted({*every} - {*reader.shown()}) == ["image-truncated", "label-conflict", "leak-patient"]
    reader.press(Keys.ENTER)  # submits nothing
    assert reader.driver.current_url == reader.pages["audit"].as_uri()


def test_dark_follows_the_system_and_then_the_person(reader: Reader) -> None:
    background: Callable[[], Any] = lambda: reader.js("getComputedStyle(document.body).backgroundColor")  # noqa: E731
    reader.open("audit")
    light = background()
    reader.open("audit", dark=True)
    dark = background()
    assert light != dark
    button = reader.tab_to("#theme")
    assert button.get_dom_attribute("aria-pressed") == "true"
    reader.press(Keys.ENTER)
    assert background() == light
    assert button.get_dom_attribute("aria-pressed") == "false"


# ------------------------------------------------------------------ on paper


def test_paper_has_no_buttons_and_shows_nobody_who_was_blurred(reader: Reader) -> None:
    """In light colors, whatever the screen's are."""
    reader.open("audit", dark=True, media="print")
    assert not any(one.is_displayed() for one in reader.all("nav, .controls, #filter"))
    assert reader.blurred() == len(reader.all(".veil"))
    assert reader.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert reader.cdp("Page.printToPDF")["data"].startswith("JVBERi")


@pytest.mark.parametrize(("name", "most"), [("audit", 10), ("evaluation", 10)])
def test_a_print_is_some_pages_and_nothing_is_cut(reader: Reader, name: str, most: int) -> None:
    """On A4: no box is wider than the paper, and what is folded on the screen is unfolded."""
    reader.open(name, media="print", width=718)  # A4 less the margins, at 96 dots an inch
    assert reader.js("document.documentElement.scrollWidth") <= 718
    wide = reader.js(
        "[...document.querySelectorAll('main table, main svg')].filter(e => e.getBoundingClientRect().right > 719)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    reader.js("dispatchEvent(new Event('beforeprint'))")
    scrolled = (
        "[...document.querySelectorAll('pre, .scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert reader.js(scrolled) == 0  # nobody scrolls paper
    pdf = base64.b64decode(reader.cdp("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= most


def test_paper_has_the_first_of_each_kind_unless_a_person_unfolded_it(reader: Reader) -> None:
    """60 pairs of pictures are some 40 sheets that nobody asked for; what is left out is told."""

    def count_pages() -> int:
        pdf = base64.b64decode(reader.cdp("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
        return len(re.findall(rb"/Type\s*/Page\b", pdf))

    reader.open("long")
    assert count_pages() <= 8
    assert not any(one.get_dom_attribute("open") for one in reader.all("details"))  # as it was
    reader.cdp("Emulation.setEmulatedMedia", media="print")
    reader.js("dispatchEvent(new Event('beforeprint'))")
    assert [one.is_displayed() for one in reader.all("article.finding")] == [True] * 5 + [False] * 55
    assert not any(one.get_dom_attribute("open") for one in reader.all(".finding details"))
    assert reader.all(".paper")[0].text.startswith("5 of these 60 are on paper")
    reader.open("long")
    reader.js("document.querySelector('.fold').open = true")
    assert count_pages() > 8
