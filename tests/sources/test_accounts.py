"""Files behind an account: what the person must do, and where the secrets go and do not go."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermdata.credentials import Credentials
from dermdata.errors import (
    AccessRefused,
    CredentialsMissing,
    DermdataError,
    LicenseNotAccepted,
    ManualDownload,
    ServerRefused,
)
from dermdata.hosts import ResolveContext, explain_download_error, list_files, resolve
from dermdata.http import HttpClient
from dermdata.http.client import RemoteFile
from dermdata.model import Dataset, File, Request
from support.mirror import Mirror

from .conftest import TOKENS, Truth, answering, entry, sourced

Around = Callable[..., ResolveContext]
PAGE = "https://derm.cs.sfu.ca/Download.html"
ZIP = "https://derm.cs.sfu.ca/restricted/release_v0.zip"
COPY = "https://files.hospital.org/release_v0.zip"
DERM7PT = {"kind": "account", "service": "derm7pt", "url": PAGE, "steps": f"Register at {PAGE}."}
GATED = {"kind": "account", "service": "huggingface"}
SHA = "sha256:" + "b" * 64


def behind_password(*urls: str) -> tuple[Dataset, File]:
    file = File(name="release_v0.zip", role="images", urls=urls or (ZIP,), unpack="zip")
    return entry(file, **DERM7PT), file


def behind_kaggle(**more: Any) -> tuple[Dataset, File]:
    file = sourced("kaggle:shubhamgoel27/dermnet", name="dermnet.zip", **more)
    return entry(file, kind="account", service="kaggle"), file


def behind_gate(**more: Any) -> tuple[Dataset, File]:
    name = "dataset/scin_cases.csv"
    file = sourced(f"huggingface:datasets/gated/scin@main/{name}", name=name, **more)
    return entry(file, **GATED), file


def alone(environment: dict[str, str]) -> ResolveContext:
    """A run whose network may not be asked."""
    return ResolveContext(catalogs=(), credentials=Credentials(environment, None))


@pytest.mark.shared
@pytest.mark.xdist_group("sources")
class TestOfTheStandIns:
    """Against hosts that want credentials, and storage that refuses them."""

    @pytest.mark.parametrize(
        ("made", "dataset", "kind"),
        [
            (behind_kaggle, "dermnet", "Bearer"),
            (behind_gate, "scin", "Bearer"),
            (behind_password, "derm7pt", "Basic"),
        ],
    )
    def test_the_secret_goes_to_the_host_and_never_to_its_storage(
        self,
        around: Around,
        transfer: HttpClient,
        stand: Mirror,
        truth: Truth,
        tmp_path: Path,
        made: Callable[[], tuple[Dataset, File]],
        dataset: str,
        kind: str,
    ) -> None:
        """The bytes come whole; of all requests only those to the host itself carried the credentials."""
        before = len(stand.requests())
        owner, file = made()
        request = resolve(owner, file, around())
        assert isinstance(request, Request)
        received = transfer.download(request, tmp_path / "target")
        assert received.sha256 == truth.of(dataset, file.name)["sha256"]
        asked = stand.requests()[before:]
        host = [one for one in asked if one["port"] == stand.port]
        storage = [one for one in asked if one["port"] != stand.port]
        assert {one["credentials"] for one in host} == {kind}
        assert {one["credentials"] for one in storage} <= {None}
        assert storage or dataset == "derm7pt"  # that one sends its file itself

    def test_a_refused_key_of_kaggle_names_the_place_it_came_from(
        self, around: Around, transfer: HttpClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Refused before the download, by the look at its size."""

        def refuse(_: Request) -> Any:
            raise CredentialsMissing("www.kaggle.com refuses the credentials (401)", hint="set the token")

        owner, file = behind_kaggle()
        with pytest.raises(CredentialsMissing) as caught:
            resolve(owner, file, replace(around(), head=refuse))
        assert "www.kaggle.com refused the credentials from environment variable KAGGLE_API_TOKEN" in str(
            caught.value
        )
        assert "https://www.kaggle.com/settings" in str(caught.value.hint)

    def test_a_download_without_credentials_is_explained(
        self, around: Around, transfer: HttpClient, tmp_path: Path
    ) -> None:
        """A gate that the catalog knows nothing of: the host's 401 becomes the steps to take."""
        name = "dataset/scin_cases.csv"
        file = sourced(f"huggingface:datasets/gated/scin@main/{name}", name=name, size=1, checksum=SHA)
        owner, here = entry(file), around({})
        request = resolve(owner, file, here)
        assert isinstance(request, Request)
        with pytest.raises(DermdataError) as caught:
            transfer.download(request, tmp_path / "target")
        told = explain_download_error(caught.value, owner, file, here)
        assert isinstance(told, CredentialsMissing)
        assert told.message == (
            "demo: dataset/scin_cases.csv: huggingface.co wants credentials, and none were found"
        )
        assert "accept the conditions on https://huggingface.co/datasets/gated/scin" in str(told.hint)

    def test_a_gate_that_the_hub_tells_of_is_known_before_the_download(self, around: Around) -> None:
        name = "dataset/scin_cases.csv"
        file = sourced(f"huggingface:datasets/gated/scin@main/{name}", name=name)
        with pytest.raises(CredentialsMissing, match="needs an account of huggingface"):
            resolve(entry(file), file, around({}))


