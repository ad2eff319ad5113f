"""A person's own tokens and passwords: where they lie, and the header they make; never their text.

Looked for in this order: environment, the service's own files, ~/.netrc, the system's keyring.
"""

import base64
import importlib
import importlib.util
import json
import netrc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dermdata.disk import read_regular
from dermdata.errors import CredentialsMissing

# whose files and variables we know
SERVICE_HOSTS = {"kaggle": "www.kaggle.com", "huggingface": "huggingface.co"}
TOKEN_USERS = ("", "token", "__token__")  # user names that say: the password is a token
KAGGLE_MARK = "KGAT_"  # how Kaggle's tokens begin: sent as a key, with a user's name, they are refused
READABLE_BY_OTHERS = 0o044
MOST_BYTES = 1 << 20  # bytes of a file of credentials
AGAIN = "run the same command again; or download the files by hand and run it with --from PATH"

Keyring = Callable[[str], tuple[str, str] | None]  # service -> user, password


class Secret(str):
    """A header's value that no message, log line or traceback can show by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "…"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("…", spec)


@dataclass(frozen=True, kw_only=True)
class FoundCredentials:
    """Credentials for one service: what to send, and where they were found."""

    headers: Mapping[str, str]  # values are Secret
    place: str  # a variable, a file, `keyring`
    note: str | None = None  # what is unwise about that place


class Credentials:
    """Finds a person's credentials when they are asked for; reads nothing before."""

    def __init__(
        self, environment: Mapping[str, str], home: Path | None, keyring: Keyring | None = None
    ) -> None:
        self._environment = environment
        self._home = home
        self._keyring = keyring

    def __repr__(self) -> str:
        return "Credentials(…)"

    def find(self, service: str, host: str | None = None) -> FoundCredentials | None:
        """The first credentials there are; CredentialsMissing for a place that cannot be read.

        `host` is the service's address, for ~/.netrc; known for kaggle and huggingface.
        """
        host = host or SERVICE_HOSTS.get(service)
        found = self._find_in_variables(service) or self._find_in_files(service)
        found = found or (self._find_in_netrc(service, host) if host else None)
        return found or (self._find_in_keyring(service) if self._keyring else None)

    def get_headers(self, service: str, host: str | None = None) -> Mapping[str, str] | None:
        """The headers to send to that service's own host, and to no other."""
        found = self.find(service, host)
        return found.headers if found else None

    def find_place(self, service: str, host: str | None = None) -> str | None:
        """The name of the place that has them."""
        found = self.find(service, host)
        return found.place if found else None

    def find_note(self, service: str, host: str | None = None) -> str | None:
        """What is unwise about that place: a file that others may read."""
        found = self.find(service, host)
        return found.note if found else None

    # ------------------------------------------------------------------ places

    def _find_in_variables(self, service: str) -> FoundCredentials | None:
        for name in token_variables(service):
            if value := self._environment.get(name, "").strip():
                return self._read_token_or_path(
                    value, f"environment variable {name}", kaggle=service == "kaggle"
                )
        for user, password in password_variables(service):
            if self._environment.get(user) and self._environment.get(password):
                place = f"environment variables {user} and {password}"
                return key_credentials(service, self._environment[user], self._environment[password], place)
        return None

    def _read_token_or_path(self, value: str, place: str, *, kaggle: bool) -> FoundCredentials | None:
        """Kaggle's variable may name a file instead."""
        path = self._expand_home(value) if kaggle and value.startswith(("/", "~/", "./")) else None
        if path is None:
            return bearer_credentials(value, place)
        if found := read_token_file(path):
            return found
        raise unusable_error(f"{place} names {path}, which has no token")

    def _find_in_files(self, service: str) -> FoundCredentials | None:
        for path in self._token_files(service):
            if found := read_token_file(path):
                return found
        if service == "kaggle" and (folder := self._kaggle_folder()):
            return read_kaggle_json(folder / "kaggle.json")
        return None

    def _token_files(self, service: str) -> Iterator[Path]:
        if service == "kaggle" and (folder := self._kaggle_folder()):
            yield from (folder / "access_token", folder / "access_token.txt")
        if service != "huggingface":
            return
        if named := self._environment.get("HF_TOKEN_PATH"):
            yield self._expand_home(named)
        if home := self._environment.get("HF_HOME"):
            yield self._expand_home(home) / "token"
        elif self._home:
            yield self._home / ".cache" / "huggingface" / "token"

    def _kaggle_folder(self) -> Path | None:
        if named := self._environment.get("KAGGLE_CONFIG_DIR"):
            return self._expand_home(named)
        return self._home / ".kaggle" if self._home else None

    def _find_in_netrc(self, service: str, host: str) -> FoundCredentials | None:
        named = self._environment.get("NETRC")
        path = self._expand_home(named) if named else self._home / ".netrc" if self._home else None
        if path is None or read_text(path) is None:
            return None
        try:
            # `default` is for hosts that its owner thought of, not for ours
            entry = netrc.netrc(path).hosts.get(host)
        except (netrc.NetrcParseError, UnicodeDecodeError) as error:
            where = f", near line {error.lineno}," if isinstance(error, netrc.NetrcParseError) else ""
            broken = f"{path}{where} is not in the form of a .netrc file"
        else:
            return (
                pair_credentials(service, entry[0], entry[2] or "", str(path), permission_note(path))
                if entry
                else None
            )
        raise unusable_error(broken)  # out of the handler: the error's text may hold a password

    def _find_in_keyring(self, service: str) -> FoundCredentials | None:
        found = self._keyring(f"dermdata:{service}") if self._keyring else None
        return pair_credentials(service, found[0], found[1], "the system's keyring", None) if found else None

    def _expand_home(self, name: str) -> Path:
        return self._home / name[2:] if name.startswith("~/") and self._home else Path(name)


