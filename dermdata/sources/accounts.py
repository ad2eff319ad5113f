"""Files behind an account: whose it is, the secrets for its own host, and words for a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from dermdata.credentials import HOSTS, how_to
from dermdata.errors import CredentialsMissing, DermdataError, LicenseNotAccepted
from dermdata.model import Dataset, File, Request
from dermdata.sources.around import Surroundings
from dermdata.sources.record import direct

GUARDED = ("account", "agreement")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whose account a file needs: the secrets go to this host only."""

    service: str
    host: str
    page: str | None = None  # where to register, or to accept conditions
    steps: str | None = None  # the entry's own words

    @property
    def hint(self) -> str:
        return how_to(self.service, page=self.page, host=self.host, steps=self.steps)


KAGGLE = Account(service="kaggle", host=HOSTS["kaggle"])


def hub(repository: str) -> Account:
    """Hugging Face, for `[datasets/]owner/name`: conditions are accepted on the repository's page."""
    host = HOSTS["huggingface"]
    return Account(service="huggingface", host=host, page=f"https://{host}/{repository}")


def account_of(dataset: Dataset, file: File) -> Account | None:
    """The account that this file's own host may ask for; None when it is open to all."""
    kind, _, identity = (file.source or "").partition(":")
    if kind == "kaggle":
        return KAGGLE
    if kind == "huggingface":
        return hub(identity.partition("@")[0])
    access = dataset.access
    place = access.url or (file.urls[0] if file.urls and file.auth else None)
    if kind or not access.service or not place or not (file.auth or access.kind in GUARDED):
        return None
    # an overlay may point the file at a hospital's own copy: that host must not get the password
    host = urlsplit(place).netloc
    if not any(is_on(url, host) for url in file.urls):
        return None
    return Account(service=access.service, host=host, page=access.url, steps=access.steps)


def is_on(url: str, host: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.netloc == host


def guarded(
    account: Account, dataset: Dataset, file: File, own: tuple[str, ...], around: Surroundings
) -> Request:
    """With credentials the account's own addresses, without them the open ones.

    CredentialsMissing with the steps to take when there is neither.
    """
    if found := around.credentials.for_service(account.service, account.host):
        urls = tuple(url for url in (*own, *file.urls) if is_on(url, account.host))
        return replace(direct(file, ()), urls=urls, secrets=found)
    if elsewhere := tuple(url for url in file.urls if not is_on(url, account.host)):
        return replace(direct(file, ()), urls=elsewhere)
    said = f"{dataset.name}: {file.name} needs an account of {account.service}, and no credentials were found"
    raise CredentialsMissing(said, hint=account.hint)


def secrets_of(account: Account, what: str, around: Surroundings) -> Mapping[str, str]:
    """The secrets for the account's host; CredentialsMissing with the steps to take."""
    found = around.credentials.for_service(account.service, account.host)
    if found is None:
        said = f"{what} needs an account of {account.service}, and no credentials were found"
        raise CredentialsMissing(said, hint=account.hint)
    return found


def in_words(error: DermdataError, account: Account, what: str, around: Surroundings) -> DermdataError:
    """The account's host wants or refuses credentials: what the person must do; other errors as they are."""
    if isinstance(error, LicenseNotAccepted):
        return LicenseNotAccepted(error.message, hint=account.hint)
    if not isinstance(error, CredentialsMissing):
        return error
    place = around.credentials.where(account.service, account.host)
    if place is None:
        said = f"{account.host} wants credentials, and none were found"
    else:
        said = f"{account.host} refused the credentials from {place}"
    return CredentialsMissing(f"{what}: {said}", hint=account.hint)


def explained(error: DermdataError, dataset: Dataset, file: File, around: Surroundings) -> DermdataError:
    """The error of a download, with the exact steps when it is about this file's account."""
    account = account_of(dataset, file)
    return in_words(error, account, f"{dataset.name}: {file.name}", around) if account else error