@pytest.mark.parametrize(
    ("made", "steps"),
    [
        (
            behind_gate,
            [
                "accept the conditions on https://huggingface.co/datasets/gated/scin",
                "https://huggingface.co/settings/tokens",
                "HF_TOKEN",
            ],
        ),
        (
            behind_password,
            [f"Register at {PAGE}", "DERMDATA_DERM7PT_USER", "DERMDATA_DERM7PT_PASSWORD", "derm.cs.sfu.ca"],
        ),
    ],
)
def test_without_credentials_the_exact_steps_are_told(
    made: Callable[[], tuple[Dataset, File]], steps: list[str]
) -> None:
    """Before any request, with exit code 6."""
    owner, file = made()
    with pytest.raises(CredentialsMissing, match="no credentials were found") as caught:
        resolve(owner, file, alone({}))
    assert caught.value.exit_code == 6
    assert [step for step in steps if step not in str(caught.value.hint)] == []


def at_kaggle(answers: dict[bool, Any], **access: Any) -> tuple[Any, list[bool]]:
    """How a file of Kaggle is resolved, guest and account answered so; and who asked: with an account or not."""
    asked: list[bool] = []

    def head(request: Request) -> Any:
        asked.append(bool(request.secrets))
        if isinstance(answer := answers[asked[-1]], Exception):
            raise answer
        return RemoteFile(size=answer)

    file = sourced("kaggle:o/s@3/a b.csv", name="a b.csv")
    found: Any
    try:
        found = resolve(entry(file, **access), file, replace(alone(TOKENS), head=head))
    except DermdataError as error:
        found = error
    return found, asked


WANTS_LOGIN = CredentialsMissing("www.kaggle.com wants credentials (401)")
WANTS_TERMS = LicenseNotAccepted("www.kaggle.com: its terms must be accepted first")
HIDDEN, BUSY = ServerRefused("no", status=404), ServerRefused("busy", status=429)


@pytest.mark.parametrize(
    ("answers", "access", "asked"),
    [
        ({False: 5, True: 6}, {}, [False]),  # public: nobody need know who asks
        ({False: WANTS_LOGIN, True: 5}, {}, [False, True]),
        ({False: WANTS_TERMS, True: 5}, {}, [False, True]),  # accepted by this account
        ({False: HIDDEN, True: 5}, {}, [False, True]),  # a private one is as if it were not there
        ({False: WANTS_LOGIN, True: 5}, {"kind": "account", "service": "kaggle"}, [True]),
    ],
    ids=["public", "login", "terms", "hidden", "the entry says so"],
)
def test_kaggle_gets_the_account_only_where_it_wants_one(
    answers: dict[bool, Any], access: dict[str, Any], asked: list[bool]
) -> None:
    """And one version of the dataset, where the entry names it."""
    found, seen = at_kaggle(answers, **access)
    assert seen == asked
    assert (found.size, bool(found.secrets)) == (5, asked[-1])
    assert found.urls == (
        "https://www.kaggle.com/api/v1/datasets/download/o/s/a%20b.csv?datasetVersionNumber=3",
    )


@pytest.mark.parametrize(
    ("answers", "said", "hint", "asked"),
    [
        ({False: WANTS_LOGIN, True: WANTS_LOGIN}, "refused the credentials from environment", "settings", 2),
        ({False: WANTS_TERMS, True: WANTS_TERMS}, "terms must be accepted", "sign in at https://www.kaggle.com/d", 2),
        ({False: HIDDEN, True: HIDDEN}, r"has no dataset o/s \(404\)", "withdrawn or renamed", 2),
        ({False: BUSY, True: 5}, "busy", "", 1),  # an account does not help
    ],
    ids=["login", "terms", "not there", "busy"],
)  # fmt: skip
def test_what_kaggle_gives_to_nobody_says_the_next_step(
    answers: dict[bool, Any], said: str, hint: str, asked: int
) -> None:
    found, seen = at_kaggle(answers)
    with pytest.raises(DermdataError, match=said):
        raise found
    assert len(seen) == asked
    assert hint in str(found.hint or "")


