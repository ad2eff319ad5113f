"""Manners: how often a host is asked. Published limits are kept without being told, and what an answer says is obeyed."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from dermdata.api.resources import Resources, settings_from_environment
from dermdata.errors import DermdataError, LoginNeeded, RateLimited
from dermdata.hosts.request_limits import LIMITS
from dermdata.http import HttpClient, NetworkSettings, RequestRates
from dermdata.http.redirects import HostBusy
from dermdata.http.request_rates import find_limit, find_wait, format_wait, parse_policy
from dermdata.model import Request, RequestLimit

THREE_IN_TEN = RequestLimit(
    name="three", host=r"api\.example", guest=((3, 10),), member=((5, 10),), path=r"(?!/free\?).*"
)
NOON = 1_800_000_000.0  # a time of day


@dataclass
class Clock:
    """Time that passes only where somebody sleeps, and what was shown meanwhile."""

    now: float = 0.0
    shown: list[str] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @contextmanager
    def show_wait(self, subject: str, seconds: float, why: str) -> Iterator[None]:
        self.shown.append(f"{subject}: {seconds:g} s, {why}")
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


Answer = Callable[[httpx.Request], httpx.Response]


def make_client(
    clock: Clock, answer: Answer, *limits: RequestLimit, rates: RequestRates | None = None
) -> HttpClient:
    network = NetworkSettings(
        trust_env=False, sleep=clock.sleep, clock=lambda: clock.now, wall_clock=lambda: NOON + clock.now,
        random=lambda: 1.0, show_wait=clock.show_wait,
    )  # fmt: skip
    return HttpClient(network, httpx.MockTransport(answer), rates or RequestRates(limits))


def note_times(clock: Clock, times: list[float]) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        del request
        times.append(clock.now)
        return httpx.Response(200, content=b"ok")

    return answer


# ------------------------------------------------------------------ a published limit


def test_a_burst_goes_through_and_then_requests_are_spaced(clock: Clock) -> None:
    """Three at once, then each when the third before it has left the window (and half a second, for the way there)."""
    times: list[float] = []
    with make_client(clock, note_times(clock, times), THREE_IN_TEN) as client:
        for _ in range(7):
            client.get_bytes("https://api.example/a")
    assert times == [0, 0, 0, 10.5, 10.5, 10.5, 21.0]
    assert clock.shown == ["api.example: 10.5 s, its limit is 3 requests in 10 s"] * 2


def test_an_account_has_a_limit_of_its_own(clock: Clock) -> None:
    """With a token five; a guest's three were not touched by them."""
    times: list[float] = []
    with make_client(clock, note_times(clock, times), THREE_IN_TEN) as client:
        for _ in range(5):
            client.get_bytes("https://api.example/a", secrets={"Authorization": "Bearer x"})
        for _ in range(3):
            client.get_bytes("https://api.example/a")
    assert times == [0] * 8


@pytest.mark.parametrize(
    "url", ["https://api.example/free?x=1", "https://other.example/a", "https://api.example.org/a"]
)
def test_what_is_not_the_host_s_own_address_has_no_limit(clock: Clock, url: str) -> None:
    """A path that does not count, another host, and one whose name begins so."""
    times: list[float] = []
    with make_client(clock, note_times(clock, times), THREE_IN_TEN) as client:
        for _ in range(20):
            client.get_bytes(url)
    assert times == [0] * 20


def test_the_storage_that_a_host_redirects_to_is_not_counted(clock: Clock, tmp_path: Path) -> None:
    """Three files need three requests there, whatever their ranges at the storage are."""
    times: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "storage.example":
            return httpx.Response(200, content=b"x" * 100)
        times.append(clock.now)
        return httpx.Response(302, headers={"Location": f"https://storage.example{request.url.path}?sig=S"})

    with make_client(clock, answer, THREE_IN_TEN) as client:
        for name in "abc":
            client.download(Request(urls=(f"https://api.example/{name}",)), tmp_path / name)
    assert times == [0, 0, 0]


