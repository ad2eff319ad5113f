"""Files behind an account: whose it is, the secrets for its own host, and words for a refusal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from dermdata.credentials import SERVICE_HOSTS, explain_steps
from dermdata.errors import (
    AccessRefused,
    CredentialsMissing,
    DermdataError,
    LicenseNotAccepted,
    LoginNeeded,
    NotTheFile,
    PersonMustAct,
    ServerRefused,
)
from dermdata.hosts.base import ResolveContext, make_request
from dermdata.model import Dataset, File, Request
from dermdata.urls import SOME_PAGE, USE_FROM

GUARDED_ACCESS = ("account", "agreement")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whose account a file needs: the secrets go to this host only."""

    service: str
    host: str
    page: str | None = None  # where to register, or to accept conditions
    steps: str | None = None  # the entry's own words

    @property
    def hint(self) -> str:
        return explain_steps(self.service, page=self.page, host=self.host, steps=self.steps)


KAGGLE = Account(service="kaggle", host=SERVICE_HOSTS["kaggle"])


def huggingface_account(repository: str) -> Account:
    """Hugging Face, for `[datasets/]owner/name`: conditions are accepted on the repository's page."""
    host = SERVICE_HOSTS["huggingface"]
    return Account(service="huggingface", host=host, page=f"https://{host}/{repository}")


def find_account(dataset: Dataset, file: File) -> Account | None:
    """The account that this file's own host may ask for; None when it is open to all."""
    kind, _, identity = (file.source or "").partition(":")
    if kind == "kaggle":
        return KAGGLE
    if kind == "huggingface":
        return huggingface_account(identity.partition("@")[0])
    return None if kind else find_entry_account(dataset, file)


def find_entry_account(dataset: Dataset, file: File) -> Account | None:
    """The account that the entry names, if the file needs one and lies at that account's own host."""
    access = dataset.access
    place = access.url or (file.urls[0] if file.urls and file.auth else None)
    if not access.service or not place or not (file.auth or access.kind in GUARDED_ACCESS):
        return None
    # an overlay may point the file at a hospital's own copy: that host must not get the password
    host = urlsplit(place).netloc
    if not any(is_on_host(url, host) for url in file.urls):
        return None
    return Account(service=access.service, host=host, page=access.url, steps=access.steps)


def is_on_host(url: str, host: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.netloc == host


def make_guarded_request(
    account: Account, dataset: Dataset, file: File, own: tuple[str, ...], context: ResolveContext
) -> Request:
    """With credentials the account's own addresses, without them the open ones.

    CredentialsMissing with the steps to take when there is neither.
    """
    if found := context.credentials.get_headers(account.service, account.host):
        urls = tuple(url for url in (*own, *file.urls) if is_on_host(url, account.host))
        return replace(make_request(file, ()), urls=urls, secrets=found)
    if elsewhere := tuple(url for url in file.urls if not is_on_host(url, account.host)):
        return replace(make_request(file, ()), urls=elsewhere)
    raise missing_credentials_error(account, f"{dataset.name}: {file.name}")


def missing_credentials_error(account: Account, what: str) -> LoginNeeded:
    """The steps to take where nothing is there to send."""
    message = f"{what} needs an account of {account.service}, and no credentials were found"
    return LoginNeeded(message, hint=account.hint)


def explain_account_error(
    error: DermdataError, account: Account, what: str, context: ResolveContext
) -> DermdataError:
    """The account's host wants or refuses credentials: what the person must do; other errors as they are."""
    if isinstance(error, LicenseNotAccepted):
        return type(error)(error.message, hint=account.hint if account.page else error.hint)
    if isinstance(error, AccessRefused):
        return explain_denied_account(error, account, what, context)
    if not isinstance(error, CredentialsMissing):
        return error
    place = context.credentials.find_place(account.service, account.host)
    if place is None:
        message = f"{account.host} wants credentials, and none were found"
    else:
        message = f"{account.host} refused the credentials from {place}"
    return LoginNeeded(f"{what}: {message}", hint=account.hint)


def explain_denied_account(
    error: AccessRefused, account: Account, what: str, context: ResolveContext
) -> AccessRefused:
    """The account is known and does not get it: where to look, and whose account it is."""
    owner = f"; the account is that of {context.credentials.find_place(account.service, account.host)}"
    if error.message.endswith(owner):  # told by whoever asked first
        return error
    hint = error.hint
    if account.page:
        hint = f"look at {account.page}: it may be gone or private, or have conditions to accept there first"
    return AccessRefused(f"{what}: {error.message}{owner}", hint=hint)


def explain_download_error(
    error: DermdataError, dataset: Dataset, file: File, context: ResolveContext
) -> DermdataError:
    """The error of a download, with the exact steps when it is about this file's account.

    Parameters
    ----------
    error
        What the download raised.
    dataset, file
        What was downloaded.
    context
        Where credentials were found.

    Returns
    -------
    DermdataError
        The error to raise, which names the file where a host refuses it; the same one when it is not about an account.

    """
    what = f"{dataset.name}: {file.name}"
    account = find_account(dataset, file)
    found = explain_account_error(error, account, what, context) if account else error
    if isinstance(found, ServerRefused | PersonMustAct | NotTheFile):
        name_subject(found, dataset, file.name)
    return found


def name_subject(error: DermdataError, dataset: Dataset, what: str) -> None:
    """Put dataset and file before a refusal's words, unless they are there, and page and command into its hint."""
    if not error.message.startswith(f"{dataset.name}: "):
        names = (dataset.name,) if what in error.message else (dataset.name, what)
        error.message = ": ".join((*names, error.message))
        error.args = (error.message,)
    if error.hint:
        guarded = dataset.access.url if dataset.access.kind in GUARDED_ACCESS else None
        page = guarded or dataset.homepage or dataset.access.url or SOME_PAGE
        by_hand = f"give it to `dermdata fetch {dataset.name} --from PATH`"
        error.hint = error.hint.replace(SOME_PAGE, page).replace(USE_FROM, by_hand)


@contextmanager
def explain_listing_errors(dataset: Dataset) -> Iterator[None]:
    """Name the dataset in what a host says when its list of files is asked."""
    try:
        yield
    except (ServerRefused, PersonMustAct, NotTheFile) as error:
        name_subject(error, dataset, "its list of files")
        raise
