"""Amazon S3: lists in XML, and ETags that are sometimes an MD5."""

from dataclasses import replace
from typing import Any

import pytest

from dermdata.errors import NotTheFile, ServerRefused
from dermdata.hosts import ResolveContext, list_files, resolve, s3
from dermdata.model import Request

from .conftest import answering, entry, sourced

MD5 = "md5:" + "a" * 32
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def bucket(*objects: str, more: str = "") -> bytes:
    return f"<ListBucketResult {XMLNS}><Name>b</Name>{more}{''.join(objects)}</ListBucketResult>".encode()


def stored(key: str, etag: str = '"' + "a" * 32 + '"') -> str:
    return f"<Contents><Key>{key}</Key><ETag>{etag}</ETag><Size>5</Size></Contents>"


def test_the_pages_of_s3_follow_each_other() -> None:
    first = "https://b-1.s3.amazonaws.com/?list-type=2&prefix=p%2F&max-keys=1000"
    cut = "<IsTruncated>true</IsTruncated><NextContinuationToken>a/b==</NextContinuationToken>"
    here, asked = answering(
        {
            first: bucket(stored("p/2 &amp; 3.png"), stored("p/"), more=cut),
            f"{first}&continuation-token=a%2Fb%3D%3D": bucket(stored("p/1.png", '"' + "a" * 32 + '-2"')),
        }
    )
    files = list_files("s3:b-1/p/", here)
    assert [file.name for file in files] == ["p/1.png", "p/2 & 3.png"]
    assert [file.checksum for file in files] == [None, MD5]
    assert files[1].urls == ("https://b-1.s3.amazonaws.com/p/2%20%26%203.png",)
    assert len(asked) == 2


def test_the_etag_of_an_upload_in_parts_is_no_md5() -> None:
    """Nor is a weak one."""
    assert s3.parse_etag_md5('"' + "a" * 32 + '"') == MD5
    assert s3.parse_etag_md5('"' + "a" * 32 + '-12"') is None
    assert s3.parse_etag_md5('W/"' + "a" * 32 + '"') is None
    assert s3.parse_etag_md5(None) is None


@pytest.mark.fault(98)
@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><ListBucketResult>&b;</ListBucketResult>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ListBucketResult/>',
        '<!DOCTYPE x [<!ENTITY a "a">]><ListBucketResult>&a;</ListBucketResult>'.encode("utf-16"),
        b"<Error><Code>AccessDenied</Code></Error>",
        b"<html><body>not a list",
        b"",
        bucket(more="<IsTruncated>true</IsTruncated>"),
        bucket("<Contents><Size>5</Size></Contents>"),
        bucket("<Contents><Key>a</Key><Size>many</Size></Contents>"),
    ],
)
def test_xml_that_is_no_plain_list_is_refused(data: bytes) -> None:
    """A document type could define entities without end, or read files; a cut list would lose objects."""
    here, _ = answering({"https://b-1.s3.amazonaws.com/?list-type=2&prefix=&max-keys=1000": data})
    with pytest.raises(NotTheFile, match="not as expected"):
        list_files("s3:b-1", here)


def test_a_hidden_object_of_s3_says_that_it_may_be_absent() -> None:
    """S3 answers 403 for a key that is not there when the bucket cannot be listed."""

    def head(_: Request) -> Any:
        raise ServerRefused("b answers 403", status=403)

    file = sourced("s3:b-1/a.zip")
    with pytest.raises(ServerRefused, match=r"has no object a\.zip, or does not show it"):
        resolve(entry(file), file, replace(ResolveContext(catalogs=()), head=head))
