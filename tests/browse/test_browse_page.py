"""The page of `browse` in a real browser: with eyes, with keys alone, on a phone, and on a hostile manifest."""

import csv
import json
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

import dermdata as dd
from dermdata.api.browsing import BrowseRequest, PageServer, serve_page
from dermdata.api.manifest import Manifest
from dermdata.manifest.exclusions import read_exclusions
from report.test_browser import CHROMIUM, DRIVER, FLAGS

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine"),
]
TILES = "#tiles .tile:not(.waiting)"
SECONDS = 20


class Looker:
    """A browser at the page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str, *, dark: bool = False, width: int = 1280) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [scheme]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")
        for log in ("browser", "performance"):
            self.driver.get_log(log)  # what was said before
        self.driver.get(address)
        self.until(f"document.querySelectorAll('{TILES}').length > 0")

    def js(self, expression: str, *values: Any) -> Any:
        return self.driver.execute_script(f"return {expression}", *values)

    def until(self, condition: str) -> None:
        WebDriverWait(self.driver, SECONDS, 0.05).until(lambda _: self.js(condition), condition)

    def click(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def press(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def shown(self) -> list[str]:
        """The pictures in the grid, in their order."""
        script = f"[...document.querySelectorAll('{TILES}')].sort((a, b) => a.index - b.index)"
        names: list[str] = self.js(
            f"{script}.map(one => one.querySelector('.caption').title.split('\\n').at(-1))"
        )
        return names

    def choose(self, name: str, value: str) -> None:
        """Another order or grouping."""
        self.js(
            "(() => { const one = document.getElementById(arguments[0]); one.value = arguments[1];"
            " one.dispatchEvent(new Event('change')); })()",
            name,
            value,
        )

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def foreign(self, address: str) -> list[str]:
        """What was asked of anybody else."""
        home = address.partition("/?")[0]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [
            one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith((home, "about:", "data:"))]

    def faults(self) -> list[str]:
        """What axe finds, of any weight."""
        axe = files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
        found = self.driver.execute_async_script("axe.run(document).then(arguments[0])")
        return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


@pytest.fixture(scope="module")
def looker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looker]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(SECONDS)
    yield Looker(driver)
    driver.quit()


@pytest.fixture
def serve(looker: Looker, tmp_path: Path) -> Iterator[Callable[..., PageServer]]:
    """Serves a manifest until the test ends."""
    servers: list[PageServer] = []

    def start(manifest: Manifest, **asked: Any) -> PageServer:
        request = BrowseRequest(exclusions=tmp_path / "exclusions.tsv", **asked)
        servers.append(serve_page(manifest._resources, manifest, request))
        servers[-1].start()
        return servers[-1]

    yield start
    looker.driver.get("about:blank")  # which asks a server that is gone for nothing
    for server in servers:
        server.stop()


@pytest.mark.fault(96)
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_wrong_with_the_page(
    looker: Looker, serve: Callable, demo: Manifest, predictions: Path, width: int, *, dark: bool
) -> None:
    """Grid, one picture with its mask, the matrix and the help: no fault for axe, no complaint, nobody else is asked."""
    server = serve(demo, labels="malignancy", predictions=str(predictions))
    looker.open(server.address, dark=dark, width=width)
    assert "token" not in looker.driver.current_url
    faults = looker.faults()
    looker.click(f"{TILES} .open")
    looker.until("document.getElementById('picture').open && document.querySelector('#shown img').complete")
    looker.choose("mask", "0")
    looker.until("document.querySelector('.overlay').naturalWidth > 0")
    faults += looker.faults()
    looker.click("#picture-close")
    looker.click("#confusion-open")
    looker.until("document.getElementById('confusion').open")
    faults += looker.faults()
    looker.click("#confusion-close")
    if width < 600:
        looker.click("#facets-open")
        faults += looker.faults()
        assert looker.js("document.documentElement.scrollWidth <= innerWidth")
    assert faults == []
    assert looker.complaints() == []
    assert looker.foreign(server.address) == []


def test_keys_alone_will_do(looker: Looker, serve: Callable, demo: Manifest, tmp_path: Path) -> None:
    """Move, mark, undo, open, go on, mark, close, search."""
    looker.open(serve(demo).address)
    looker.js("document.querySelector('#tiles .tile .open').focus()")
    looker.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "x")
    looker.until("document.getElementById('marked').textContent === '1 marked'")
    assert [one.image_id for one in read_exclusions(tmp_path / "exclusions.tsv")] == ["DEMO_0003"]
    looker.press("z")
    looker.until("document.getElementById('marked').textContent === '0 marked'")
    looker.press(Keys.ARROW_LEFT, Keys.ENTER)
    looker.until("document.getElementById('picture').open")
    looker.press(Keys.ARROW_RIGHT)
    looker.until("document.querySelector('#shown figcaption').textContent.includes('DEMO_0003')")
    looker.press("m")
    looker.until("document.getElementById('picture-mark').textContent === 'Marked'")
    looker.press(Keys.ESCAPE)
    looker.until("!document.getElementById('picture').open")
    looker.until("document.activeElement.closest('.tile')?.index === 2")
    looker.press("/")
    looker.press("DEMO_0117")
    looker.until("document.getElementById('count').textContent.startsWith('1 of')")
    assert looker.shown() == ["demo/DEMO_0117"]


def test_filters_are_in_the_address_and_can_be_gone_back_from(
    looker: Looker, serve: Callable, demo: Manifest
) -> None:
    looker.open(serve(demo).address)
    count = "document.getElementById('count').textContent"
    for value in ("female", "male"):
        looker.js(f"document.querySelector('[data-facet=sex][data-value=\\'\"{value}\"\\']').click()")
        looker.until(f"document.querySelectorAll('#chips li').length === {1 if value == 'female' else 3}")
    whole = looker.js(count)
    looker.driver.back()
    looker.until(f"{count} !== {whole!r}")
    few = looker.js(count)
    address = looker.driver.current_url
    looker.driver.get("about:blank")
    looker.driver.get(address)
    looker.until(f"{count} === {few!r}")
    looker.js("document.getElementById('where').focus()")
    looker.press("nobody = 1")
    looker.until("!document.getElementById('where-error').hidden")
    assert "unknown column" in looker.js("document.getElementById('where-error').textContent")
    assert looker.js(count) == few  # what was shown stays, and the filter with it
    assert len(looker.shown()) > 10
    steps = looker.js("history.length")
    looker.press(" and 1 = 1")
    looker.until("decodeURIComponent(location.hash).includes('1 = 1')")
    assert looker.js("history.length") == steps  # not a step back for each pause
    address = looker.driver.current_url
    looker.js("document.querySelector('.skip').click()")
    looker.until("document.activeElement.closest('.tile')")
    assert looker.driver.current_url == address
    looker.js("document.getElementById('where').value = ''")
    looker.js("document.getElementById('where').dispatchEvent(new Event('input'))")
    looker.until("document.getElementById('where-error').hidden")


def test_a_range_is_marked_and_its_undo_leaves_what_was_marked_before(
    looker: Looker, serve: Callable, demo: Manifest, tmp_path: Path
) -> None:
    server = serve(demo)
    looker.open(server.address)
    tile = f"[...document.querySelectorAll('{TILES}')].find(one => one.index === arguments[0]).querySelector('.mark')"
    marked = "document.getElementById('marked').textContent"
    click = f"{tile}.dispatchEvent(new MouseEvent('click', {{ shiftKey: arguments[1], bubbles: true }}))"
    for place, shift, count in ((2, False, 1), (0, False, 2), (4, True, 5)):
        looker.js(click, place, shift)
        looker.until(f"{marked} === '{count} marked'")
    looker.press("z")
    looker.until(f"{marked} === '2 marked'")
    assert {one.image_id[-4:] for one in read_exclusions(tmp_path / "exclusions.tsv")} == {"0001", "0003"}
    looker.js("(window.fetched = window.fetch, window.fetch = () => Promise.reject(new TypeError('gone')))")
    looker.press("z")  # the server is gone: the undo is told, and not lost
    looker.until("document.getElementById('toast-text').textContent.includes('does not answer')")
    looker.js("(window.fetch = window.fetched)")
    looker.press("z")
    looker.until(f"{marked} === '1 marked'")
    assert looker.complaints() == []


def test_two_pictures_are_compared_field_by_field(looker: Looker, serve: Callable, demo: Manifest) -> None:
    looker.open(serve(demo).address)
    looker.js("document.querySelector('#tiles .tile .open').focus()")
    looker.press(Keys.ENTER)
    looker.until("document.getElementById('picture').open")
    looker.press("c", Keys.ARROW_RIGHT)
    looker.until("document.querySelectorAll('#shown figure').length === 2")
    fields = looker.js("[...document.querySelectorAll('#fields .differs')].map(one => one.textContent)")
    assert any("DEMO_0002" in one and "DEMO_0001" in one for one in fields)
    assert looker.js("document.getElementById('fields-title').textContent").endswith(
        "where DEMO_0001 differs"
    )
    assert looker.faults() == []
    looker.press("b", "b")  # the pictures are drawn anew, both
    assert looker.js("document.querySelectorAll('#shown figure').length") == 2
    looker.press(Keys.ARROW_LEFT)
    looker.until("document.querySelectorAll('#shown figure').length === 1")


def test_what_is_told_above_a_picture_can_be_read_and_pressed(
    looker: Looker, serve: Callable, demo: Manifest
) -> None:
    """A dialog lies above all that is not in it."""
    looker.open(serve(demo).address)
    looker.js("document.querySelector('#tiles .tile .open').focus()")
    looker.press("b")
    looker.until("document.activeElement.closest('.tile')")  # its tile is drawn anew
    looker.press("b", Keys.ENTER)
    looker.until("document.getElementById('picture').open")
    button = "document.getElementById('picture-mark').textContent"
    looker.press("x")
    looker.until(f"{button} === 'Marked'")
    looker.until("document.getElementById('marked').textContent === '1 marked'")
    looker.click("#undo")  # refused where something else lies above it
    looker.until(f"{button} === 'Mark'")
    assert looker.js("document.getElementById('marked').textContent") == "0 marked"
    assert looker.faults() == []


def test_a_row_that_no_list_can_name_is_not_shown_as_marked(
    looker: Looker, serve: Callable, fetched: Path, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["a", "b\nc", "d"]
    path = tmp_path / "nameless.parquet"
    pq.write_table(pa.table({"dataset": ["x"] * 3, "image_id": names, "key": names}), path)
    looker.open(serve(dd.open_session(cache=fetched).load(path)).address)
    looker.js(
        "[...document.querySelectorAll('#tiles .tile')].find(one => one.index === 1).querySelector('.mark').click()"
    )
    looker.until("document.getElementById('toast-text').textContent.includes('1 not: ')")
    assert looker.js("document.getElementById('undo').hidden")
    assert looker.js("document.querySelectorAll('#tiles .tile.marked').length") == 0


def test_marks_that_concern_further_rows_leave_the_grid_where_it_is(
    looker: Looker, serve: Callable, fetched: Path, tmp_path: Path
) -> None:
    """Two rows of one name are marked together: who is marked is asked anew, and nobody is sent to the top."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"i{number:03}" for number in range(600)]
    names[591] = names[590]
    path = tmp_path / "twins.parquet"
    pq.write_table(pa.table({"dataset": ["x"] * 600, "image_id": names, "key": names}), path)
    looker.open(serve(dd.open_session(cache=fetched).load(path)).address)
    looker.js("document.querySelector('#tiles .tile .open').focus()")
    looker.press(Keys.END)
    looker.until("document.activeElement.closest('.tile')?.index === 599")
    tile = "[...document.querySelectorAll('#tiles .tile')].find(one => one.index === 590)"
    looker.js("document.querySelector('#grid').scrollBy(0, -400)")
    looker.until(f"{tile}?.querySelector('.mark')")
    before = looker.js("document.querySelector('#grid').scrollTop")
    looker.js(f"{tile}.querySelector('.mark').click()")
    looker.until("document.querySelectorAll('#tiles .tile.marked').length === 2")
    assert looker.js("document.querySelector('#grid').scrollTop") > before / 2


