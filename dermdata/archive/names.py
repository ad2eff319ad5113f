"""What a member may be called, and a safe path of ours for any name."""

import hashlib
import re
import unicodedata

COMPONENT_BYTES = 200
LITERAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._- ")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DRIVE = re.compile(r"[A-Za-z]:")
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE)
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}$")
JUNK = frozenset({".ds_store", "thumbs.db"})


def member_name(text: str) -> str:
    """Name a member as we speak of it: NFC, without the leading `./` and closing `/` that tar writes."""
    name = unicodedata.normalize("NFC", text)
    while name.startswith("./"):
        name = name[2:]
    return name.removesuffix("/")


def fault(name: str) -> str | None:
    """Why a member may not be called so; None when it may."""
    if CONTROL.search(name):
        return "has a NUL in its name" if "\0" in name else "has a control character in its name"
    if "\\" in name:
        return "has a backslash in its name"
    if name.startswith("/"):
        return "has an absolute path"
    if DRIVE.match(name):
        return "has a drive letter in its name"
    parts = name.split("/")
    if ".." in parts:
        return "has '..' in its path"
    return "has an empty or '.' part in its path" if "" in parts or "." in parts else None


def shown(name: str, limit: int = 120) -> str:
    """Make a name fit for a message: quoted, control characters escaped, not longer than a line."""
    return ascii(name) if len(name) <= limit else f"{name[:limit]!a}…"


def is_junk(name: str) -> bool:
    """Whether an operating system left this behind: resource forks, folder settings, thumbnails."""
    base = name.rsplit("/", 1)[-1]
    return name.split("/", 1)[0] == "__MACOSX" or base.startswith("._") or base.casefold() in JUNK


def clash_key(name: str) -> str:
    """Equal for names that a case-insensitive or normalising file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_name(text: str) -> str:
    """Make a relative path that every common file system takes, another for every name (in NFC).

    Letters and digits of any script, `.`, `_`, `-` and inner spaces stay; the rest is percent-encoded as
    in URLs. A component over 200 bytes is cut and ends in `~`, 20 digits of its SHA-256 and its suffix;
    `~` is never literal, so no other name can look like that.
    """
    return "/".join(_component(part) for part in unicodedata.normalize("NFC", text).split("/"))


def _component(text: str) -> str:
    if not text:
        return "%"
    signs = [sign if sign in LITERAL or sign.isalnum() else _percent(sign) for sign in text]
    if text[0] in ".- " or RESERVED.match(text):
        signs[0] = _percent(text[0])
    if text[-1] in ". ":
        signs[-1] = _percent(text[-1])
    return _fitted("".join(signs))


def _percent(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def _fitted(name: str) -> str:
    encoded = name.encode()
    if len(encoded) <= COMPONENT_BYTES:
        return name
    suffix = SUFFIX.search(name)
    ending = f"~{hashlib.sha256(encoded).hexdigest()[:20]}{suffix.group() if suffix else ''}"
    return encoded[: COMPONENT_BYTES - len(ending)].decode("utf-8", "ignore") + ending
