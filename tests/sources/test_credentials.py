"""Where a person's credentials are looked for, in which order, and that nothing shows them."""

import base64
import copy
import json
import logging
import pickle
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dermdata.credentials import Credentials, Secret, read_system_keyring
from dermdata.errors import CredentialsMissing

TOKEN = "KGAT_s3cr3t"


def put(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def plain(headers: Mapping[str, str] | None) -> str | None:
    """What the header really says, decoded."""
    if headers is None:
        return None
    kind, _, value = str.__str__(headers["Authorization"]).partition(" ")
    return f"{kind} {base64.b64decode(value).decode()}" if kind == "Basic" else f"{kind} {value}"


def sent(service: str, environment: dict[str, str], home: Path | None, **more: Any) -> str | None:
    return plain(Credentials(environment, home, **more).get_headers(service, more.pop("host", None)))


# ------------------------------------------------------------------ nothing there


def test_a_home_without_anything_has_no_credentials(tmp_path: Path) -> None:
    for service in ("kaggle", "huggingface", "derm7pt"):
        for home in (tmp_path, None):
            found = Credentials({}, home)
            assert found.get_headers(service) is None
            assert (found.find_place(service), found.find_note(service)) == (None, None)


def test_empty_values_count_as_absent(tmp_path: Path) -> None:
    put(tmp_path / ".kaggle" / "access_token", " \n")
    assert sent("kaggle", {"KAGGLE_API_TOKEN": "", "KAGGLE_USERNAME": "ada"}, tmp_path) is None
    assert sent("huggingface", {"HF_TOKEN": "  "}, tmp_path) is None


# ------------------------------------------------------------------ places that are broken


@pytest.mark.parametrize("text", ["{", "[]", '{"username": "ada"}', '{"username": 1, "key": "s3cr3t"}'])
def test_a_broken_kaggle_file_is_named_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = put(tmp_path / ".kaggle" / "kaggle.json", text)
    with pytest.raises(CredentialsMissing, match=r"kaggle\.json is not the file") as caught:
        Credentials({}, tmp_path).find("kaggle")
    assert str(path) in caught.value.message
    assert "s3cr3t" not in whole(caught.value)


def test_a_broken_netrc_is_named_by_line_and_not_quoted(tmp_path: Path) -> None:
    """The parser's own error quotes the word it stumbles on, which is often a password."""
    put(tmp_path / ".netrc", "machine www.kaggle.com login ada s3cr3t\n")
    with pytest.raises(CredentialsMissing, match=r"\.netrc, near line \d, is not in the form") as caught:
        Credentials({}, tmp_path).find("kaggle")
    assert "s3cr3t" not in whole(caught.value)


def test_a_file_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / ".kaggle" / "access_token"
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfes3cr3t")
    with pytest.raises(CredentialsMissing, match="is no text"):
        Credentials({}, tmp_path).find("kaggle")
    path.unlink()
    path.mkdir()
    with pytest.raises(CredentialsMissing, match="cannot be read: is a folder, not a file"):
        Credentials({}, tmp_path).find("kaggle")


@pytest.mark.parametrize("token", ["s3cr3t\nX-Evil: 1", "s3cr3t väluë", "s3cr3t two"])
def test_a_token_that_no_header_may_hold_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(CredentialsMissing, match="environment variable HF_TOKEN holds signs") as caught:
        Credentials({"HF_TOKEN": token}, None).find("huggingface")
    assert "s3cr3t" not in whole(caught.value)


def test_a_variable_that_names_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing, match=r"KAGGLE_API_TOKEN names .*absent, which has no token"):
        Credentials({"KAGGLE_API_TOKEN": str(tmp_path / "absent")}, tmp_path).find("kaggle")


def whole(error: BaseException) -> str:
    """Everything that a traceback of it shows."""
    return "".join(traceback.format_exception(error))


# ------------------------------------------------------------------ places, in order


