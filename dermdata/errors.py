"""Every error a user can meet, in one tree; the class decides the exit code.

    DermdataError
    ├── UsageError (2)            wrong usage, unknown name, bad catalog file
    │   ├── UnknownName               a dataset, column or concept that does not exist
    │   ├── BadCatalog                a catalog file with issues, all of them listed
    │   └── BadTable                  a metadata or manifest file of the user's own that cannot be read
    ├── NetworkError (3)          the network or a server failed, after retries
    │   ├── Offline                   `--offline` forbids the network
    │   ├── CannotConnect             name not resolved, refused, TLS
    │   │   └── ProxyUnreachable          the proxy on the way is away
    │   ├── ServerRefused             an HTTP status that says no
    │   │   ├── RateLimited               too many requests
    │   │   ├── NetworkBlocked            this network is shut out
    │   │   ├── UserAgentRefused          this program is shut out
    │   │   ├── BucketClosed              the owner has closed the whole place
    │   │   ├── ObjectDenied              a file that is not there, or not public
    │   │   ├── LinkExpired               a signed link whose time is over
    │   │   └── ProxyRefused              the proxy on the way there says no
    │   ├── Stalled                   too slow for too long
    │   ├── BrokeOff                  a connection that ended before the answer did
    │   ├── BadRedirect               loop, downgrade, other scheme, private address
    │   └── EverySourceRefused        a dataset's publisher and all copies of it say no
    ├── IntegrityError (4)        bytes are not what they must be
    │   ├── ChecksumMismatch
    │   ├── SizeMismatch
    │   ├── NotTheFile                something else in place of a file
    │   │   ├── SentZipped                a zip of the file in place of the file
    │   │   └── EmptyAnswer               a success without a byte
    │   ├── SourceChanged             an archive is another one than that of which parts were taken before
    │   ├── ArchiveRefused            a hostile or broken archive
    │   ├── TableRefused              a publisher's table that is not what the catalog says
    │   ├── CohortDiffers             a locked cohort cannot be rebuilt as it was
    │   └── CacheDamaged              our own state is broken
    ├── StorageError (5)          disk full, read-only, no permission, cache locked
    │   └── CacheBusy
    ├── PersonMustAct (6)         something for the person to do first
    │   ├── LicenseNotAccepted
    │   │   ├── ConsentNeeded             rules or terms that the host wants accepted there
    │   │   └── GatedRepository           conditions of one repository
    │   ├── CredentialsMissing
    │   │   └── LoginNeeded               the host asks who it is
    │   ├── ProxyLoginNeeded          the proxy on the way asks who it is
    │   ├── AccessRefused             an account that is known, and may not have it
    │   ├── ManualDownload
    │   │   ├── BrowserCheck              a script that only a browser runs
    │   │   ├── CaptchaWanted             a puzzle for people
    │   │   ├── FormWanted                a guestbook, or a button to press
    │   │   ├── QuotaUsedUp               the owner's allowance of downloads
    │   │   ├── RestrictedRecord          files under embargo or on request
    │   │   ├── PageInstead               a page or an error text in place of a file
    │   │   └── PointerInstead            a pointer of Git LFS in place of a file
    │   └── Unobtainable
    ├── SomeFailed (8)            some of several names failed, the others are done
    │   └── ImagesMissing             images that rows name are not found, what has them is done
    ├── HostRefused (3)           beside its place above: a host that answers, and does not give what is asked
    ├── ProblemsFound (1)         the command ran and found problems
    └── Bug (70)                  a fault of dermdata itself

`code` is the stable word of `--format json`; `hint` is the next step for the person. What `HostRefused` covers
(ServerRefused and all below it, EmptyAnswer, AccessRefused, and each class below LicenseNotAccepted, CredentialsMissing and
ManualDownload) is about one host: another place may give the same file. EverySourceRefused says that none does.
"""

from collections.abc import Iterable, Sequence


class DermdataError(Exception):
    """Something to tell the user: what, why, and what to do next."""

    code = "error"
    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class HostRefused(DermdataError):
    """A host has answered and does not give what is asked: another place that holds the same may stand in."""

    code = "host_refused"
    exit_code = 3
    whole_host = False  # whether it is about all that the host has, for now, and not about one file


