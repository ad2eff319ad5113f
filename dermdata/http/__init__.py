"""The one room that moves bytes over HTTP, through httpx.

    client.py        HttpClient: what other rooms call
    download.py      one file from its addresses to its final name
    ranges.py        … by several range requests at once
    partial_file.py  its bytes so far, and their hash; journal.py: what is proven of them, who holds them
    redirects.py     one address requested: redirects, connections per host
    transport.py     httpx over connections of our own, the only ones there are
    responses.py     what a response means (pure); error_pages.py: a page in place of a file (pure)
    policy.py        what a run may do with the network; what may follow a failure, how often
    request_rates.py how often a host may be asked: published limits, and what answers say of them (pure)
    urls.py          where a redirect may lead, which hop gets the secrets (pure)

Nothing here prints, and no message holds a query string, a header's value or a cookie. Imports are absolute: the
standard library has an `http` as well.
"""

from dermdata.http.client import HttpClient, RemoteFile
from dermdata.http.download import DownloadedFile
from dermdata.http.policy import NetworkSettings
from dermdata.http.request_rates import RequestRates

__all__ = ["DownloadedFile", "HttpClient", "NetworkSettings", "RemoteFile", "RequestRates"]
