"""Which requests may have been sent by another site's page."""

from __future__ import annotations

import pytest

from asyncjobs.admin.csrf import cross_site

SAME = {"host": "jobs.internal", "origin": "http://jobs.internal"}
OTHER = {"host": "jobs.internal", "origin": "https://evil.example"}


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "jobs.internal"},  # curl, or a program with a token
        SAME,  # a browser without TLS, which sends no Sec-Fetch-Site
        {**SAME, "sec-fetch-site": "same-origin"},
        {"host": "jobs.internal", "sec-fetch-site": "none"},
        {**OTHER, "origin": "https://ops.example.com", "sec-fetch-site": "cross-site"},  # trusted
        {"host": "jobs.internal:8080", "origin": "http://jobs.internal:8080"},
    ],
)
def test_what_no_other_site_has_sent_may_pass(headers: dict[str, str]) -> None:
    assert cross_site("POST", headers, ["https://ops.example.com"]) is None


@pytest.mark.parametrize(
    "headers",
    [
        OTHER,
        {**OTHER, "sec-fetch-site": "cross-site"},
        {**SAME, "sec-fetch-site": "same-site"},
        {"host": "jobs.internal", "sec-fetch-site": "cross-site"},
        {"host": "jobs.internal", "origin": "null"},
        {"host": "jobs.internal", "origin": "http://jobs.internal:8080"},
        {"host": "jobs.internal", "origin": "http://jobs.internal.evil.example"},
        {"host": "jobs.internal", "origin": ""},
        {**OTHER, "origin": "https://ops.example.com.evil.example"},
    ],
)
def test_what_another_site_has_sent_is_refused_unless_it_only_reads(headers: dict[str, str]) -> None:
    why = cross_site("POST", headers, ["https://ops.example.com"])
    assert why is not None
    assert "trusted_origins" in why
    assert cross_site("GET", headers, []) is None
