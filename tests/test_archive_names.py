"""Names of ours for any name, and any members there and back."""

import tempfile
import unicodedata
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.archive import safe_name
from dermdata.errors import ArchiveRefused
from dermdata.model import Unpack
from support.archive_builders import MAKERS, unpack


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_names_never_give_one_path(one: str, other: str) -> None:
    """`safe_name` keeps names apart that differ in NFC."""
    same = nfc(one) == nfc(other)
    assert (safe_name(one) == safe_name(other)) is same


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@given(
    st.one_of(
        st.text(), st.sampled_from(["..", ".", "", "/", "CON", "nul.txt", "com1", "a. ", "-rf", "~", "%"])
    )
)
def test_every_path_of_ours_is_safe(text: str) -> None:
    """Relative, no special parts, no reserved names, nothing a shell or Windows trips over."""
    for part in safe_name(text).split("/"):
        assert 0 < len(part.encode()) <= 200
        assert part[0] not in ".- "
        assert part[-1] not in ". "
        assert not set(part) & set('<>:"|?*\\\0\n')
        assert part.split(".")[0].strip().upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9"}


def test_plain_names_stay_as_they_are() -> None:
    """What most datasets use is not touched; the rest is percent-encoded or cut with a digest."""
    assert safe_name("HAM10000/ISIC_0027419.jpg") == "HAM10000/ISIC_0027419.jpg"
    assert safe_name("Läsion 1.jpg") == "Läsion 1.jpg"
    assert safe_name("a+b (1).jpg") == "a%2Bb %281%29.jpg"
    assert safe_name("con.jpg/.hidden") == "%63on.jpg/%2Ehidden"
    assert safe_name("x" * 300 + ".jpg").startswith("x" * 150)
    assert safe_name("x" * 300 + ".jpg").endswith(".jpg")


NAMES = st.lists(
    st.text("aäßöé漢日-_. x1", min_size=1, max_size=12).filter(lambda text: text.strip(".")),
    min_size=1,
    max_size=3,
).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(NAMES, st.binary(max_size=2_000), max_size=8), st.sampled_from(["zip", "tar", "tar.gz"])
)
def test_any_members_come_back_as_they_were(members: dict[str, bytes], kind: Unpack) -> None:
    """Round trip: names x contents -> archive -> extract gives the same, or a clash is refused."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            extraction = unpack(Path(folder), MAKERS[kind](members), kind)
        except ArchiveRefused as error:
            assert "same name" in error.message or "file and a folder" in error.message  # noqa: PT017
            return
        files = {file.name: (Path(folder) / "out" / file.path).read_bytes() for file in extraction.contents}
        assert files == {
            name: data for name, data in members.items() if not name.split("/")[-1].startswith("._")
        }
        assert extraction.junk == len(members) - len(files)
