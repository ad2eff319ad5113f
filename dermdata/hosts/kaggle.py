"""Kaggle: a whole dataset as one zip, or one file of it; with an account only where Kaggle wants one.

Public datasets are given to everybody (Kaggle staff, kagglehub#94 of 2024-07-01), so credentials are sent after a
refusal without them, or at once where the entry says that an account is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode

from dermdata.credentials import explain_steps
from dermdata.errors import DermdataError, LicenseNotAccepted, PersonMustAct, ServerRefused
from dermdata.hosts.accounts import GUARDED_ACCESS, KAGGLE, explain_account_error, is_on_host
from dermdata.hosts.base import (
    GONE_STATUSES,
    FileHead,
    JsonObject,
    RecordFacts,
    ResolveContext,
    T,
    absence_error,
    fill_request,
    guess_role,
    is_complete,
    iterate_pages,
    make_request,
    match_identity,
    refuse_network,
)
from dermdata.model import NOTHING, Dataset, File, Request

SERVER = "https://www.kaggle.com/api/v1/datasets"
PLACE = r"([\w-]+/[\w-]+)(?:@(\d+))?"
PAGE = 200
ACCOUNT_STATUSES = (401, 403, *GONE_STATUSES)  # what is private may be answered as if it were not there


def resolve(dataset: Dataset, file: File, identity: str, context: ResolveContext) -> Request:
    """`shubhamgoel27/dermnet`, with `@<version>`, with `/<file name>`; the storage says what is open of it."""
    form = "kaggle:<owner>/<slug>[@<version>][/<file name>]"
    slug, version, name = match_identity(rf"{PLACE}(?:/(.+))?", identity, form).groups()
    own, head, secrets = download_url(slug, version, name), context.head, find_secrets(context)
    guarded = dataset.access.service == KAGGLE.service and dataset.access.kind in GUARDED_ACCESS
    if secrets and (head is None or (guarded and is_complete(file))):
        return make_own_request(file, own, secrets)
    if head is None:  # only Kaggle knows whether it wants an account
        return make_request(file, ()) if file.urls else refuse_network(own)

    def look() -> tuple[FileHead, Mapping[str, str]]:
        what = f"{dataset.name}: {file.name}"
        return ask_kaggle(
            lambda sent: head(Request(urls=(own,), secrets=sent)), slug, what, context, guarded=guarded
        )

    try:
        seen, sent = context.answers.get_or_ask(("kaggle", own), look)
    except (PersonMustAct, ServerRefused):
        if not file.urls:
            raise
        return make_request(file, ())  # a copy elsewhere
    return fill_request(make_own_request(file, own, sent), seen.size, seen.checksum)


def make_own_request(file: File, own: str, secrets: Mapping[str, str]) -> Request:
    """Kaggle's own address, then copies elsewhere; with secrets without these, since each address gets them."""
    request = make_request(file, (own,))
    if not secrets:
        return request
    urls = tuple(url for url in request.urls if is_on_host(url, KAGGLE.host))
    return replace(request, urls=urls, secrets=secrets)


def ask_kaggle(
    ask: Callable[[Mapping[str, str]], T], slug: str, what: str, context: ResolveContext, *, guarded: bool
) -> tuple[T, Mapping[str, str]]:
    """What Kaggle answers, and the secrets that it wanted for that: none, unless it refuses to answer without.

    Parameters
    ----------
    ask
        Asks with these secrets.
    slug, what
        The dataset that is asked for, and what messages call it.
    context
        Where credentials are found.
    guarded
        Whether the entry says that an account is needed: no question goes out without it, if there is one.

    """
    secrets = find_secrets(context)
    if not (guarded and secrets):
        try:
            return ask(NOTHING), NOTHING
        except (PersonMustAct, ServerRefused) as error:
            open_to_account = not isinstance(error, ServerRefused) or error.status in ACCOUNT_STATUSES
            if not (secrets and open_to_account):
                raise explain_kaggle_error(error, slug, what, context) from error
    try:
        return ask(secrets), secrets
    except (PersonMustAct, ServerRefused) as error:
        raise explain_kaggle_error(error, slug, what, context) from error


