"""The one room that moves bytes over HTTP.

    client.py    Transfer: what other rooms call; web.py: an address asked, redirects followed
    download.py  one file from its addresses to its final name, by one stream …
    crew.py      … and others beside it; growth.py: how many (pure); shares.py: who brings what (pure)
    partial.py   its bytes so far; follow.py: their hash; journal.py: what is proven of them, who holds them
    tries.py     how often, how long, how slow
    replies.py   what to do with an answer (pure); answers.py: what every reader looks at first
    address.py   where a redirect may lead, who gets the secrets (pure)
    diagnose.py  a page in place of a file (pure)
    hosts.py     connections and pauses per host
    wire.py      one question, one answer; transport.py: httpx, and the only file that opens connections
    network.py   Network, Received, Head: values

Nothing here prints, and no message holds a query string, a header's value or a cookie.
"""

from dermdata.transfer.client import Transfer
from dermdata.transfer.network import Head, Network, Received

__all__ = ["Head", "Network", "Received", "Transfer"]
