"""Whose certificates are trusted: those that SSL_CERT_FILE or SSL_CERT_DIR name, else the system's and the public ones.

A set variable is the person's word, and nothing else is trusted beside it, as with curl and OpenSSL. Without one, the
system's store counts, into which a hospital puts its own authority, together with certifi's list, which is newer than
the store of an old machine and there where a small container has none; pip does the same.

The stores of Windows and macOS are no files: there truststore asks the system to judge each certificate. Elsewhere it
would read the whole store again for each connection, with all others waiting: there OpenSSL's own files are read once.
"""

import os
import re
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import certifi

from dermdata.errors import UsageError

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
CERTIFICATE_ENDINGS = {".pem", ".crt", ".cer"}
HASHED_NAME = re.compile(r"[0-9a-f]{8}\.\d+")  # of a file in a folder that OpenSSL can look into
# where systems keep their store, for a Python whose OpenSSL was built for another place; the list of truststore 0.10
SYSTEM_FILES = (
    "/etc/ssl/cert.pem",  # Alpine, Arch, Fedora 34 to 43, RHEL 9 and 10, BSD
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # later Fedora and RHEL
    "/etc/pki/tls/cert.pem",  # earlier Fedora, RHEL and CentOS
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


@dataclass(frozen=True)
class TrustedAuthorities:
    """Where the authorities are read that a connection is held to."""

    file: str | None = None  # of SSL_CERT_FILE
    folders: tuple[str, ...] = ()  # of SSL_CERT_DIR
    system: bool = False
    public: bool = False  # certifi's list

    def __str__(self) -> str:
        named = [f"{VARIABLES[0]} {self.file}"] if self.file else []
        named += [f"{VARIABLES[1]} {os.pathsep.join(self.folders)}"] if self.folders else []
        if named:
            return f"only those of {' and '.join(named)}"
        return "the system's store, and the public ones of certifi"


def find_authorities(environment: Mapping[str, str]) -> TrustedAuthorities:
    """Return what a connection is held to; UsageError for a variable that names nothing that can be read."""
    file, folder = (environment.get(name, "") for name in VARIABLES)
    if not file and not folder:
        return TrustedAuthorities(system=True, public=True)
    if file and not Path(file).is_file():
        raise _missing_error(VARIABLES[0], file, "file")
    folders = tuple(filter(None, folder.split(os.pathsep)))
    for one in folders:
        if not file and not Path(one).is_dir():
            raise _missing_error(VARIABLES[1], one, "folder")
    return TrustedAuthorities(file=file or None, folders=folders)


def _missing_error(variable: str, path: str, kind: str) -> UsageError:
    return UsageError(
        f"{variable} names {path}, and there is no such {kind}",
        hint=f"correct {variable}, or unset it: then the system's own store is used",
    )


@lru_cache(maxsize=4)
def open_context(trusted: TrustedAuthorities) -> ssl.SSLContext:
    """Return a context that checks certificates against these authorities; UsageError for a file that holds none."""
    if trusted.system and sys.platform in ("win32", "darwin"):
        import truststore  # only these systems have it

        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certifi.where())
        return context
    # not `create_default_context`: Python 3.13's is strict in what many an institution's authority is not
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # a named authority counts, also one that has another above it
    if trusted.public:
        context.load_verify_locations(cafile=certifi.where())
    if trusted.system:
        _load_system_store(context)
    if trusted.file:
        _load_file(context, trusted.file)
    for folder in trusted.folders:
        _load_folder(context, Path(folder))
    return context


def _load_system_store(context: ssl.SSLContext) -> None:
    """Add the authorities of the system: where OpenSSL looks, else where systems are known to have them."""
    context.set_default_verify_paths()
    paths = ssl.get_default_verify_paths()
    if paths.cafile or (paths.capath and _has_hashed_names(Path(paths.capath))):
        return
    if file := next((file for file in SYSTEM_FILES if Path(file).is_file()), None):
        context.load_verify_locations(cafile=file)


def _load_file(context: ssl.SSLContext, file: str) -> None:
    try:
        _add_certificates(context, Path(file))
    except ssl.SSLError as error:
        raise UsageError(
            f"{VARIABLES[0]} names {file}, which holds no certificate",
            hint="it must be the certificate of the authority: a text with BEGIN CERTIFICATE, or its DER form",
        ) from error
    except OSError as error:
        raise UsageError(f"{VARIABLES[0]} names {file}: {error.strerror}") from error


def _add_certificates(context: ssl.SSLContext, path: Path) -> None:
    """Add those of a file in PEM form, or the one of a file in DER form, as browsers and Windows export it."""
    data = path.read_bytes()
    if b"-----BEGIN" in data:
        context.load_verify_locations(cafile=str(path))
    else:
        context.load_verify_locations(cadata=data)


def _load_folder(context: ssl.SSLContext, folder: Path) -> None:
    """Add a folder that `openssl rehash` prepared; of another one, each certificate that lies there."""
    if _has_hashed_names(folder):
        context.load_verify_locations(capath=str(folder))
        return
    if not folder.is_dir():
        return
    before = context.cert_store_stats()["x509"]
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in CERTIFICATE_ENDINGS:
            with suppress(ssl.SSLError):  # a key, say: what counts is whether there is any certificate
                _add_certificates(context, path)
    if context.cert_store_stats()["x509"] == before:
        raise UsageError(f"{VARIABLES[1]} names {folder}, which holds no certificate")


def _has_hashed_names(folder: Path) -> bool:
    return folder.is_dir() and any(HASHED_NAME.fullmatch(path.name) for path in folder.iterdir())
