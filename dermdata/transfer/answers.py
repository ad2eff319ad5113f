"""What every reader of an answer looks at first: its beginning, its encoding, its refusal."""

from collections.abc import Iterator

from dermdata.errors import IntegrityError
from dermdata.transfer import diagnose, replies
from dermdata.transfer.address import shown
from dermdata.transfer.network import Network
from dermdata.transfer.replies import Then, Trouble
from dermdata.transfer.wire import Answer


def require_plain(answer: Answer, name: str) -> None:
    """Trouble when the bytes of the file `name` come encoded."""
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if answer.status in (200, 206) and encoding != "identity":
        said = f"{answer.host} sends {name} with Content-Encoding {shown(encoding)}, unasked"
        error = IntegrityError(said, hint="the stored bytes would not be the file's own")
        raise Trouble(error, Then.NEVER)


def require_within(have: int, total: int | None, answer: Answer) -> None:
    """Trouble when a body runs over the file's end."""
    if total is not None and have > total:
        raise Trouble(replies.wrong_size(shown(answer.hop.meant), have, total), Then.FRESH)


def peeked(answer: Answer) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a body (PEEK, if it has as many), and the body with them in it."""
    taken: list[bytes] = []
    broke: list[Trouble] = []
    try:
        while sum(map(len, taken)) < diagnose.PEEK and (part := next(answer.body, b"")):
            taken.append(part)
    except Trouble as trouble:
        if not taken:
            raise
        broke.append(trouble)

    def again() -> Iterator[bytes]:
        yield from taken
        if broke:
            raise broke[0]
        yield from answer.body

    return b"".join(taken)[: diagnose.PEEK], again()


def refused(answer: Answer, network: Network) -> Trouble:
    """A status that is not the file; its body may say what the person must do."""
    trouble = replies.refusal(
        answer.status,
        answer.headers,
        answer.host,
        network,
        secret=answer.secret,
        redirected=answer.redirected,
    )
    if answer.status in (400, 401, 403) and not answer.redirected:
        said = diagnose.explained(answer.some(), answer.host)
        return Trouble(said, Then.NEVER) if said else trouble
    return trouble