def test_the_matrix_says_for_whom_the_model_is_good(
    looker: Looker, serve: Callable, demo: Manifest, predictions: Path
) -> None:
    looker.open(serve(demo, labels="malignancy", predictions=str(predictions)).address)
    looker.click("#confusion-open")
    looker.until("document.getElementById('confusion').open")
    looker.choose("matrix-by", "sex")
    looker.until("!document.getElementById('group-table').hidden")
    assert looker.faults() == []
    assert looker.js("document.querySelector('#group-lines tr').textContent").startswith(("male", "female"))
    looker.click("#group-lines button")
    looker.until("document.querySelectorAll('#chips li').length === 1")


def test_ages_are_chosen_from_one_decade_to_another(looker: Looker, serve: Callable, demo: Manifest) -> None:
    looker.open(serve(demo).address)
    part = "document.querySelector('[data-facet=age][data-value=from]')"
    looker.js(f"(() => {{ {part}.value = '60'; {part}.dispatchEvent(new Event('change')); }})()")
    looker.until("document.getElementById('count').textContent.includes(' of 120')")
    old = sum(1 for row in demo if row["age"] is not None and row["age"] >= 60)
    assert looker.js("document.getElementById('count').textContent").startswith(f"{old} of")
    assert looker.js(f"{part}.value") == "60"
    till = "document.querySelector('[data-facet=age][data-value=to]')"
    looker.js(f"(() => {{ {till}.value = '40'; {till}.dispatchEvent(new Event('change')); }})()")
    looker.until(f"{part}.value === '40'")  # from 60 to 49 is from 40 to 69, and not every age
    middle = sum(1 for row in demo if row["age"] is not None and 40 <= row["age"] < 70)
    looker.until(f"document.getElementById('count').textContent.startsWith('{middle} of')")


