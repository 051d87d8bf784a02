"""Which addresses people may show."""

from __future__ import annotations

import pytest

from rookery_server.domain.errors import InvalidText
from rookery_server.domain.links import check_link

GOOD = [
    "http://example.com",
    "https://example.com/",
    "HTTPS://Example.com/a?b=c#d",
    "https://example.com:8443/a",
    "https://example.com./",
    "https://sub-domain.example.co.uk/%20",
    "https://пример.рф/путь",
    "https://xn--e1afmkfd.xn--p1ai",
    "https://8.8.8.8/",
    "https://[2606:4700::1111]/",
]
BAD = [
    ("https://example.com/" + "x" * 81, "too_long"),
    ("https://example.com/a b", "link_characters"),
    ("https://example.com/\r\nHost: x", "link_characters"),
    ("https://example.com/\x00", "link_characters"),
    ("https://example.com/\u202e", "link_characters"),
    ("https://example.com/\u200b", "link_characters"),
    ("https://example.com/\ud800", "link_characters"),
    ("https://example.com\\@evil.com", "link_characters"),
    ("https://example.com/<script>", "link_characters"),
    ("https://example.com:99999/", "link_shape"),
    ("https://example.com:x/", "link_shape"),
    ("https://[::1", "link_shape"),
    ("https://[v1.x]/", "link_host"),
    ("https://\u2100.com/", "link_shape"),  # becomes "a/c" when browsers fold it
    ("ftp://example.com", "link_scheme"),
    ("javascript:alert(1)", "link_scheme"),
    ("data:text/html,x", "link_scheme"),
    ("file:///etc/passwd", "link_scheme"),
    ("//example.com", "link_scheme"),
    ("example.com", "link_scheme"),
    ("https://user@example.com", "link_user"),
    ("https://user:secret@example.com", "link_user"),
    ("https://example.com@evil.com", "link_user"),
    ("https://", "link_host"),
    ("https:///path", "link_host"),
    ("https://localhost/", "link_host"),
    ("https://example", "link_host"),
    ("https://-a.com", "link_host"),
    ("https://a..com", "link_host"),
    ("https://127.0.0.1/", "link_host"),
    ("https://10.0.0.1/", "link_host"),
    ("https://192.168.1.1/", "link_host"),
    ("https://169.254.169.254/latest", "link_host"),
    ("https://0.0.0.0/", "link_host"),
    ("https://[::1]/", "link_host"),
    ("https://[fe80::1]/", "link_host"),
    ("https://[::ffff:127.0.0.1]/", "link_host"),
    ("https://0x7f.1/", "link_host"),
    ("https://2130706433/", "link_host"),
    ("https://127.1/", "link_host"),
]


@pytest.mark.parametrize("link", GOOD)
def test_accepted(link: str) -> None:
    check_link(link, "url", 100)


@pytest.mark.parametrize(("link", "rule"), BAD)
def test_refused_by_the_rule_that_is_named(link: str, rule: str) -> None:
    with pytest.raises(InvalidText) as caught:
        check_link(link, "profile.url", 100)
    (violation,) = caught.value.violations
    assert (violation.field, violation.rule) == ("profile.url", rule)
    assert link not in violation.text
