"""A model card in Markdown, with the sections of Mitchell et al. 2019, filled as far as an evaluation knows.

Model Cards for Model Reporting, https://doi.org/10.1145/3287560.3287596. What an evaluation cannot know is left to the
model's authors in so many words, and not guessed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dermdata.errors import UsageError
from dermdata.markup import count_nouns, escape_markdown, fence_markdown
from dermdata.report.evaluation import GENERAL
from dermdata.report.judgment import describe_bins, describe_trust, judge_result
from dermdata.report.page import format_estimate
from dermdata.report.values import (
    ResultMapping,
    finite_or_none,
    group_word,
    interval_words,
    metric_title,
)

OPEN = "*Not stated: to be filled in by the model's authors.*"
SHOWN_OF_GROUPS = ("accuracy", "balanced_accuracy", "auroc", "sensitivity", "specificity")
NOT_JUDGED = {
    "missing_predictions": "without a prediction",
    "without_class": "without one of the classes",
}
CAVEATS = (
    "The numbers are of these images alone; another camera, clinic or population may give others.",
    "Intervals hold what another draw of the same kind of patients would change, not another kind of patients.",
)


def model_card(result: ResultMapping, facts: Mapping[str, Any]) -> Iterator[str]:
    """Make the card.

    Parameters
    ----------
    result : mapping
        The answer of `evaluate`, as `dermdata.report` describes it.
    facts : mapping
        What is known beside it, as `dermdata.report` describes it.

    Yields
    ------
    str
        Pieces of Markdown.

    """
    names = facts.get("names", {})
    sections = {
        "Model details": [
            OPEN,
            "",
            "Person or organization, date, version, type, training, paper, license, contact.",
        ],
        "Intended use": [OPEN, "", "Primary uses, primary users, and uses that are out of scope."],
        "Factors": [*list_factors(result, names)],
        "Metrics": [*list_metrics(result, names)],
        "Evaluation data": [*list_data(result, facts)],
        "Training data": [
            OPEN,
            "",
            "If any of the images above were trained on, the numbers below are of no use.",
        ],
        "Quantitative analyses": [*list_analyses(result, names, facts.get("rows") or "")],
        "Ethical considerations": [OPEN, "", *list_license(facts)],
        "Caveats and recommendations": [*list_caveats(result, names)],
    }
    lines = ["# Model card", ""]
    for title, some in sections.items():
        lines += ["", f"## {title}", "", *some, ""]
    if command := facts.get("command"):
        made_by = escape_markdown(facts.get("tool") or "dermdata")
        lines += ["", f"Made by {made_by}:", "", *fence_markdown(command, "sh"), ""]
    text = "\n".join(lines)
    yield text
    yield seal_text(text)


def seal_text(text: str) -> str:
    """A last line by which it is known whether somebody has written into a card since."""
    return f"\n<!-- as dermdata evaluate wrote it: {hashlib.sha256(text.encode()).hexdigest()} -->\n"


def require_untouched(path: Path) -> None:
    """UsageError for a file that is no card, or one that somebody has filled in: it would be lost."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except UnicodeDecodeError:
        text = ""
    text = text.replace("\r\n", "\n")
    start = text.rfind("\n<!-- as dermdata")
    if start < 0 or text[start:] != seal_text(text[:start]):
        raise UsageError(
            f"{path} is there, and somebody has written into it",
            hint="a model card is filled in by hand: give --model-card another name, or move this one away",
        )


def list_factors(result: ResultMapping, names: Mapping[str, str]) -> Iterator[str]:
    """By what the images were grouped, and of whom nothing can be said."""
    columns = list(dict.fromkeys(item["by"] for item in result["items"] if item.get("by")))
    if not columns:
        yield "No groups were evaluated."
        return
    yield f"Evaluated by {', '.join(map(escape_markdown, columns))}."
    for one in result.get("too_small") or ():
        value = escape_markdown(group_word(one["by"], one["value"], names))
        yield f"- No claim is made of {value}: {escape_markdown(one['reason'])}."


def list_metrics(result: ResultMapping, names: Mapping[str, str]) -> Iterator[str]:
    """What was measured, at which thresholds, and how sure it is."""
    positive = result.get("positive")
    measured = dict.fromkeys(metric_title(item["metric"]) for item in result["items"] if is_general(item))
    judged = f"{names.get(positive, positive)} against the rest" if positive else "One class of several"
    yield escape_markdown(f"{judged}: {', '.join(measured)}.")
    for point in result.get("operating_points") or ():
        yield from describe_point(point, names)
    level = 100 * (result.get("level") or 0.95)
    if resamples := result.get("resamples"):
        drawn = (
            f"{resamples:,} bootstrap resamples by {result.get('unit') or 'image'}, seed {result.get('seed')}"
        )
        yield f"- Intervals: the middle {level:g} % of {drawn}."
    else:
        yield "- No intervals were computed."