def test_kaggles_places_in_their_order(tmp_path: Path) -> None:
    """Each one counts only when those before it are gone."""
    home = tmp_path
    named = put(tmp_path / "named", "KGAT_named\n")
    put(
        home / ".netrc",
        "machine www.kaggle.com login ada password netrc\nmachine other.org login a password b\n",
    )
    put(home / ".kaggle" / "kaggle.json", json.dumps({"username": "ada", "key": "json"}))
    put(home / ".kaggle" / "access_token.txt", "KGAT_txt\n")
    put(home / ".kaggle" / "access_token", f"{TOKEN}\n")
    pair = {"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": "key"}
    assert sent("kaggle", pair | {"KAGGLE_API_TOKEN": "KGAT_env"}, home) == "Bearer KGAT_env"
    assert sent("kaggle", pair | {"KAGGLE_API_TOKEN": str(named)}, home) == "Bearer KGAT_named"
    assert sent("kaggle", pair, home) == "Basic ada:key"
    for leaf, header in (
        ("access_token", f"Bearer {TOKEN}"),
        ("access_token.txt", "Bearer KGAT_txt"),
        ("kaggle.json", "Basic ada:json"),
    ):
        assert sent("kaggle", {}, home) == header
        assert Credentials({}, home).find_place("kaggle") == str(home / ".kaggle" / leaf)
        (home / ".kaggle" / leaf).unlink()
    assert sent("kaggle", {}, home) == "Basic ada:netrc"
    (home / ".netrc").unlink()
    assert sent("kaggle", {}, home, keyring=lambda _: ("ada", "ring")) == "Basic ada:ring"
    assert sent("kaggle", {}, home) is None


def test_kaggles_folder_may_be_elsewhere(tmp_path: Path) -> None:
    put(tmp_path / "conf" / "access_token", TOKEN)
    assert sent("kaggle", {"KAGGLE_CONFIG_DIR": str(tmp_path / "conf")}, tmp_path) == f"Bearer {TOKEN}"


def test_hugging_faces_places_in_their_order(tmp_path: Path) -> None:
    put(tmp_path / ".cache" / "huggingface" / "token", "hf_cache")
    put(tmp_path / "hub" / "token", "hf_hub")
    put(tmp_path / "path", "hf_path")
    environment = {"HF_HOME": "~/hub", "HF_TOKEN_PATH": str(tmp_path / "path"), "HF_TOKEN": "hf_env"}
    for name, header in (
        ("HF_TOKEN", "Bearer hf_env"),
        ("HF_TOKEN_PATH", "Bearer hf_path"),
        ("HF_HOME", "Bearer hf_hub"),
    ):
        assert sent("huggingface", environment, tmp_path) == header
        del environment[name]
    assert sent("huggingface", {}, tmp_path) == "Bearer hf_cache"


def test_any_other_service_has_variables_of_ours(tmp_path: Path) -> None:
    user = {"DERMDATA_DERM7PT_USER": "ada", "DERMDATA_DERM7PT_PASSWORD": "pässword: with colon"}
    assert sent("derm7pt", user, tmp_path) == "Basic ada:pässword: with colon"
    assert sent("stanford-aimi", {"DERMDATA_STANFORD_AIMI_TOKEN": "t"}, tmp_path) == "Bearer t"
    assert sent("derm7pt", {"DERMDATA_DERM7PT_USER": "ada"}, tmp_path) is None


def test_netrc_is_read_by_host_and_its_default_is_not_for_us(tmp_path: Path) -> None:
    """A default password is for the hosts that its owner thought of."""
    put(
        tmp_path / "netrc",
        "machine derm.cs.sfu.ca login ada password s3cr3t\ndefault login anonymous password x\n",
    )
    found = Credentials({"NETRC": str(tmp_path / "netrc")}, None)
    assert plain(found.get_headers("derm7pt", "derm.cs.sfu.ca")) == "Basic ada:s3cr3t"
    assert found.get_headers("derm7pt", "other.org") is None
    assert found.get_headers("derm7pt") is None


def test_hugging_face_takes_the_password_as_a_token(tmp_path: Path) -> None:
    put(tmp_path / ".netrc", "machine huggingface.co login ada password hf_netrc\n")
    assert sent("huggingface", {}, tmp_path) == "Bearer hf_netrc"


