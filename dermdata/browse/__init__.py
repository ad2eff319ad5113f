"""Browse: a local page to look at pictures, count them by facets, see their near duplicates and mark what is wrong.

| module | idea |
|---|---|
| `facets` | the ways in which rows are told apart, and their counts |
| `index` | the rows in memory: filtered, sorted, grouped, described |
| `questions` | what a request asks for |
| `similar` | near duplicates of one picture |
| `pictures` | small and large pictures and mask overlays, made of image files |
| `listening` | the socket, the address that is printed, and the names it may be asked by |
| `guard` | who may ask: token, host, origin |
| `app` | the addresses, and what each answers |

Only `app` and `guard` need Starlette, which the extra `browse` brings.
"""