def find_secrets(context: ResolveContext) -> Mapping[str, str]:
    """The headers of the person's account; none without one."""
    return context.credentials.get_headers(KAGGLE.service, KAGGLE.host) or NOTHING


def explain_kaggle_error(
    error: PersonMustAct | ServerRefused, slug: str, what: str, context: ResolveContext
) -> DermdataError:
    """A refusal with the next step: the dataset's page for terms, the steps to an account."""
    if isinstance(error, ServerRefused):
        return absence_error(f"dataset {slug}", SERVER, error)
    if isinstance(error, LicenseNotAccepted):
        steps = explain_steps(KAGGLE.service, page=f"https://{KAGGLE.host}/datasets/{slug}")
        return type(error)(f"{what}: {error.message}", hint=steps)
    return explain_account_error(error, KAGGLE, what, context)


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The files of `owner/slug`, or of one version of it; Kaggle tells their sizes, no checksums."""
    slug, version = match_identity(PLACE, identity, "kaggle:<owner>/<slug>[@<version>]").groups()
    what = f"dataset {slug}"

    def page(token: str) -> tuple[list[File], str | None]:
        asked = {"pageSize": str(PAGE), "pageToken": token}
        asked |= {"datasetVersionNumber": version} if version else {}
        url = f"{SERVER}/list/{slug}?{urlencode(asked)}"
        answer, _ = ask_kaggle(
            lambda sent: JsonObject(context.ask(url, secrets=sent), what), slug, slug, context, guarded=False
        )
        files = [parse_file(identity, row) for row in answer.rows("datasetFiles")]
        return files, answer.optional_text("nextPageToken")

    return context.answers.get_or_ask(("kaggle-files", identity), lambda: tuple(iterate_pages(page, what)))


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What `owner/slug` says of itself, by the version that it has now unless one is named."""
    slug, version = match_identity(PLACE, identity, "kaggle:<owner>/<slug>[@<version>]").groups()
    what, url = f"dataset {slug}", f"{SERVER}/view/{slug}"
    try:
        answer, _ = ask_kaggle(
            lambda sent: JsonObject(context.ask(url, secrets=sent), what), slug, slug, context, guarded=False
        )
    except ServerRefused as error:
        if error.status not in GONE_STATUSES:  # its list of files says whether it is there
            raise
        answer = JsonObject({}, what)
    newest = answer.optional_number("currentVersionNumber")
    version = version or (str(newest) if newest else None)
    return RecordFacts(
        place=f"kaggle:{slug}{f'@{version}' if version else ''}",
        page=f"https://{KAGGLE.host}/datasets/{slug}",
        source=url,
        title=answer.written_text("title"),
        version=version,
        license=answer.written_text("licenseName"),
        is_fixed=version is not None,
    )


def whole_archive(identity: str, context: ResolveContext) -> File:
    """All that `list_files` lists as one zip: who asks for its files one by one is stopped after some 100."""
    del context
    slug = match_identity(PLACE, identity, "kaggle:<owner>/<slug>[@<version>]")[1]
    return File(name=f"{slug.partition('/')[2]}.zip", role="other", source=f"kaggle:{identity}")


def parse_file(place: str, row: JsonObject) -> File:
    name = row.text("name")
    return File(
        name=name,
        role=guess_role(name),
        source=f"kaggle:{place}/{name}",
        size=row.optional_number("totalBytes"),
    )


def download_url(slug: str, version: str | None, name: str | None) -> str:
    """The whole dataset's address, or one file's; without a version it is the newest one's."""
    path = f"{slug}/{quote(name)}" if name else slug
    return f"{SERVER}/download/{path}{f'?datasetVersionNumber={version}' if version else ''}"
