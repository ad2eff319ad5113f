"""The storage that an export fills: a local folder, or a prefix of an object store (`s3://…`, `gs://…`, `memory://…`).

An object appears only when all of its bytes have come: it is made as a local file first, then sent, in several
parts when it is large. What fails is sent again by the store's own library, and given up as a whole.
Credentials, region and address are found by that library's own means: environment, profile, the machine's role.
"""

import errno
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import urlsplit

from dermdata import disk
from dermdata.errors import (
    BadTable,
    CannotConnect,
    CredentialsMissing,
    DermdataError,
    NetworkError,
    SizeMismatch,
    StorageError,
    UsageError,
)
from dermdata.unused_imports import show_unused
from dermdata.urls import USER_AGENT

StoragePath = Path | str  # of a file: a path here, or a URL
SCHEMES = ("s3", "gs", "gcs", "az", "abfs", "memory")
PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
GOOGLE_HINTS = {
    "credentials": "check Google's credentials (GOOGLE_APPLICATION_CREDENTIALS, "
    "`gcloud auth application-default login`, a role …) and their rights",
    "address": "STORAGE_EMULATOR_HOST sets another address than Google's",
}
STORE_HINTS = {
    "s3": {
        "credentials": "check the platform's credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, a role …) and their rights",
        "address": "AWS_ENDPOINT_URL_S3 sets its address",
    },
    "gs": GOOGLE_HINTS,
    "gcs": GOOGLE_HINTS,
}
OTHER_HINTS = {
    "credentials": "check the platform's credentials and their rights",
    "address": "check the network, and the address in the platform's settings",
}
CREDENTIAL_ERRORS = {
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "DefaultCredentialsError",
}
STORE_LIBRARIES = ("botocore.", "aiobotocore.", "aiohttp.", "gcsfs.", "google.")


class Storage(Protocol):
    """A folder that an export fills, wherever it is; paths are below it, with `/`."""

    def locate(self, path: str) -> StoragePath: ...
    def exists(self, path: str) -> bool: ...
    def list_names(self) -> list[str]: ...
    def size(self, path: str) -> int: ...
    def open(self, path: str) -> BinaryIO: ...
    def put(self, path: str, make: Callable[[Path], object]) -> None: ...
    def delete(self, path: str) -> None: ...


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def locate(self, path: str) -> Path:
        return self.path / path

    def exists(self, path: str) -> bool:
        return (self.path / path).exists()

    def list_names(self) -> list[str]:
        """Of what is directly in it, sorted; none when it is not there."""
        return sorted(one.name for one in self.path.iterdir()) if self.path.is_dir() else []

    def size(self, path: str) -> int:
        return (self.path / path).stat().st_size

    def open(self, path: str) -> BinaryIO:
        """OSError for what is no regular file: a pipe would keep us waiting."""
        handle = disk.open_handle(self.path / path, os.O_RDONLY, links=True)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "no regular file", str(self.path / path))
        return os.fdopen(handle, "rb")

    def put(self, path: str, make: Callable[[Path], object]) -> None:
        """Have the file made under its own name; `make` gives it that only when it is whole."""
        make(self.path / path)

    def delete(self, path: str) -> None:
        with disk.storage_errors(self.path / path):
            (self.path / path).unlink(missing_ok=True)


@dataclass(frozen=True)
class Bucket:
    """A prefix of an object store."""

    url: str  # without a slash at its end
    filesystem: Any  # fsspec's file system
    spool: Path  # a local folder, for one file at a time

    def __str__(self) -> str:
        return self.url

    def locate(self, path: str) -> str:
        return f"{self.url}/{path}"

    def exists(self, path: str) -> bool:
        with convert_store_errors(self.url):
            return bool(self.filesystem.exists(self.locate(path)))

    def list_names(self) -> list[str]:
        """Of the objects and prefixes directly below it, sorted; UsageError for a bucket that is not there."""
        with convert_store_errors(self.url):
            self.filesystem.invalidate_cache()
            try:
                found = self.filesystem.ls(self.url, detail=False)
            except FileNotFoundError:
                root = "/".join(self.url.split("/")[:3])
                if not root.startswith("memory:"):
                    self.filesystem.info(root)  # not `exists`, which takes every failure for a no
                return []
            return sorted(one.rstrip("/").rpartition("/")[2] for one in found)

    def size(self, path: str) -> int:
        with convert_store_errors(self.url):
            return int(self.filesystem.size(self.locate(path)))

    def open(self, path: str) -> BinaryIO:
        with convert_store_errors(self.url, missing=FileNotFoundError(self.locate(path))):
            return cast("BinaryIO", self.filesystem.open(self.locate(path), "rb"))

    def put(self, path: str, make: Callable[[Path], object]) -> None:
        """Make the file here, send it, and check that as many bytes have come."""
        local = self.spool / path.rpartition("/")[2]
        try:
            make(local)
            upload_file(self, local, path)
        finally:
            local.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        with convert_store_errors(self.url):
            if self.filesystem.exists(self.locate(path)):
                self.filesystem.rm_file(self.locate(path))


