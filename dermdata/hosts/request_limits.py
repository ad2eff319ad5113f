"""How often each host may be asked, as it publishes it; a fact for each, with where it stands.

Only a host's own addresses are here: the storage that its links lead to has no such limit. Hosts that publish nothing
(Dataverse, Mendeley Data, Kaggle, Google) are slowed by what their answers say alone.
"""

from dermdata.model import RequestLimit

SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86400

LIMITS = (
    # guest 60 a minute and 2,000 an hour, with a token 100 and 5,000: developers.zenodo.org, as transcribed 2026-06-12
    RequestLimit(
        name="zenodo",
        host=r"zenodo\.org",
        guest=((60, MINUTE), (2000, HOUR)),
        member=((100, MINUTE), (5000, HOUR)),
        service="zenodo",
    ),
    # "no more than one request per second": docs.figshare.com, figshare-user-documentation#201 (2024-06-17)
    RequestLimit(name="figshare", host=r"(api|ndownloader)\.figshare\.com", guest=((1, SECOND),)),
    # 500 requests of the API and 3,000 files in 5 minutes, with a token 1,000 and 5,000:
    # huggingface.co/docs/hub/rate-limits, as transcribed 2026-09-20
    RequestLimit(
        name="huggingface-files",
        host=r"huggingface\.co",
        path=r".*/resolve/.*",
        guest=((3000, 5 * MINUTE),),
        member=((5000, 5 * MINUTE),),
    ),
    RequestLimit(
        name="huggingface-api",
        host=r"huggingface\.co",
        guest=((500, 5 * MINUTE),),
        member=((1000, 5 * MINUTE),),
    ),
    # 100 an hour, with a token 10,000 a day: datalad-osf#28 (2020), metacheck#366 (2026-08-25); a zip of a folder counts
    # as no request there
    RequestLimit(
        name="osf",
        host=r"((api|files)\.)?osf\.io",
        path=r"(?!/v1/resources/[^?]*\?(.*&)?zip\b).*",
        guest=((100, HOUR),),
        member=((10_000, DAY),),
        service="osf",
    ),
    # 60 an hour, with a token 5,000: docs.github.com, "Rate limits for the REST API"
    RequestLimit(
        name="github",
        host=r"api\.github\.com",
        guest=((60, HOUR),),
        member=((5000, HOUR),),
        service="github",
    ),
    # nothing is published, and its server has no throttle of its own (ImageMarkup/isic, 2026-08-21); 429s do occur
    RequestLimit(name="isic", host=r"api\.isic-archive\.com", guest=((20, 10 * SECOND),), published=False),
)