def test_planted_errors_are_found_marked_and_excluded_by_hand(
    looker: Looker, serve: Callable, demo: Manifest, cli: Callable, fetched: Path, tmp_path: Path
) -> None:
    """The broken file by its facet, the doubles side by side; the audit is green without what was marked."""
    whole = tmp_path / "demo.parquet"
    assert cli("--cache", fetched, "select", "demo", "-o", whole).code == 0
    assert cli("--cache", fetched, "audit", whole, "--near").code == 1
    looker.open(serve(demo).address)
    looker.js(
        "[...document.querySelectorAll('[data-facet=problem]')].find(one => one.dataset.value !== 'null').click()"
    )
    looker.until("document.getElementById('count').textContent.startsWith('1 of')")
    assert looker.shown() == ["demo/DEMO_0103"]
    looker.click(f"{TILES} .mark")
    looker.until("document.getElementById('marked').textContent === '1 marked'")
    looker.js("document.querySelector('#chips button').click()")
    looker.choose("group", "alike")
    looker.until("document.getElementById('count').textContent.startsWith('10 of')")
    looker.until(f"document.querySelectorAll('{TILES}').length === 10")
    find = f"[...document.querySelectorAll('{TILES}')].find(one => one.index === arguments[0])"
    for number, name in enumerate(looker.shown()):
        if int(name[-3:]) > 115:  # the later one of each pair
            looker.js(f"{find}.querySelector('.mark').click()", number)
    looker.until("document.getElementById('marked').textContent === '6 marked'")
    listed = tmp_path / "exclusions.tsv"
    assert {one.image_id[-3:] for one in read_exclusions(listed)} == {
        "103",
        "116",
        "117",
        "118",
        "119",
        "120",
    }
    answer = cli("--cache", fetched, "audit", whole, "--near", "--apply", listed)
    assert (answer.code, "no errors" in answer.err) == (0, True), answer.err
    assert "duplicate-" not in answer.out


