"""What licenses allow, and what a mix of them allows: the strictest term of all.

Terms of the Creative Commons licenses are their own text (https://creativecommons.org/licenses/); those of other
licenses are what the catalog states with its source. None means that no source says, and is never read as a yes.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dermdata.model import License

CREATIVE_COMMONS = re.compile(r"CC-(?P<terms>BY(?:-NC)?(?:-SA|-ND)?)-(?P<version>\d\.\d)")
LICENSE_PAGE = re.compile(
    r"https?://creativecommons\.org/(?:publicdomain/(?P<zero>zero)/1\.0"
    r"|licenses/(?P<terms>by(?:-nc)?(?:-sa|-nd)?)/(?P<version>[1-4]\.0|2\.5))(?:/(?:deed(?:\.\w+)?|legalcode(?:\.\w+)?)?)?"
)
STATED_LICENSE = re.compile(
    r"CC (?P<terms>BY(?: NC)?(?: (?:SA|ND))?) v?(?P<version>[1-4]\.0|2\.5)(?: international| unported)?( license)?",
    re.IGNORECASE,
)
# `Attribution` is what BY says already
LONG_TERMS = {
    r"creative commons": "CC", r"\bnon ?commercial\b": "NC", r"\bshare ?alike\b": "SA", r"\bno ?deriv(ative)?s\b": "ND",
    r"\bBY attribution\b": "BY", r"\bCC attribution\b": "CC BY",
}  # fmt: skip
FREE_LICENSES = ("CC0-1.0", "PDDL-1.0", "MIT", "Apache-2.0")  # what asks for more comes later
PER_IMAGE = "LicenseRef-per-image"


@dataclass(frozen=True, kw_only=True)
class LicenseTerms:
    """What one license allows with the images; None: no source says."""

    id: str | None
    commercial_use: bool | None = None
    redistribution: bool | None = None
    share_alike: bool | None = None
    adaptations: bool | None = None  # may changed copies (crops, resized ones) be passed on?


@dataclass(frozen=True, kw_only=True)
class CombinedTerms:
    """What the rows of several licenses allow together, and why."""

    id: str | None  # the one license that meets all; None where no license does or one is unknown
    commercial_use: bool | None
    redistribution: bool | None
    share_alike: bool | None
    because: tuple[str, ...]


def is_known_license(name: str) -> bool:
    """Whether the name alone says what the license allows."""
    return name in FREE_LICENSES or CREATIVE_COMMONS.fullmatch(name) is not None


def find_license(text: str | None, url: str | None = None) -> str | None:
    """The SPDX name of a license in whatever words a host states it; None where these leave it, or its version, open.

    >>> find_license("CC-By Attribution-NonCommercial 4.0 International")
    'CC-BY-NC-4.0'
    """
    if url and (found := LICENSE_PAGE.fullmatch(url)):
        return "CC0-1.0" if found["zero"] else f"CC-{found['terms'].upper()}-{found['version']}"
    words = text or ""
    inside = re.findall(r"\(([^()]*)\)", words)  # `Attribution 4.0 International (CC BY 4.0)`
    return next(filter(None, map(match_license, (words, *inside))), None)


def match_license(text: str) -> str | None:
    """The SPDX name that a text as a whole states."""
    plain = " ".join(re.sub(r"[-_\s,]+", " ", text).split())
    for long, short in LONG_TERMS.items():
        plain = re.sub(long, short, plain, flags=re.IGNORECASE)
    if re.fullmatch(r"CC ?(0|zero)( v?1\.0)?( universal)?(: ?public domain)?", plain, re.IGNORECASE):
        return "CC0-1.0"
    if found := STATED_LICENSE.fullmatch(" ".join(plain.split())):
        terms = found["terms"].upper().replace(" ", "-")
        return f"CC-{terms}-{found['version']}"
    known = {name.lower().replace("-", " "): name for name in FREE_LICENSES}
    return known.get(re.sub(r" license$", "", plain.lower()))


def license_terms(name: str | None, stated: License | None = None) -> LicenseTerms:
    """Say what a license allows: by its name where that says it, else as the catalog states it of the dataset.

    Parameters
    ----------
    name : str or None
        The license's name, SPDX's where there is one.
    stated : License, optional
        What the catalog states of the dataset; it counts where it is of this very license.

    Returns
    -------
    LicenseTerms
        None in each term that no source states.

    """
    if name in FREE_LICENSES:
        return LicenseTerms(
            id=name, commercial_use=True, redistribution=True, share_alike=False, adaptations=True
        )
    if name and (found := CREATIVE_COMMONS.fullmatch(name)):
        terms = found["terms"]
        return LicenseTerms(
            id=name,
            commercial_use="NC" not in terms,
            redistribution=True,
            share_alike="SA" in terms,
            adaptations="ND" not in terms,
        )
    if stated is None or name not in (None, stated.id):
        return LicenseTerms(id=name)
    return LicenseTerms(
        id=stated.id,
        commercial_use=stated.commercial_use,
        redistribution=stated.redistribution,
        share_alike=stated.share_alike,
    )


def combine_terms(parts: Mapping[str, Iterable[LicenseTerms]]) -> CombinedTerms:
    """Combine the terms of several licenses: the strictest of each.

    Parameters
    ----------
    parts : mapping
        Dataset -> the terms of its licenses.

    Returns
    -------
    CombinedTerms
        The terms of the mix, and which license causes each restriction.

    """
    named = [(dataset, one) for dataset, several in sorted(parts.items()) for one in several]
    because: list[str] = []
    commercial = strictest_term(named, "commercial_use", "commercial use", because)
    passing_on = strictest_term(named, "redistribution", "redistribution", because)
    because += list_reasons("share-alike", [one for one in named if one[1].share_alike])
    fixed = [one for one in named if one[1].adaptations is False]
    because += list_reasons("no changed copies may be passed on", fixed)
    return CombinedTerms(
        id=common_license([one for _, one in named], because),
        commercial_use=commercial,
        redistribution=passing_on,
        share_alike=share_alike_term([one for _, one in named]),
        because=tuple(because),
    )


def strictest_term(
    named: list[tuple[str, LicenseTerms]], term: str, what: str, because: list[str]
) -> bool | None:
    """False where one license forbids, None where one does not say, else True."""
    forbidding = [one for one in named if getattr(one[1], term) is False]
    silent = [one for one in named if getattr(one[1], term) is None]
    because += list_reasons(f"no {what}", forbidding)
    because += list_reasons(f"{what} is not stated", silent)
    return False if forbidding else None if silent else bool(named) or None


def share_alike_term(parts: list[LicenseTerms]) -> bool | None:
    """True where one license asks for it, None where one does not say, else False."""
    terms = {one.share_alike for one in parts}
    return True if True in terms else None if None in terms else False


def list_reasons(what: str, named: list[tuple[str, LicenseTerms]]) -> list[str]:
    return [f"{what}: {describe_license(dataset, one)}" for dataset, one in named]


def describe_license(dataset: str, one: LicenseTerms) -> str:
    return f"{dataset} ({one.id or 'no license is stated'})"


def common_license(parts: list[LicenseTerms], because: list[str]) -> str | None:
    """The license under which the whole mix can be passed on; None where there is none that meets all."""
    names = sorted({one.id or "" for one in parts})
    if len(names) < 2:
        return next(iter(names), None) or None
    if not all(map(is_known_license, names)):
        return None
    strict = [name for name in names if name not in FREE_LICENSES]
    if not strict:
        return max(names, key=FREE_LICENSES.index)
    return common_creative_commons(strict, because)


def common_creative_commons(names: list[str], because: list[str]) -> str | None:
    """The one of these Creative Commons licenses that meets all; share-alike and no derivatives bear no further term."""
    terms = {name: set(name.removeprefix("CC-").rsplit("-", 1)[0].split("-")) for name in names}
    together = set().union(*terms.values())
    if any(found != together for found in terms.values() if found & {"SA", "ND"}):
        because.append(
            f"no one license meets {' and '.join(names)}: keep the parts apart when you pass them on"
        )
        return None
    meeting = [name for name in names if terms[name] == together]
    return max(meeting, key=lambda name: name.rsplit("-", 1)[1], default=None)
