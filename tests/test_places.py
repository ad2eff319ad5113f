"""Exports to an object store: whole objects only, through a connection that breaks; errors in words."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import export
from dermdata.errors import CredentialsMissing, StorageError, UsageError
from dermdata.export import Job
from dermdata.object_store import local_copy, open_bucket, open_filesystem
from dermdata.urls import USER_AGENT
from export.samples import manifest
from support.lazy_modules import LazyModule
from support.proxy import Proxy

s3fs = LazyModule("s3fs")
SERVER = """
import sys, warnings
warnings.simplefilter("ignore")
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
pytestmark = [
    pytest.mark.xdist_group("s3"),
    # what the stores' libraries leave to the garbage collector says so in its own time
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def nothing_is_left_for_other_tests() -> Iterator[None]:
    gc.freeze()  # what other tests keep is not looked through each time
    yield
    gc.collect()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real S3 server."""
    words = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        yield int(process.stdout.readline())
        process.stdin.close()


@pytest.fixture
def aws(port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """The platform's own variables, and a proxy before the server."""
    for name in [one for one in os.environ if one.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    opened: list[Proxy] = []

    def through(after: int = 0, after_down: int = 0) -> Proxy:
        proxy = Proxy(port, after, after_down).__enter__()
        opened.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        s3fs.S3FileSystem.clear_instance_cache()  # each knows the address of its test
        there = store()
        there.mkdir(BUCKET) if not there.exists(BUCKET) else None
        return proxy

    yield through
    for proxy in opened:
        proxy.__exit__()


BUCKET = "s3://skin"


def store() -> Any:
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    root = tmp_path / "cache" / "demo"
    rows = manifest(root)

    def make(**changes: Any) -> Job:
        given = {"table": rows, "roots": {"demo": root}, "out": tmp_path / "out", "embed": True, "jobs": 2}
        return Job(**given | changes)

    return make


def contents(url: str) -> dict[str, bytes]:
    there = store()
    return {name.removeprefix(f"{url[5:]}/"): there.cat_file(name) for name in there.find(url)}


@pytest.mark.parametrize("form", export.REMOTE_FORMATS)
def test_a_broken_connection_leaves_the_same_whole_objects(
    aws: Callable[..., Proxy], job: Callable[..., Job], tmp_path: Path, form: str
) -> None:
    proxy, url = aws(after=6_000), f"{BUCKET}/{form}"
    with open_bucket(url) as bucket:
        first = export.write(form, job(bucket=bucket))
        again = export.write(form, job(bucket=bucket))
        assert not list(bucket.spool.iterdir())
    export.write(form, job())
    here = {
        str(p.relative_to(tmp_path / "out")): p.read_bytes()
        for p in (tmp_path / "out").rglob("*")
        if p.is_file()
    }
    assert proxy.resets == 1
    assert contents(url) == here
    assert all(str(path).startswith(f"{url}/") for path in first.files)
    assert again.kept == len(again.files)
    assert first.bytes == again.bytes


def test_an_upload_that_fails_leaves_nothing(aws: Callable[..., Proxy], job: Callable[..., Job]) -> None:
    """The store goes away while a large object is sent in parts: no object, and the next run makes it."""
    proxy, url = aws(), f"{BUCKET}/parts"
    with open_bucket(url) as bucket:
        whole = os.urandom(1024) * 1024 * 12  # bytes: three parts of at least 5 MiB
        send_part = type(bucket.filesystem)._call_s3
        calls: list[str] = []

        async def broken(self: Any, method: str, *args: Any, **given: Any) -> Any:
            calls.append(method)
            if method == "upload_part" and calls.count("upload_part") == 2:
                raise OSError("connection reset")
            return await send_part(self, method, *args, **given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(bucket.filesystem), "_call_s3", broken)
            patch.setattr("s3fs.core.calculate_chunksize", lambda *_, **__: 5 << 20)
            with pytest.raises(StorageError, match="connection reset"):
                bucket.put("large", lambda path: written(path, whole))
            assert "abort_multipart_upload" in calls
            assert contents(url) == {}
            assert not list(bucket.spool.iterdir())
            bucket.put("large", lambda path: written(path, whole))
        assert contents(url) == {"large": whole}
    assert proxy.resets == 0


def test_an_object_store_learns_who_asks(aws: Callable[..., Proxy], tmp_path: Path) -> None:
    """The same name that data hosts read, behind that of the store's library."""
    proxy = aws()
    proxy.agents.clear()
    bucket = open_filesystem(BUCKET + "/a")
    bucket.pipe_file(f"{BUCKET}/a", b"1")
    assert bucket.ls(BUCKET)
    assert proxy.agents
    assert {USER_AGENT.encode() in agent for agent in proxy.agents} == {True}


def written(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def test_a_manifest_goes_there_and_is_read_from_there(
    aws: Callable[..., Proxy], cli: Callable[..., Any], tmp_path: Path
) -> None:
    aws()
    manifest(tmp_path)  # the images, below the working folder of no one: only rows count here
    table = tmp_path / "m.parquet"
    pq.write_table(manifest(tmp_path / "demo"), table)
    for name in ("kept.parquet", "kept.csv", "kept.jsonl", "kept.arrow"):
        made = cli("select", table, "--where", "fitzpatrick = 2", "-o", f"{BUCKET}/made/{name}")
        assert made.code == 0, made.err
        stats = cli("stats", f"{BUCKET}/made/{name}", "--format", "json")
        assert stats.code == 0, stats.err
    assert "no manifest at s3://skin/made/none.parquet" in cli("stats", f"{BUCKET}/made/none.parquet").err
    exported = cli("export", "parquet", "-o", f"{BUCKET}/one/all.parquet", f"{BUCKET}/made/kept.parquet")
    assert exported.out == "s3://skin/one/all.parquet\n"
    assert pq.read_metadata(store().open(f"{BUCKET}/one/all.parquet")).num_rows == 2


@pytest.fixture
def embedded(aws: Callable[..., Proxy], tmp_path: Path) -> Path:
    """A Parquet with images in 5 row groups, 8 MB, here and in the bucket."""
    rows = pa.concat_tables([manifest(tmp_path / "demo")] * 20)
    images = pa.array([os.urandom(1 << 15) for _ in range(rows.num_rows)])
    pq.write_table(rows.append_column("image", images), tmp_path / "e.parquet", row_group_size=48)
    aws()
    store().put_file(str(tmp_path / "e.parquet"), f"{BUCKET}/e.parquet")
    return tmp_path / "e.parquet"


@pytest.mark.parametrize(
    "words",
    [
        ("stats",),
        ("split", "--check"),
        ("query", "SELECT count(*), max(fold) FROM images"),
        ("select", "--where", "fitzpatrick = 2", "--format", "csv"),
    ],
    ids=lambda words: words[0],
)
def test_images_stay_in_the_store(
    aws: Callable[..., Proxy], embedded: Path, cli: Callable[..., Any], words: tuple[str, ...]
) -> None:
    """A command says what it says of a copy here, and a fraction of the object comes."""
    proxy = aws()
    there = cli(*words, f"{BUCKET}/e.parquet")
    assert there.code == cli(*words, embedded).code
    assert there.out == cli(*words, embedded).out
    assert proxy.down < embedded.stat().st_size / 10


def test_an_answer_that_breaks_is_asked_for_again(
    aws: Callable[..., Proxy], embedded: Path, cli: Callable[..., Any]
) -> None:
    proxy = aws(after_down=30_000)
    there = cli("stats", f"{BUCKET}/e.parquet")
    assert (there.code, there.out) == (0, cli("stats", embedded).out)
    assert proxy.resets == 1


def test_a_store_that_goes_away_is_no_bad_manifest(
    aws: Callable[..., Proxy], embedded: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = aws(after_down=30_000)
    proxy.always = True
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    gone = cli("stats", f"{BUCKET}/e.parquet")
    assert gone.code == 3
    assert f"{BUCKET}/e.parquet" in gone.err
    assert "not a Parquet" not in gone.err


def test_a_strangers_prefix_is_refused(aws: Callable[..., Proxy], job: Callable[..., Job]) -> None:
    aws()
    store().pipe_file(f"{BUCKET}/strange/theirs.parquet", b"x")
    for form in export.REMOTE_FORMATS:
        with open_bucket(f"{BUCKET}/strange") as bucket, pytest.raises(UsageError, match="did not export"):
            export.write(form, job(bucket=bucket))


def test_a_bucket_that_is_not_there(aws: Callable[..., Proxy], job: Callable[..., Job]) -> None:
    aws()
    with open_bucket("s3://none/x") as bucket, pytest.raises(UsageError, match="there is no bucket"):
        export.write("parquet", job(bucket=bucket))


def test_no_credentials(
    aws: Callable[..., Proxy], job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    aws()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with open_bucket(f"{BUCKET}/x") as bucket, pytest.raises(CredentialsMissing, match="redentials"):
        export.write("parquet", job(bucket=bucket))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match="needs the extra `cloud`"), open_bucket("s3://a/b"):
        raise AssertionError("opened")
    with pytest.raises(UsageError, match="needs the extra `cloud`"), local_copy("gs://a/b.csv"):
        raise AssertionError("opened")


@pytest.mark.parametrize("form", sorted(set(export.FORMATS) - set(export.REMOTE_FORMATS)))
def test_formats_of_links_and_text_stay_here(cli: Callable[..., Any], tmp_path: Path, form: str) -> None:
    pq.write_table(manifest(tmp_path / "demo"), tmp_path / "m.parquet")
    refused = cli("export", form, "-o", "memory://bucket/x", tmp_path / "m.parquet")
    assert refused.code == 2
    assert "parquet, webdataset, huggingface can" in refused.err


def test_urls_without_a_bucket_and_names_that_are_no_manifests(
    cli: Callable[..., Any], tmp_path: Path
) -> None:
    pq.write_table(manifest(tmp_path / "demo"), tmp_path / "m.parquet")
    assert "names no bucket" in cli("export", "parquet", "-o", "s3:///x", tmp_path / "m.parquet").err
    assert "is not a manifest" in cli("stats", "s3://bucket/prefix").err