@pytest.mark.parametrize("made", [behind_kaggle, behind_gate])
def test_an_open_copy_needs_no_account(made: Callable[..., tuple[Dataset, File]]) -> None:
    """A hospital's own copy in an overlay is taken by those who have no token."""
    owner, file = made(urls=(COPY,), size=5, checksum=SHA)
    assert resolve(owner, file, alone({})) == Request(urls=(COPY,), size=5, checksum=SHA)


@pytest.mark.parametrize("made", [behind_kaggle, behind_gate])
def test_secrets_and_foreign_addresses_never_share_a_request(
    made: Callable[..., tuple[Dataset, File]],
) -> None:
    """Transfer sends a request's secrets to each of its addresses."""
    owner, file = made(urls=(COPY,), size=5, checksum=SHA)
    request = resolve(owner, file, alone(TOKENS))
    assert isinstance(request, Request)
    assert request.secrets
    assert COPY not in request.urls


def test_a_password_is_for_the_host_of_its_registration_page() -> None:
    """Not for a copy elsewhere, nor for http, nor for a host whose name begins alike."""
    for url in (COPY, ZIP.replace("https", "http"), ZIP.replace("sfu.ca", "sfu.ca.evil.org")):
        owner, file = behind_password(url)
        request = resolve(owner, file, alone(TOKENS))
        assert isinstance(request, Request)
        assert (request.urls, dict(request.secrets)) == ((url,), {})
    owner, file = behind_password(COPY, ZIP)
    request = resolve(owner, file, alone(TOKENS))
    assert isinstance(request, Request)
    assert (request.urls, set(request.secrets)) == ((ZIP,), {"Authorization"})


def test_a_mirror_never_gets_the_secrets() -> None:
    """Whether it has the file or not, and whether or not anybody may look."""

    def absent(request: Request) -> Any:
        assert not request.secrets
        raise ServerRefused("mirror.org answers 404", status=404)

    owner, file = behind_password()
    here = replace(alone(TOKENS), mirrors=("https://mirror.org",))
    for head in (None, lambda _: None, absent):
        request = resolve(owner, file, replace(here, head=head))
        assert isinstance(request, Request)
        foreign = any("mirror.org" in url for url in request.urls)
        assert foreign != bool(request.secrets)


def test_secrets_are_not_shown_by_what_carries_them() -> None:
    owner, file = behind_password()
    request = resolve(owner, file, alone(TOKENS))
    assert isinstance(request, Request)
    shown = f"{request} {request!r} {alone(TOKENS)!r} {dict(request.secrets)}"
    shown = re.sub("0x[0-9a-f]+", "", shown)  # where something lies in memory may read like a name
    assert "…" in shown
    for value in (*TOKENS.values(), "YWRhOmxldG1laW4="):
        assert value not in shown


def test_a_refused_password_names_the_place_it_came_from() -> None:
    owner, file = behind_password()
    refused = CredentialsMissing("derm.cs.sfu.ca refuses the credentials (401)")
    told = explain_download_error(refused, owner, file, alone(TOKENS))
    assert "refused the credentials from environment variables DERMDATA_DERM7PT_USER" in told.message
    assert f"Register at {PAGE}" in str(told.hint)


def test_terms_that_are_not_accepted_keep_their_name_and_get_the_page() -> None:
    owner, file = behind_gate()
    told = explain_download_error(LicenseNotAccepted("huggingface.co: terms"), owner, file, alone(TOKENS))
    assert isinstance(told, LicenseNotAccepted)
    assert "https://huggingface.co/datasets/gated/scin" in str(told.hint)


def test_a_list_that_kaggle_refuses_names_the_place_of_the_key() -> None:
    def ask(url: str, **_: Any) -> Any:
        raise CredentialsMissing("www.kaggle.com refuses the credentials (401)")

    with pytest.raises(CredentialsMissing, match="refused the credentials from environment variable KAGGLE"):
        list_files("kaggle:o/s", replace(alone(TOKENS), ask=ask))