class UsageError(DermdataError):
    """The request itself is wrong."""

    code = "usage"
    exit_code = 2


class UnknownName(UsageError):
    """A name that is not there, with the nearest ones that are: those of `near`, else those spelled most like it."""

    code = "unknown_name"

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str] = (),
        *,
        near: Sequence[str] | None = None,
        hint: str | None = None,
    ) -> None:
        near = nearest(name, known) if near is None else near
        asked = f"did you mean {' or '.join(near)}?" if near else hint
        super().__init__(f"unknown {kind} '{name}'", hint=asked)
        self.kind = kind
        self.name = name
        self.near = list(near)


class BadCatalog(UsageError):
    """A catalog file with issues; all of them are in the message, one a line."""

    code = "bad_catalog"


class BadTable(UsageError):
    """A file of the user's own that cannot be read as a table or manifest."""

    code = "bad_table"


class NetworkError(DermdataError):
    """The network or a server failed."""

    code = "network"
    exit_code = 3


class Offline(NetworkError):
    """The network is needed, but `--offline` is set."""

    code = "offline"


class CannotConnect(NetworkError):
    """The host cannot be resolved or reached, or its certificate is refused."""

    code = "cannot_connect"


class ProxyUnreachable(CannotConnect):
    """The proxy between this machine and the internet does not answer."""

    code = "proxy_unreachable"


class ServerRefused(NetworkError, HostRefused):
    """The server answered with a status that says no."""

    code = "server_refused"

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RateLimited(ServerRefused):
    """The host has had too many requests, and wants a pause."""

    code = "rate_limited"
    whole_host = True


class NetworkBlocked(ServerRefused):
    """The host shuts out this network, for its traffic or its place."""

    code = "network_blocked"
    whole_host = True


class UserAgentRefused(ServerRefused):
    """The host shuts out this program by its name."""

    code = "user_agent_refused"
    whole_host = True


class BucketClosed(ServerRefused):
    """The owner has closed the place where the files lie to the public."""

    code = "bucket_closed"


class ObjectDenied(ServerRefused):
    """A store does not show a file: it is not there, or not public."""

    code = "object_denied"


class LinkExpired(ServerRefused):
    """A signed link is dead: its time is over."""

    code = "link_expired"


class ProxyRefused(ServerRefused):
    """The proxy between this machine and the host lets no request through, or cannot reach the host."""

    code = "proxy_refused"
    whole_host = True


class Stalled(NetworkError):
    """Too few bytes for too long."""

    code = "stalled"


class BrokeOff(NetworkError):
    """A connection that ended before the answer did, or an answer that is not HTTP."""

    code = "broke_off"


class BadRedirect(NetworkError):
    """A redirect that must not be followed."""

    code = "bad_redirect"


class EverySourceRefused(NetworkError, HostRefused):
    """The publisher of a dataset and all copies of it refuse; 6 where the publisher asks a person to act."""

    code = "every_source_refused"

    def __init__(self, message: str, *, hint: str | None = None, by_person: bool = False) -> None:
        super().__init__(message, hint=hint)
        if by_person:
            self.exit_code = PersonMustAct.exit_code


class IntegrityError(DermdataError):
    """Bytes are not what they must be."""

    code = "integrity"
    exit_code = 4


class ChecksumMismatch(IntegrityError):
    """The bytes have another checksum than the catalog or the first download."""

    code = "checksum_mismatch"


class SizeMismatch(IntegrityError):
    """The file is longer or shorter than it must be."""

    code = "size_mismatch"


class NotTheFile(IntegrityError):
    """Something else came in place of the file."""

    code = "not_the_file"


class EmptyAnswer(NotTheFile, HostRefused):
    """The host reports a success and sends nothing."""

    code = "empty_answer"


class SentZipped(NotTheFile):
    """A zip came in place of a file that is none, as Kaggle sends larger tables."""

    code = "sent_zipped"


class SourceChanged(IntegrityError):
    """An archive is not the one that its earlier parts came from; nothing of the two is mixed."""

    code = "source_changed"


class ArchiveRefused(IntegrityError):
    """An archive that is broken or could do harm."""

    code = "archive_refused"