def test_the_ranges_of_a_file_do_not_ask_its_host_for_each(clock: Clock) -> None:
    """figshare: one request a second, and a link for ten. Half of that time its ranges come from the storage."""
    asked: list[str] = []
    broken: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host == "api.example":
            link = f"https://storage.example/a?X-Amz-Expires=10&n={len(asked)}"
            return httpx.Response(302, headers={"Location": link})
        if str(request.url) in broken:
            return httpx.Response(403)
        start, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        head = {"Content-Range": f"bytes {start}-{end}/100"}
        return httpx.Response(206, headers=head, content=bytes(range(start, end + 1)))

    request = Request(urls=("https://api.example/a",), size=100)
    with make_client(clock, answer, replace(THREE_IN_TEN, guest=((1, 1),))) as client:
        for start in range(4):
            assert client.read_range(request, start, 2) == bytes((start, start + 1))
            clock.now += 1.5
        assert asked == ["api.example", *["storage.example"] * 4]
        asked.clear()  # six seconds later: a new link
        client.read_range(request, 0, 2)
        assert asked == ["api.example", "storage.example"]
        broken.add("https://storage.example/a?X-Amz-Expires=10&n=1")  # … which dies early
        asked.clear()
        assert client.read_range(request, 7, 1) == b"\x07"
        assert asked == ["storage.example", "api.example", "storage.example"]


def test_the_limit_is_the_official_host_s_also_where_another_stands_in(clock: Clock) -> None:
    """A caching proxy asks the host in our name."""
    times: list[float] = []
    with make_client(clock, note_times(clock, times), THREE_IN_TEN) as client:
        network = replace(client.settings, rewrite=(("https://", "http://127.0.0.1:9/web/"),))
        with HttpClient(
            network, httpx.MockTransport(note_times(clock, times)), RequestRates((THREE_IN_TEN,))
        ) as one:
            for _ in range(4):
                one.get_bytes("https://api.example/a")
    assert times == [0, 0, 0, 10.5]


def test_clients_that_share_the_rates_keep_the_limit_together(clock: Clock) -> None:
    """The listing of a dataset and its files are asked by two clients of one session."""
    times: list[float] = []
    rates = RequestRates((THREE_IN_TEN,))
    for _ in range(4):
        with make_client(clock, note_times(clock, times), rates=rates) as client:
            client.get_bytes("https://api.example/a")
    assert times == [0, 0, 0, 10.5]


def test_of_several_windows_each_holds() -> None:
    """60 a minute and 2,000 an hour: after 33 minutes of full speed the hour is used up."""
    rates, now, sent = RequestRates(LIMITS), 0.0, 0
    while (
        turn := rates.book("https://zenodo.org/api/records/1", now, member=False, longest=120)
    ).at - now <= 120:
        now, sent = turn.at, sent + 1
    assert sent == 2000
    assert turn.why == "its limit is 2,000 requests an hour"
    assert 3600 < turn.at < 3602