def test_other_errors_and_other_files_are_left_as_they_are() -> None:
    owner, file = behind_gate()
    gone = ServerRefused("huggingface.co answers 404", status=404)
    assert explain_download_error(gone, owner, file, alone({})) is gone
    wants = CredentialsMissing("a.org wants credentials (401)")
    open_file = File(name="a", role="other", urls=("https://a.org/a",))
    assert explain_download_error(wants, entry(open_file), open_file, alone({})) is wants


def test_a_repository_that_the_hub_hides_says_that_it_may_not_be_there() -> None:
    """The hub answers 401 for a name that does not exist."""

    def ask(url: str, **_: Any) -> Any:
        raise CredentialsMissing("huggingface.co wants credentials (401)")

    file = sourced("huggingface:datasets/owner/nmae@main/a.csv")
    with pytest.raises(CredentialsMissing, match="private, gated or not there"):
        resolve(entry(file), file, replace(alone({}), ask=ask))


def test_what_the_storage_says_of_kaggles_zip_is_used_but_not_needed() -> None:
    """No size and no checksum there is no fault; both in the catalog are not asked for."""

    class Silent:
        size = etag = checksum = None

    owner, file = behind_kaggle()
    request = resolve(owner, file, replace(alone(TOKENS), head=lambda _: Silent()))
    assert isinstance(request, Request)
    assert (request.size, request.checksum) == (None, None)
    owner, file = behind_kaggle(size=5, checksum=SHA)

    def never(_: Request) -> Any:
        raise AssertionError("asked")

    request = resolve(owner, file, replace(alone(TOKENS), head=never))
    assert isinstance(request, Request)
    assert (request.size, request.checksum) == (5, SHA)


def test_a_file_marked_for_a_password_belongs_to_its_own_host_when_no_page_is_known() -> None:
    file = File(name="a.zip", role="images", urls=("https://a.org/a.zip",), auth="basic")
    request = resolve(entry(file, kind="open", service="derm7pt"), file, alone(TOKENS))
    assert isinstance(request, Request)
    assert request.secrets


def test_answers_about_a_gated_repository_are_asked_with_the_token() -> None:
    here, _ = answering({})
    seen: list[dict[str, str]] = []

    def ask(url: str, *, secrets: Any) -> Any:
        seen.append(dict(secrets))
        return {"sha": "c" * 40, "gated": "manual"}

    def ask_page(url: str, *, secrets: Any) -> Any:
        seen.append(dict(secrets))
        return [{"type": "file", "path": "dataset/scin_cases.csv", "size": 1, "oid": "d" * 40}], None

    owner, file = behind_gate()
    resolve(owner, file, replace(here, ask=ask, ask_page=ask_page, credentials=Credentials(TOKENS, None)))
    assert [set(headers) for headers in seen] == [{"Authorization"}] * 2


KAGGLE_PAGE = "https://www.kaggle.com/datasets/shubhamgoel27/dermnet"


@pytest.mark.parametrize(
    ("made", "page"),
    [
        (behind_kaggle, KAGGLE_PAGE),
        (behind_gate, "https://huggingface.co/datasets/gated/scin"),
        (behind_password, PAGE),
    ],
)
def test_an_account_that_is_known_and_gets_nothing_is_sent_to_the_page(
    made: Callable[[], tuple[Dataset, File]], page: str
) -> None:
    """403: whose account it was and where to look, never that the token is bad; told twice it says the same."""
    owner, file = made()
    denied = AccessRefused("host does not give it to this account (403)", hint=f"look at {KAGGLE_PAGE}")
    told = explain_download_error(denied, owner, file, alone(TOKENS))
    assert isinstance(told, AccessRefused)
    assert told.message.startswith(f"demo: {file.name}: host does not give it")
    assert "the account is that of environment variable" in told.message
    assert "refused the credentials" not in told.message
    assert page in str(told.hint)
    assert "token" not in str(told.hint)
    assert explain_download_error(told, owner, file, alone(TOKENS)).message == told.message


def test_a_refusal_names_the_file() -> None:
    """Which of many files it was: `HOST answers 404` alone says nothing to whoever fetches fifty."""
    open_file = File(name="a.zip", role="other", urls=("https://a.org/a",))
    for error in (ServerRefused("a.org answers 404", status=404), ManualDownload("a.org wants a browser")):
        told = explain_download_error(error, entry(open_file), open_file, alone({}))
        assert told is error
        assert told.message.startswith("demo: a.zip: a.org ")