def test_blurred_until_asked(looker: Looker, serve: Callable, demo: Manifest) -> None:
    looker.open(serve(demo, where="modality = 'clinical'").address)
    blurred = "document.querySelectorAll('#tiles .blurred').length"
    before = looker.js(blurred)
    assert before > 0
    looker.click(f"{TILES} .open")
    looker.until(f"{blurred} === {before - 1}")
    assert not looker.js("document.getElementById('picture').open")
    looker.press("b")
    looker.until(f"{blurred} === 0")


def test_strange_words_do_nothing(looker: Looker, serve: Callable, fetched: Path, tmp_path: Path) -> None:
    """Markup in ids and labels is text, signs that turn text around are shown by their numbers."""
    (tmp_path / "own").mkdir()
    Image.new("RGB", (40, 20), "red").save(tmp_path / "own" / "a.png")
    path = tmp_path / "own" / "strange.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "path", "label_raw"])
        writer.writerow(["<img src=x onerror=alert(1)>", "a.png", "<script>document.title = 'mine'</script>"])
        writer.writerow(["\u202eevil", "a.png", "javascript:alert(1)"])
    server = serve(dd.open_session(cache=fetched).load(path))
    looker.open(server.address)
    looker.until(f"document.querySelectorAll('{TILES}').length === 2")
    looker.js("document.querySelector('#tiles .blurred')?.parentElement.click()")
    looker.click(f"{TILES} .open")
    looker.until("document.getElementById('picture').open")
    assert looker.js("document.title").endswith("dermdata browse")
    assert looker.js("document.querySelectorAll('.tile img[onerror], #picture script').length") == 0
    assert "\\u202eevil" in looker.js("document.getElementById('tiles').textContent")
    assert looker.complaints() == []
    assert looker.foreign(server.address) == []


