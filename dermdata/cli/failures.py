"""What failed, in words: an `error:` line and a `hint:` line, or both as JSON, on stderr."""

import json
import re

from typer.exceptions import TyperException

from dermdata.api.display import print_message, redact_text
from dermdata.errors import DermdataError, UsageError

LONGEST_WORD = 1000  # letters of a word in a message, which a path may have


def write_error(error: DermdataError, *, as_json: bool, color: str = "auto") -> None:
    """One `error:` line and, where there is a next step, one `hint:` line; or both as JSON."""
    if not error.message:  # of a bare `dermdata` or `dermdata labels`: its help was the answer
        return
    if as_json:
        facts = {
            "code": error.code,
            "message": redact_text(error.message),
            "hint": error.hint and redact_text(error.hint),
        }
        print_message(json.dumps({"error": facts}, ensure_ascii=False))
        return
    print_message(f"error: {indent(shorten(redact_text(error.message)))}", color)
    if error.hint:
        print_message(f"hint: {indent(error.hint)}", color)


def shorten(text: str) -> str:
    """A message in which no word fills the screen; secrets must be out of it, since what is cut is no address any more."""
    return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][:200]}…{word[0][-50:]}", text)


def indent(text: str) -> str:
    """Words whose further lines stand under the first: no line of data begins with `error:` or `hint:`."""
    return re.sub(r"\n(?! )", "\n  ", text)


def to_error(error: Exception) -> DermdataError:
    """Any failure as something to tell the person."""
    if isinstance(error, DermdataError):
        return error
    if isinstance(error, TyperException):
        return to_usage_error(error)
    from dermdata.api.display import explain_failure

    return explain_failure(error)


def to_usage_error(error: TyperException) -> DermdataError:
    """A wrong option or argument in our own words."""
    words = getattr(error, "format_message", lambda: str(error))()
    ctx = getattr(error, "ctx", None)
    hint = f"`{ctx.command_path} --help` shows the options" if ctx else None
    return UsageError(words.strip().rstrip("."), hint=hint)
