"""Streams that end or are not there: row 54 of the table of faults; interruptions are in test_processes.py."""

from pathlib import Path

from faults.stage import run, words


def test_row_54_a_reader_that_leaves_and_closed_streams_are_no_errors(tmp_path: Path) -> None:
    """`| head -1`: 0 or 141 and silence; `>&-` and `2>&-`: as if they led to nobody."""
    line = words(tmp_path / "cache", [], "list", "--format", "csv")
    piped = run(["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", *line])
    assert piped.returncode in (0, 141)
    assert piped.stderr == ""
    assert piped.stdout.startswith("name,")
    for closed in (">&-", "2>&-", ">&- 2>&-", "<&-"):
        answer = run(["sh", "-c", f'exec "$@" {closed}', "sh", *line])
        assert answer.returncode == 0, closed
        assert answer.stderr == ""
    full = run(["sh", "-c", 'exec "$@" >/dev/full', "sh", *line])
    assert (full.returncode, full.stderr) == (5, "error: cannot write the output: No space left on device\n")
