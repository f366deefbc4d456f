"""Calls over HTTP that wait as long as a busy machine may take: how soon a service answers is what benchmarks measure, not tests."""

from functools import partial

import httpx

SECONDS = 60.0

request = partial(httpx.request, timeout=SECONDS)
get = partial(httpx.get, timeout=SECONDS)
post = partial(httpx.post, timeout=SECONDS)
put = partial(httpx.put, timeout=SECONDS)