class TableRefused(IntegrityError):
    """A publisher's table that is not what the catalog says."""

    code = "table_refused"


class CohortDiffers(IntegrityError):
    """Rows of a locked cohort are gone or not what they were."""

    code = "cohort_differs"


class CacheDamaged(IntegrityError):
    """dermdata's own files in the cache are broken."""

    code = "cache_damaged"


class StorageError(DermdataError):
    """The disk is full, read-only or not ours."""

    code = "storage"
    exit_code = 5


class CacheBusy(StorageError):
    """Another process holds the dataset for too long."""

    code = "cache_busy"


class PersonMustAct(DermdataError):
    """Something only the person can do; the hint says exactly what."""

    code = "person_must_act"
    exit_code = 6


class LicenseNotAccepted(PersonMustAct):
    """A license must be accepted first."""

    code = "license_not_accepted"


class ConsentNeeded(LicenseNotAccepted, HostRefused):
    """The host wants its rules or terms accepted on a page of its own."""

    code = "consent_needed"


class GatedRepository(LicenseNotAccepted, HostRefused):
    """The conditions of a repository must be accepted, by an account."""

    code = "gated_repository"


class CredentialsMissing(PersonMustAct):
    """A token or password is missing or was refused."""

    code = "credentials_missing"


class LoginNeeded(CredentialsMissing, HostRefused):
    """The host gives it to an account only, or refuses the credentials."""

    code = "login_needed"


class ProxyLoginNeeded(PersonMustAct):
    """The proxy between this machine and the internet wants a log-in, or refuses the one it gets."""

    code = "proxy_login_needed"


class AccessRefused(PersonMustAct, HostRefused):
    """The host knows the account and does not give it the file: a wrong name, private, or terms to accept."""

    code = "access_refused"


class ManualDownload(PersonMustAct):
    """The files must be asked for or downloaded by hand."""

    code = "manual_download"


class BrowserCheck(ManualDownload, HostRefused):
    """The host wants a script to be run, as only a browser does."""

    code = "browser_check"
    whole_host = True


class CaptchaWanted(ManualDownload, HostRefused):
    """The host wants a puzzle to be solved by a person."""

    code = "captcha_wanted"
    whole_host = True


class FormWanted(ManualDownload, HostRefused):
    """The host wants a form to be filled in, or a warning to be confirmed."""

    code = "form_wanted"


class QuotaUsedUp(ManualDownload, HostRefused):
    """The owner's allowance of downloads is used up."""

    code = "quota_used_up"


class RestrictedRecord(ManualDownload, HostRefused):
    """The files of a record are under embargo, or given on request."""

    code = "restricted_record"


class PageInstead(ManualDownload, HostRefused):
    """A page or an error text came in place of the file."""

    code = "page_instead"


class PointerInstead(ManualDownload, HostRefused):
    """A pointer of Git LFS came in place of the file."""

    code = "pointer_instead"


class Unobtainable(PersonMustAct):
    """The dataset cannot be had; the message says why."""

    code = "unobtainable"


class SomeFailed(DermdataError):
    """Some of several names failed; the others are done."""

    code = "some_failed"
    exit_code = 8


class ImagesMissing(SomeFailed):
    """Images that rows name are nowhere; everything else is done, and `result` is what came of it."""

    code = "images_missing"
    result: object = None


class ProblemsFound(DermdataError):
    """The command ran and found problems (verify, audit, split --check)."""

    code = "problems_found"
    exit_code = 1


class Bug(DermdataError):
    """Something nobody foresaw: a fault of dermdata itself."""

    code = "bug"
    exit_code = 70


SHORTEST_BEGINNING = 3  # letters by which a name is told
LONGEST_NAME = 200  # characters: to compare a long text with each name takes minutes


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names that look most like `name`, best first, then those that begin so; none of a very long name."""
    if len(name) > LONGEST_NAME:
        return []
    from difflib import get_close_matches  # only when something is wrong: start-up counts

    names = list(known)
    near = get_close_matches(name.lower(), names, n=limit, cutoff=0.6)
    begun = (
        one for one in names if len(name) >= SHORTEST_BEGINNING and one.casefold().startswith(name.casefold())
    )
    return [*dict.fromkeys((*near, *begun))][:limit]