# ------------------------------------------------------------------ files that others may read


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_may_read_brings_a_note(tmp_path: Path, mode: int) -> None:
    """Its credentials work all the same."""
    path = put(tmp_path / ".kaggle" / "access_token", TOKEN, mode)
    found = Credentials({}, tmp_path)
    assert found.get_headers("kaggle")
    assert found.find_note("kaggle") == f"{path} can be read by other users of this machine: chmod 600 {path}"
    path.chmod(0o600)
    assert found.find_note("kaggle") is None


# ------------------------------------------------------------------ keyring


def stand_in(monkeypatch: pytest.MonkeyPatch, get: Any) -> ModuleType:
    library, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    library.__spec__ = errors.__spec__ = object()  # type: ignore[assignment]
    base = type("KeyringError", (Exception,), {})
    errors.KeyringError, errors.NoKeyringError = base, type("NoKeyringError", (base,), {})  # type: ignore[attr-defined]
    library.get_credential = get  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", library)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return errors


def test_a_system_without_the_library_has_no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert read_system_keyring("dermdata:kaggle") is None


def test_the_systems_keyring_is_asked_by_our_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        username, password = "ada", "s3cr3t"

    asked: list[str] = []

    def get(service: str, _: None) -> Entry:
        asked.append(service)
        return Entry()

    stand_in(monkeypatch, get)
    assert sent("kaggle", {}, None, keyring=read_system_keyring) == "Basic ada:s3cr3t"
    assert asked == ["dermdata:kaggle"]
    stand_in(monkeypatch, lambda *_: None)
    assert sent("kaggle", {}, None, keyring=read_system_keyring) is None


def test_a_machine_without_a_keyring_has_none_and_a_locked_one_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[Exception] = []

    def get(*_: object) -> None:
        raise raised[0]

    errors = stand_in(monkeypatch, get)
    raised[:] = [errors.NoKeyringError()]
    assert read_system_keyring("dermdata:kaggle") is None
    raised[:] = [errors.KeyringError("s3cr3t")]
    with pytest.raises(CredentialsMissing, match="keyring cannot be read") as caught:
        read_system_keyring("dermdata:kaggle")
    assert "s3cr3t" not in whole(caught.value)


# ------------------------------------------------------------------ nothing shows them


def test_no_way_of_writing_a_secret_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    """Only those who encode it for the wire, as transfer does, see what it says."""
    secret = Secret("Bearer s3cr3t")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("%s %r %s", secret, secret, {"Authorization": secret})
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>9}", "{:>3}".format(secret), "%s" % secret]  # noqa: UP031, UP032
    assert "s3cr3t" not in " ".join(shown) + caplog.text
    assert secret.encode() == b"Bearer s3cr3t"
    for other in (copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):
        assert (repr(other), other.encode()) == ("…", b"Bearer s3cr3t")


def test_the_finder_shows_neither_environment_nor_what_it_found(tmp_path: Path) -> None:
    found = Credentials({"KAGGLE_API_TOKEN": TOKEN}, tmp_path)
    assert TOKEN not in f"{found!r} {found} {found.find('kaggle')!r} {found.find_place('kaggle')}"


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        ({}, {"username": "ada", "key": TOKEN}),
        ({"KAGGLE_USERNAME": "ada", "KAGGLE_KEY": TOKEN}, {}),
        ({"DERMDATA_KAGGLE_USER": "ada", "DERMDATA_KAGGLE_PASSWORD": f"{TOKEN}\n"}, {}),
    ],
    ids=["kaggle.json", "variables", "our variables"],
)
def test_a_token_in_the_place_of_kaggles_key_is_sent_as_a_token(
    tmp_path: Path, environment: dict[str, str], file: dict[str, str]
) -> None:
    """Kaggle refuses KGAT_… as a key; what begins otherwise is a key, and a token elsewhere is a password."""
    if file:
        put(tmp_path / ".kaggle" / "kaggle.json", json.dumps(file))
    assert sent("kaggle", environment, tmp_path) == f"Bearer {TOKEN}"
    other = {"DERMDATA_DERM7PT_USER": "ada", "DERMDATA_DERM7PT_PASSWORD": TOKEN}
    assert sent("derm7pt", other, tmp_path) == f"Basic ada:{TOKEN}"