def describe_point(point: ResultMapping, names: Mapping[str, str]) -> Iterator[str]:
    """Where an operating point lies on each class; a threshold that was given was not chosen."""
    how = "as it was given" if point["metric"] == "threshold" else "chosen on all of these images"
    for name, cut in point["thresholds"].items():
        at = "no threshold reaches it" if cut is None else f"threshold {format_estimate(cut)}, {how}"
        asked = f"{point['metric']} {point['value']:g} on {escape_markdown(names.get(name, name))}"
        yield f"- Operating point {asked}: {at}."


def is_general(item: ResultMapping) -> bool:
    """Whether a number is of all images and no one class or operating point."""
    return item["by"] is None and item["metric"] in GENERAL


def list_data(result: ResultMapping, facts: Mapping[str, Any]) -> Iterator[str]:
    """How many images of what were judged, the datasets with their versions and licenses, and whom to cite."""
    yield from list_judged(result, facts.get("rows") or "of the target")
    datasets = facts.get("datasets") or ()
    yield from map(describe_dataset, datasets)
    if not datasets:
        yield f"- Dataset, version and license: {OPEN}"
    yield from map(describe_citation, facts.get("citations") or ())
    yield from (f"- Rows made by: {escape_markdown(str(step))}" for step in facts.get("history") or ())


def list_judged(result: ResultMapping, where: str) -> Iterator[str]:
    """How many images were judged, and how many were left out and why."""
    yield f"- {count_nouns(result.get('n') or 0, 'image')} judged, {escape_markdown(where)}."
    for name, words in NOT_JUDGED.items():
        if count := result.get(name):
            yield f"- Not judged: {count_nouns(count, 'image')} {words}."


def describe_citation(one: Mapping[str, Any]) -> str:
    """Whom to cite for a dataset's rows."""
    words = (
        one.get("attribution")
        or one.get("doi")
        or f"{one.get('dataset') or 'the target'}: no source says whom"
    )
    return f"- Cite: {escape_markdown(words)}"


def describe_dataset(one: Mapping[str, Any]) -> str:
    """One dataset in a line."""
    version = f", version {one['version']}" if one.get("version") else ""
    license_words = one.get("license") or "license not stated"
    line = f"{one.get('title') or one['name']} ({one['name']}{version}), {license_words}"
    return f"- {escape_markdown(line)}: {count_nouns(one.get('images') or 0, 'image')}"


def list_analyses(result: ResultMapping, names: Mapping[str, str], where: str) -> Iterator[str]:
    """The sentences of the page's first screen, then numbers of all images and of groups."""
    judgment = judge_result(result, names, where)
    yield from (escape_markdown(one.words) for one in judgment.sentences)
    if judgment.silent:
        yield escape_markdown(f"Cannot be judged: {judgment.silent}")
    columns = ("metric", "group", "images", "estimate", "interval")
    yield from ("", f"| {' | '.join(columns)} |", "| --- | --- | ---: | ---: | --- |")
    for item in result["items"]:
        if (value := finite_or_none(item["estimate"])) is not None and is_shown(item, result):
            group = "all images" if item["by"] is None else group_word(item["by"], item["value"], names)
            words = map(escape_markdown, (metric_title(item["metric"]), group))
            numbers = (f"{item['n']:,}", format_estimate(value), interval_words(item).strip(" ()"))
            yield f"| {' | '.join((*words, *numbers))} |"


def is_shown(item: ResultMapping, result: ResultMapping) -> bool:
    """Everything of all images; of groups of which a claim can be made, what is of no single class."""
    small = {(one["by"], one["value"]) for one in result.get("too_small") or ()}
    if item["by"] is None:
        return True
    return item["metric"] in SHOWN_OF_GROUPS and (item["by"], item["value"]) not in small


def list_license(facts: Mapping[str, Any]) -> Sequence[str]:
    """What the images' licenses allow, which a model trained on them may inherit."""
    rights = facts.get("effective_license")
    if not rights:
        return ["The images' license is not stated."]
    use = {True: "allowed", False: "not allowed", None: "not stated"}[rights.get("commercial_use")]
    return [
        f"License of the images together: {escape_markdown(rights.get('id') or 'no one license')}; commercial use {use}."
    ]


def list_caveats(result: ResultMapping, names: Mapping[str, str]) -> Iterator[str]:
    """How far to trust the numbers, and the probabilities."""
    yield from (f"- {line}" for line in CAVEATS)
    if missing := result.get("missing_predictions"):
        yield f"- {count_nouns(missing, 'image', 'have')} no prediction: no number is of these."
    yield from (
        f"- {escape_markdown(line)}"
        for line in (describe_trust(result), *describe_bins(result, names))
        if line
    )