def test_threads_share_a_window() -> None:
    """Twenty at once: never more than three in any ten seconds."""
    rates = RequestRates((THREE_IN_TEN,))
    turns: list[float] = []
    threads = [
        threading.Thread(target=lambda: turns.append(rates.book("https://api.example/a", 0, member=False).at))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(turns) == sorted(10.5 * (n // 3) for n in range(20))


def test_more_streams_of_one_file_leave_requests_to_others(clock: Clock) -> None:
    """A further stream takes at most half of a window, waits for nothing, and never while the host wants a pause."""
    rates = RequestRates((replace(THREE_IN_TEN, guest=((8, 10),)),))
    url = "https://api.example/a"
    assert [rates.book_spare(url, 0, member=False) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [rates.book(url, 0, member=False).at for _ in range(5)] == [0, 0, 0, 0, 10.5]
    rates.note_answer(url, 503, {"retry-after": "30"}, 20.0, NOON, member=False)
    assert not rates.book_spare(url, 21, member=False)
    with (
        make_client(clock, note_times(clock, []), rates=rates) as client,
        pytest.raises(HostBusy),
        client._client.open(Request(urls=(url,)), url, {}, spare=True),
    ):
        pass


ZENODO_FILE = "https://zenodo.org/records/1/files/a.zip?download=1"


def make_member(clock: Clock, answer: Answer, environment: Mapping[str, str]) -> HttpClient:
    """A client of somebody with tokens, as a session opens it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        tokens = Resources(settings_from_environment()).find_request_tokens()
    plain = make_client(clock, answer)
    return HttpClient(plain.settings, httpx.MockTransport(answer), RequestRates(LIMITS), tokens)


@pytest.mark.parametrize(
    ("url", "variable"),
    [
        ("https://zenodo.org/api/records/1", "DERMDATA_ZENODO_TOKEN"),
        (ZENODO_FILE, "DERMDATA_ZENODO_TOKEN"),
        ("https://api.osf.io/v2/nodes/abcde/files/", "OSF_TOKEN"),
        ("https://files.osf.io/v1/resources/abcde/providers/osfstorage/1", "DERMDATA_OSF_TOKEN"),
        ("https://api.github.com/repos/o/n/git/trees/main", "GITHUB_TOKEN"),
        ("https://api.github.com/repos/o/n/git/trees/main", "GH_TOKEN"),
    ],
)
def test_a_token_goes_to_its_own_host_and_raises_its_limit(clock: Clock, url: str, variable: str) -> None:
    """Not to the storage that it redirects to, nor to any other host; the storage's answer is the file."""
    sent: dict[str, set[str | None]] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        sent.setdefault(request.url.host, set()).add(request.headers.get("authorization"))
        if request.url.host == "storage.example":
            return httpx.Response(200, content=b"ok")
        return httpx.Response(302, headers={"Location": "https://storage.example/a?sig=S"})

    with make_member(clock, answer, {variable: "TOKEN"}) as client:
        guest = find_limit(url, LIMITS)
        assert guest
        for _ in range(guest.guest[0][0] + 1):
            assert client.get_bytes(url) == b"ok"
        client.get_bytes("https://other.example/a")
        client.get_bytes(url.replace("https:", "http:"))
    own = httpx.URL(url).host
    assert sent == {own: {"Bearer TOKEN", None}, "storage.example": {None}, "other.example": {None}}
    assert clock.now == 0


def test_a_token_that_its_host_refuses_is_named(clock: Clock) -> None:
    """Exit 6: the variable, and that what is public needs none; asked once, and the token is not repeated."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(401, content=b'{"message": "bad TOKEN"}')

    with (
        make_member(clock, answer, {"DERMDATA_ZENODO_TOKEN": "TOKEN"}) as client,
        pytest.raises(LoginNeeded) as raised,
    ):
        client.get_bytes(ZENODO_FILE)
    assert raised.value.message == (
        "zenodo.org refuses the token of environment variable DERMDATA_ZENODO_TOKEN (401)"
    )
    assert raised.value.hint == "correct it, or unset DERMDATA_ZENODO_TOKEN: what is public needs no token"
    assert asked == ["zenodo.org"]


def test_a_request_s_own_secret_goes_before_the_token(clock: Clock) -> None:
    """A restricted record that another account may read."""
    sent: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers.get("authorization"))
        return httpx.Response(200, content=b"ok")

    with make_member(clock, answer, {"DERMDATA_ZENODO_TOKEN": "TOKEN"}) as client:
        client.get_bytes(ZENODO_FILE, secrets={"Authorization": "Bearer OWN"})
    assert sent == ["Bearer OWN"]


@pytest.mark.parametrize(
    ("url", "guest", "member"),
    [
        ("https://zenodo.org/records/1/files/a.zip?download=1", (60, 60), (100, 60)),
        ("https://api.osf.io/v2/nodes/abcde/files/", (100, 3600), (10_000, 86_400)),
        ("https://files.osf.io/v1/resources/abcde/providers/osfstorage/1", (100, 3600), (10_000, 86_400)),
        ("https://osf.io/download/abcde/", (100, 3600), (10_000, 86_400)),
        ("https://api.figshare.com/v2/articles/1/files?page=1", (1, 1), None),
        ("https://ndownloader.figshare.com/files/1", (1, 1), None),
        ("https://huggingface.co/api/datasets/o/n/tree/main", (500, 300), (1000, 300)),
        ("https://huggingface.co/datasets/o/n/resolve/main/a.zip", (3000, 300), (5000, 300)),
        ("https://api.github.com/repos/o/n/git/trees/main", (60, 3600), (5000, 3600)),
        ("https://api.isic-archive.com/api/v2/images/search/?limit=100", (20, 10), None),
    ],
)  # fmt: skip
def test_published_limits(url: str, guest: tuple[int, float], member: tuple[int, float] | None) -> None:
    """The first window of each host, for a guest and with a token."""
    limit = find_limit(url, LIMITS)
    assert limit
    assert limit.guest[0] == guest
    assert (limit.member[0] if limit.member else None) == member


@pytest.mark.parametrize(
    "url",
    [
        "https://files.osf.io/v1/resources/abcde/providers/osfstorage/?zip=",
        "https://s3-eu-west-1.amazonaws.com/pfigshare-u-files/1/a.zip",
        "https://isic-archive.s3.amazonaws.com/images/ISIC_0000001.jpg",
        "https://cdn-lfs.huggingface.co/datasets/1",
        "https://evil.example/?https://zenodo.org/",
    ],
)
def test_storage_and_zips_of_all_have_no_limit(url: str) -> None:
    assert find_limit(url, LIMITS) is None


# ------------------------------------------------------------------ what an answer says

ANSWERS: list[tuple[int, Mapping[str, str], float | None]] = [
    (429, {"retry-after": "7"}, 7),
    (503, {"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30),
    (429, {"retry-after": "7", "ratelimit": '"api";r=0;t=55'}, 7),  # the host's last word
    (429, {"ratelimit": '"api";r=0;t=55'}, 56),
    (200, {"ratelimit": '"api";r=0;t=55'}, 56),  # the next one would be refused
    (200, {"ratelimit": '"api";r=12;t=55'}, None),
    (200, {"ratelimit": "limit=100, remaining=0, reset=50"}, 51),
    (200, {"ratelimit-remaining": "0", "ratelimit-reset": "20"}, 21),
    (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON + 40)}, 41),
    (429, {"x-ratelimit-reset": str(int(NOON) + 40)}, 41),
    (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}, 41),
    (200, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": "9"}, 10),
    (200, {"x-ratelimit-remaining": "59", "x-ratelimit-reset": str(NOON + 40)}, None),
    (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOON - 40)}, 1),  # a clock that goes wrong
    (200, {"x-ratelimit-remaining": "0"}, None),
    (200, {"retry-after": "7"}, None),  # no refusal
    (429, {"retry-after": "soon", "x-ratelimit-reset": "never"}, None),
    (
        429,
        {"ratelimit": "r=-1;t=1e99", "x-ratelimit-remaining": "\u0660", "x-ratelimit-reset": "\u0661"},
        None,
    ),
]


@pytest.mark.parametrize(("status", "headers", "wait"), ANSWERS)
def test_what_an_answer_says_of_the_next_request(
    status: int, headers: Mapping[str, str], wait: float | None
) -> None:
    assert find_wait(status, headers, NOON) == wait


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ('"fixed window";"api";q=500;w=300', ((500, 300),)),
        ('"burst";q=100;w=60, "day";q=1000;w=86400', ((100, 60), (1000, 86400))),
        ("100;w=60", ((100, 60),)),
        ('"a";q=0;w=60', ()),
        ('"a";q=5', ()),
        ('"a";q=5;w=99999999999', ()),
        ("", ()),
    ],
)
def test_a_policy_is_read(text: str, windows: tuple[tuple[int, float], ...]) -> None:
    assert parse_policy({"ratelimit-policy": text}) == windows


def test_a_policy_that_a_host_states_goes_before_the_table(clock: Clock) -> None:
    """Two in a hundred seconds, whatever was believed; also of a host that is in no table."""
    times: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        times.append(clock.now)
        return httpx.Response(200, content=b"ok", headers={"RateLimit-Policy": '"x";q=2;w=100'})

    for host in ("api.example", "new.example"):
        times.clear()
        with make_client(clock, answer, THREE_IN_TEN) as client:
            for _ in range(3):
                client.get_bytes(f"https://{host}/a")
        assert [at - times[0] for at in times] == [0, 0, 101.0], host


def test_a_refusal_is_waited_for_once_by_all(clock: Clock) -> None:
    """429 with RateLimit only: the next request is 56 s later, and nobody else asks before."""
    times: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        times.append(clock.now)
        if len(times) == 1:
            return httpx.Response(429, headers={"RateLimit": '"api";r=0;t=55'})
        return httpx.Response(200, content=b"ok")

    with make_client(clock, answer) as client:
        assert client.get_bytes("https://api.example/a") == b"ok"
    assert times == [0, 56]
    assert clock.shown == ["api.example: 56 s, its limit is used up"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"Retry-After": "1800"}),
        (429, {"RateLimit": '"api";r=0;t=1799'}),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOON) + 1799)}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOON) + 1799)}),  # GitHub's way
    ],
)
def test_a_wait_that_is_too_long_ends_with_its_length(
    clock: Clock, status: int, headers: Mapping[str, str]
) -> None:
    """Exit 3, the time, and that the same command goes on; a second request is not even sent."""
    asked: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(clock.now)
        return httpx.Response(status, headers=headers)

    with make_client(clock, answer) as client:
        for _ in range(2):
            with pytest.raises(RateLimited, match=r"1800 s \(0 h 30 min\)") as raised:
                client.get_bytes("https://api.example/a")
            assert raised.value.exit_code == 3
            assert (
                raised.value.hint == "run the same command again in 1800 s (0 h 30 min): it goes on from here"
            )
    assert asked == [0]
    assert clock.now == 0


def test_a_used_up_hour_says_so_before_it_asks(clock: Clock) -> None:
    """OSF: a hundred an hour. The hundred and first is not sent, and the person reads why."""
    times: list[float] = []
    with make_client(clock, note_times(clock, times), *LIMITS) as client:
        for _ in range(100):
            client.get_bytes("https://osf.io/download/a/")
        with pytest.raises(DermdataError) as raised:
            client.get_bytes("https://osf.io/download/a/")
    assert len(times) == 100
    assert raised.value.message == (
        "osf.io may be asked again in 3601 s (1 h 0 min): its limit is 100 requests an hour"
    )


def test_a_pause_that_comes_while_another_waits_holds_for_it_too(clock: Clock) -> None:
    """A thread sleeps for its turn; meanwhile another one's answer wants a longer pause."""
    rates, url = RequestRates((THREE_IN_TEN,)), "https://api.example/a"
    times: list[float] = []

    def sleep(seconds: float) -> None:
        if clock.now == 0:
            rates.note_answer(url, 429, {"retry-after": "60"}, 0.0, NOON, member=False)
        clock.now += seconds

    with make_client(clock, note_times(clock, times), rates=rates) as client:
        client._client._settings = replace(client.settings, sleep=sleep)
        for _ in range(4):
            client.get_bytes(url)
    assert times == [0, 0, 0, 60]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59.1, "60 s"), (599, "599 s"), (1800, "1800 s (0 h 30 min)")]
)
def test_a_wait_in_words(seconds: float, words: str) -> None:
    assert format_wait(seconds) == words


@pytest.mark.parametrize(
    ("urls", "turns"),
    [
        (["https://a.example/1", "https://a.example/2", "https://a.example/3"], [0, 1, 2]),
        (["https://a.example/1", "https://b.example/1", "https://a.example/2"], [0, 0, 1]),
        (["https://api.example/1", "https://api.example/2", "https://api.example/free?"], [0, 1, 0]),
    ],
)
def test_a_pace_holds_for_each_host_besides_its_own_limit(urls: list[str], turns: list[int]) -> None:
    """As a live check asks: one request a second and host, whatever a host allows."""
    rates = RequestRates((THREE_IN_TEN,), pace=((1, 1.0),))
    assert [int(rates.book(url, 0.0, member=False).at) for url in urls] == turns
    rates.note_answer(
        "https://a.example/", 200, {"ratelimit-policy": '"d";q=500;w=300'}, 50.0, NOON, member=False
    )
    turns_then = [rates.book("https://a.example/", 50.0, member=False) for _ in range(2)]
    assert [int(turn.at) for turn in turns_then] == [50, 51]
    assert turns_then[1].why == "dermdata's own limit for it is 1 request a second"
