"""What a store's library raises, in our errors: each with the setting of its own platform."""

import pytest

from dermdata.errors import CannotConnect, CredentialsMissing
from dermdata.object_store import convert_store_errors


class HttpError(Exception):
    """As gcsfs raises it."""

    code = 401


HttpError.__module__ = "gcsfs.retry"


@pytest.mark.parametrize(
    "error", [HttpError("Invalid Credentials, 401"), OSError("Forbidden: b/skin/o\nno access")]
)
def test_googles_refusals_are_a_matter_of_credentials(error: Exception) -> None:
    """Seen from gcsfs 2026.10.1 with a server that says 401 or 403."""
    with (
        pytest.raises(CredentialsMissing, match=r"401|no access") as told,
        convert_store_errors("gs://skin/x"),
    ):
        raise error
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(told.value.hint)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("s3://a/b", "AWS_ENDPOINT_URL_S3"),
        ("gs://a/b", "STORAGE_EMULATOR_HOST"),
        ("az://a/b", "platform's settings"),
    ],
)
def test_a_store_out_of_reach_is_told_with_its_own_setting(url: str, hint: str) -> None:
    with pytest.raises(CannotConnect) as told, convert_store_errors(url):
        raise ConnectionRefusedError("refused")
    assert hint in str(told.value.hint)
