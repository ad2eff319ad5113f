"""A page asks for nothing outside itself and obeys nothing that a source wrote."""

import re
from html.parser import HTMLParser

import pytest

from dermdata.report import evaluation_page
from dermdata.report.page import doi_link, format_percent, policy_digest, show_value, web_link
from report.samples import FACTS, RESULT, finding, page, rows

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" autofocus onfocus='alert(3)' {{ 7 * 7 }}"
TURNED = "gnp.\u202etxe.exe\x1b[31m\x00\ud800"
LOADING = {"src", "srcset", "poster", "data", "action", "formaction", "background", "ping", "style"}


class Seen(HTMLParser):
    """Collects what a browser would act upon."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.within: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        self.within = tag if tag in self.raw else None

    def handle_data(self, data: str) -> None:
        if self.within:
            self.raw[self.within].append(data)
            self.within = None


def hostile_page() -> str:
    table = rows(diagnosis_name=[HOSTILE] * 12, license=[TURNED[:-1]] * 12, body_site=[HOSTILE] * 12)
    bad = finding(
        HOSTILE, message=HOSTILE + TURNED, keys=("demo/r000", HOSTILE), evidence={HOSTILE: [HOSTILE, TURNED]}
    )
    source = {"name": "demo", "title": HOSTILE, "homepage": "javascript:alert(4)", "version": TURNED}
    citation = {"dataset": HOSTILE, "doi": "10.1/\"onclick='x'", "bibtex": HOSTILE, "attribution": TURNED}
    return page(
        table,
        [bad, finding("duplicate-near", message=HOSTILE)],
        {"title": HOSTILE, "command": HOSTILE, "datasets": [source], "citations": [citation],
         "history": [{HOSTILE: TURNED}]},
    )  # fmt: skip


def hostile_evaluation() -> str:
    item = {
        "by": HOSTILE,
        "value": HOSTILE,
        "n": 1,
        "metric": HOSTILE,
        "estimate": 0.5,
        "low": 0.1,
        "high": 0.9,
    }
    gap = {
        "by": HOSTILE,
        "metric": HOSTILE,
        "worst": HOSTILE,
        "best": TURNED,
        "gap": 0.1,
        "low": 0,
        "high": 1,
    }
    result = {
        **RESULT,
        "items": [*RESULT["items"], item],
        "gaps": [gap],
        "too_small": [item],
        "notes": [HOSTILE + TURNED],
    }
    return "".join(evaluation_page(result, {**FACTS, "names": {"melanoma": HOSTILE}}))


@pytest.fixture(params=[hostile_page, hostile_evaluation, page, lambda: "".join(evaluation_page(RESULT, {}))])
def text(request: pytest.FixtureRequest) -> str:
    made: str = request.param()
    return made


@pytest.mark.fault(96)
def test_words_of_a_source_are_words_and_nothing_else(text: str) -> None:
    """Only our own script is there; no attribute runs anything or leads anywhere but to the web or within the page."""
    seen = Seen(text)
    assert len(seen.raw["script"]) == len(seen.raw["style"]) == 1
    assert "alert" not in seen.raw["script"][0]
    assert not [name for _, name, _ in seen.attributes if name.startswith("on") or name == "autofocus"]
    links = [value for tag, name, value in seen.attributes if name == "href" and tag == "a"]
    assert all(value.startswith(("#", "https://")) for value in links)


@pytest.mark.fault(96)
def test_what_turns_text_around_is_shown_and_not_obeyed() -> None:
    text = hostile_page() + hostile_evaluation()
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "gnp.\\u202etxe.exe\\x1b[31m\\x00\\ud800" in text
    text.encode()  # half of a surrogate pair would not be written


def test_a_page_loads_nothing(text: str) -> None:
    """Pictures are in it, and no other attribute names a place."""
    loaded = [(tag, name, value) for tag, name, value in Seen(text).attributes if name in LOADING]
    assert all(
        (tag, name) == ("img", "src") and value.startswith("data:image/jpeg;") for tag, name, value in loaded
    )
    assert "@import" not in text
    assert "url(" not in text


def test_the_policy_allows_our_style_and_script_alone(text: str) -> None:
    """By their hashes; a browser that finds others refuses them, and every request."""
    seen = Seen(text)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.replace("&#39;", "'").split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["script-src"] == f"'sha256-{policy_digest(seen.raw['script'][0])}'"
    assert rules["style-src"] == f"'sha256-{policy_digest(seen.raw['style'][0])}'"


def test_the_same_inputs_give_the_same_page() -> None:
    assert page() == page()


def test_an_address_must_lead_to_the_web() -> None:
    assert web_link("https://x.example/") == "https://x.example/"
    assert [
        web_link(bad) for bad in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "", None)
    ] == [None] * 5
    assert doi_link('10.1/a b"') == "https://doi.org/10.1/a%20b%22"
    assert doi_link("https://doi.org/10.1/x") is None


def test_words_are_kept_as_they_are_where_they_are_harmless() -> None:
    """Letters of any script and line breaks; a no-break space is a space."""
    assert show_value("Näevus 母斑\nشامة") == "Näevus 母斑\nشامة"
    assert show_value("a\u00a0b") == "a b"
    assert format_percent(0.00001) == "< 0.1 %"
    assert format_percent(0) == "0.0 %"