def test_a_hundred_thousand_rows_scroll_to_their_end(
    looker: Looker, serve: Callable, fetched: Path, tmp_path: Path
) -> None:
    """Only what is near the screen is in the page; the last row is reached, and small steps move by their pixels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 300_000
    names = pa.array([f"i{number:06}" for number in range(rows)])
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"dataset": pa.array(["x"] * rows), "image_id": names, "key": names}), path)
    looker.open(serve(dd.open_session(cache=fetched).load(path)).address)
    looker.js("document.querySelector('#grid').scrollTo(0, 1e9)")
    looker.until(f"[...document.querySelectorAll('{TILES}')].some(one => one.index === {rows - 1})")
    assert looker.js("document.querySelectorAll('.tile').length") < 200
    looker.js("document.querySelector('#grid').scrollBy(0, -100)")
    places = "[...document.querySelectorAll('.tile')].map(one => one.index)"
    looker.until(f"Math.max(...{places}) === {rows - 1}")
    for _ in range(4):
        looker.js("document.querySelector('#grid').scrollBy(0, -900)")
    looker.until(f"Math.max(...{places}) < {rows - 1}")
    shown = looker.js(places)
    assert shown == sorted(shown)  # also after going up
    looker.js("document.querySelector('#grid').scrollTo(0, 0)")
    looker.until(f"{places}.includes(0)")
    looker.js("document.querySelector('#tiles .tile .open').focus()")
    looker.press(Keys.END)  # far away: the focus waits for its tile
    looker.until(f"document.activeElement.closest('.tile')?.index === {rows - 1}")
    looker.js("document.getElementById('where').focus()")
    looker.press("nobody = 1")
    looker.until("!document.getElementById('where-error').hidden")
    looker.js("document.querySelector('#grid').scrollTo(0, 3e6)")  # to rows that were not asked for before
    looker.until("document.querySelectorAll('.tile .caption').length > 10")
    looker.until("[...document.querySelectorAll('.tile')].every(one => one.querySelector('.caption'))")


def test_a_facet_of_very_many_values_is_searched(
    looker: Looker, serve: Callable, fetched: Path, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pa.array([f"i{number:04}" for number in range(900)])
    words = pa.array([f"word {number:04}" for number in range(900)])
    path = tmp_path / "many.parquet"
    pq.write_table(
        pa.table({"dataset": pa.array(["x"] * 900), "image_id": names, "key": names, "label": words}), path
    )
    looker.open(serve(dd.open_session(cache=fetched).load(path)).address)
    box = "[...document.querySelectorAll('#facet-list input[type=search]')].find(one => one.ariaLabel.includes('label'))"
    looker.until(f"{box} !== undefined")
    looker.js(f"{box}.focus()")
    looker.press("0777")
    looker.until("document.querySelectorAll('[data-facet=label]').length === 1")
    looker.js("document.querySelector('[data-facet=label]').click()")
    looker.until("document.getElementById('count').textContent.startsWith('1 of 900')")
    assert looker.complaints() == []