def upload_file(bucket: Bucket, local: Path, path: str) -> None:
    with convert_store_errors(bucket.url):
        bucket.filesystem.put_file(str(local), bucket.locate(path))
    sent, there = local.stat().st_size, bucket.size(path)
    if sent != there:
        raise SizeMismatch(
            f"{bucket.locate(path)} has {there:,} bytes, {sent:,} were sent", hint="run it again"
        )


# ------------------------------------------------------------------ opening


def is_remote(word: str) -> bool:
    """Whether this is the URL of an object store."""
    return urlsplit(word).scheme in SCHEMES


@contextmanager
def open_bucket(url: str) -> Iterator[Bucket]:
    """The prefix at this URL, with a local folder for the file that is under way."""
    with tempfile.TemporaryDirectory(prefix="dermdata-") as spool:
        with convert_store_errors(url):
            found = Bucket(url.rstrip("/"), open_filesystem(url), Path(spool))
        yield found


@contextmanager
def local_copy(url: str) -> Iterator[Path]:
    """A local copy of one object, under its own name, for the time of the block; BadTable when it is not there."""
    with tempfile.TemporaryDirectory(prefix="dermdata-") as spool:
        local = Path(spool) / url.rpartition("/")[2]
        with (
            convert_store_errors(url, missing=missing_manifest_error(url)),
            open_filesystem(url).open(url, "rb") as source,
            local.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 20)
        yield local


def open_filesystem(url: str) -> Any:
    """The file system of a URL; UsageError names the package that is missing."""
    scheme = urlsplit(url).scheme
    if not url.split("/")[2]:
        raise UsageError(f"{url} names no bucket", hint=f"{scheme}://BUCKET/PREFIX")
    if not (log := logging.getLogger("gcsfs")).handlers:
        log.addHandler(logging.NullHandler())  # its tracebacks, before our words
    try:
        show_unused()
        import fsspec

        own = fsspec.config.conf.get(scheme, {}).get("config_kwargs", {})  # the person's
        config = {"config_kwargs": {"user_agent_extra": USER_AGENT, **own}} if scheme == "s3" else {}
        return fsspec.filesystem(scheme, use_listings_cache=False, **config)
    except ImportError as error:
        package = PACKAGES.get(scheme)
        more = f" {package}" if package else ""
        raise UsageError(
            f"{scheme}:// needs the extra `cloud`", hint=f"pip install 'dermdata[cloud]'{more}"
        ) from error


# ------------------------------------------------------------------ errors


def missing_manifest_error(url: str) -> BadTable:
    return BadTable(f"no manifest at {url}", hint="give a dataset's name or a manifest's path")


def missing_bucket_error(url: str) -> UsageError:
    return UsageError(f"there is no bucket for {url}", hint="create it first; dermdata creates none")


@contextmanager
def convert_store_errors(url: str, missing: Exception | None = None) -> Iterator[None]:
    """Turn an object store's errors into ours; `missing` is raised for an object that is not there."""
    try:
        yield
    except DermdataError:
        raise
    except FileNotFoundError as error:
        raise missing or missing_bucket_error(url) from error
    except PermissionError as error:
        raise credentials_error(error, url) from error
    except Exception as error:
        raise to_dermdata_error(error, url) from error


def find_hints(url: str) -> dict[str, str]:
    return STORE_HINTS.get(urlsplit(url).scheme, OTHER_HINTS)


def credentials_error(error: Exception, url: str) -> CredentialsMissing:
    return CredentialsMissing(f"{url}: {str(error) or 'access denied'}", hint=find_hints(url)["credentials"])


def is_access_denied(error: Exception) -> bool:
    """In gcsfs a 401 is an error of its own, a 403 a bare OSError."""
    code = getattr(error, "code", None) if type(error).__module__.startswith("gcsfs.") else None
    return code in (401, 403) or (type(error) is OSError and str(error).startswith("Forbidden: "))


def to_dermdata_error(error: Exception, url: str) -> Exception:
    """Known by names: the stores' libraries have no common root, and may not be installed."""
    kind = type(error)
    if kind.__name__ in CREDENTIAL_ERRORS or is_access_denied(error):
        return credentials_error(error, url)
    if "Connect" in kind.__name__ or "Timeout" in kind.__name__ or isinstance(error, ConnectionError):
        return CannotConnect(f"cannot reach the store of {url}: {error}", hint=find_hints(url)["address"])
    if kind.__module__.startswith(STORE_LIBRARIES):
        return NetworkError(f"{url}: {error}", hint="run the same command again: what is there is kept")
    if isinstance(error, OSError):
        return StorageError(f"{url}: {error}", hint="run the same command again: what is there is kept")
    return error