def token_variables(service: str) -> tuple[str, ...]:
    """Environment variables that hold a token, the service's own before ours."""
    known = {
        "kaggle": ("KAGGLE_API_TOKEN",),
        "huggingface": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
        "github": ("GH_TOKEN", "GITHUB_TOKEN"),  # in the order of GitHub's own program
        "osf": ("OSF_TOKEN",),
    }
    return (*known.get(service, ()), f"{variable_prefix(service)}_TOKEN")


def password_variables(service: str) -> tuple[tuple[str, str], ...]:
    """Pairs of environment variables that hold a user and a password."""
    known = (("KAGGLE_USERNAME", "KAGGLE_KEY"),) if service == "kaggle" else ()
    return (*known, (f"{variable_prefix(service)}_USER", f"{variable_prefix(service)}_PASSWORD"))


def variable_prefix(service: str) -> str:
    return f"DERMDATA_{service.upper().replace('-', '_')}"


def explain_steps(
    service: str, *, page: str | None = None, host: str | None = None, steps: str | None = None
) -> str:
    """What the person must do to have credentials, numbered: where to get them, where to put them, what to run then."""
    lines = [*list_account_steps(service, page, host, steps), AGAIN]
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def list_account_steps(service: str, page: str | None, host: str | None, steps: str | None) -> list[str]:
    """How an account of a service, and a token or password of it, is had and made known."""
    if service == "kaggle":
        return [
            *([f"sign in at {page} and accept its terms there"] if page else []),
            "make a token at https://www.kaggle.com/settings (section API)",
            "set KAGGLE_API_TOKEN to it, or save it as ~/.kaggle/access_token (an older ~/.kaggle/kaggle.json works too)",
        ]
    if service == "huggingface":
        return [
            *([f"accept the conditions on {page}"] if page else []),
            "make a read token at https://huggingface.co/settings/tokens",
            "set HF_TOKEN to it, or save it as ~/.cache/huggingface/token",
        ]
    prefix = variable_prefix(service)
    other = f", or add a line for {host} to ~/.netrc" if host else ""
    return [
        steps.strip().rstrip(".") if steps else f"register at {page}" if page else "register",
        f"set {prefix}_USER and {prefix}_PASSWORD (or {prefix}_TOKEN){other}",
    ]


def read_system_keyring(service: str) -> tuple[str, str] | None:
    """User and password from the system's keyring; None where the library or a keyring is absent."""
    if importlib.util.find_spec("keyring") is None:
        return None
    library = importlib.import_module("keyring")
    errors = importlib.import_module("keyring.errors")
    try:
        found = library.get_credential(service, None)
    except errors.NoKeyringError:  # a machine without a desktop
        return None
    except errors.KeyringError as error:
        raise CredentialsMissing(
            f"the system's keyring cannot be read for {service}: {type(error).__name__}"
        ) from None
    return (str(found.username), str(found.password)) if found else None


# ------------------------------------------------------------------ headers


def pair_credentials(
    service: str, user: str, password: str, place: str, note: str | None
) -> FoundCredentials | None:
    """A user and a password as the service takes them: Hugging Face takes tokens only."""
    if service == "huggingface" or user in TOKEN_USERS:
        return bearer_credentials(password, place, note)
    return key_credentials(service, user, password, place, note)


def key_credentials(
    service: str, user: str, key: str, place: str, note: str | None = None
) -> FoundCredentials | None:
    """A user and a key; what stands in the place of Kaggle's key may be one of its newer tokens."""
    if service == "kaggle" and key.strip().startswith(KAGGLE_MARK):
        return bearer_credentials(key, place, note)
    return basic_credentials(user, key, place, note)


def bearer_credentials(token: str, place: str, note: str | None = None) -> FoundCredentials | None:
    token = token.strip()
    if not token:
        return None
    if not token.isascii() or not token.isprintable() or " " in token:
        # such a value would show itself in the error that sending it raises
        raise unusable_error(f"the token in {place} holds signs that no token has")
    return FoundCredentials(headers={"Authorization": Secret(f"Bearer {token}")}, place=place, note=note)


def basic_credentials(user: str, password: str, place: str, note: str | None = None) -> FoundCredentials:
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return FoundCredentials(headers={"Authorization": Secret(f"Basic {text}")}, place=place, note=note)


def unusable_error(why: str) -> CredentialsMissing:
    """A place that is there and holds nothing that can be sent."""
    return CredentialsMissing(why, hint="correct it, or remove it so that other places are looked at")


# ------------------------------------------------------------------ files


def read_token_file(path: Path) -> FoundCredentials | None:
    text = read_text(path)
    return bearer_credentials(text, str(path), permission_note(path)) if text else None


def read_kaggle_json(path: Path) -> FoundCredentials | None:
    """`{"username": …, "key": …}`, as the site gives it out; a token may stand in the key's place."""
    text = read_text(path)
    if text is None:
        return None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    user, key = (data.get("username"), data.get("key")) if isinstance(data, dict) else (None, None)
    if not (isinstance(user, str) and isinstance(key, str)):
        raise unusable_error(f'{path} is not the file that Kaggle gives out: {{"username": …, "key": …}}')
    return key_credentials("kaggle", user, key, str(path), permission_note(path))


def read_text(path: Path) -> str | None:
    """A file's text; None when there is no such file."""
    try:
        return read_regular(path, most=MOST_BYTES, links=True).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        why = f"{path} is no text"
    raise unusable_error(why)


def permission_note(path: Path) -> str | None:
    """The advice for a file that other users of this machine may read."""
    if path.stat().st_mode & READABLE_BY_OTHERS:
        return f"{path} can be read by other users of this machine: chmod 600 {path}"
    return None
