"""Where a URL begins and ends."""

from __future__ import annotations

import pytest

from rookery_server.domain import text_tlds
from rookery_server.domain.text_urls import find_urls

FOUND = [
    # with a scheme
    ("http://example.com", ["http://example.com"]),
    ("HTTPS://Example.COM/Path", ["HTTPS://Example.COM/Path"]),
    ("see https://example.com/ now", ["https://example.com/"]),
    ("https://a.b.c.example.co.uk/x", ["https://a.b.c.example.co.uk/x"]),
    ("http://example.notlisted", ["http://example.notlisted"]),
    ("http://example.com:8080/x", ["http://example.com:8080/x"]),
    ("http://example.com:99999999/x", ["http://example.com"]),
    ("http://example.com:x", ["http://example.com"]),
    ("http://my_shop.example.com", ["http://my_shop.example.com"]),
    ("http://1.example.com", ["http://1.example.com"]),
    ("http://ex-ample.com", ["http://ex-ample.com"]),
    ("http://example.com.123", ["http://example.com"]),
    ("http://xn--e1afmkfd.xn--p1ai/x", ["http://xn--e1afmkfd.xn--p1ai/x"]),
    ("https://" + "a" * 63 + ".com", ["https://" + "a" * 63 + ".com"]),
    # without
    ("example.com", ["example.com"]),
    ("www.example.com", ["www.example.com"]),
    ("EXAMPLE.COM", ["EXAMPLE.COM"]),
    ("t.co", ["t.co"]),
    ("foo.co.jp", ["foo.co.jp"]),
    ("example.com/path?q=1&r=2", ["example.com/path?q=1&r=2"]),
    ("example.com?q=1", ["example.com?q=1"]),
    ("example.xn--p1ai", ["example.xn--p1ai"]),
    ("café.com", ["café.com"]),
    ("example.com example.org", ["example.com", "example.org"]),
    ("example.com,example.org", ["example.com", "example.org"]),
    ("example.com.nothing", ["example.com"]),
    ("youtube.com/watch?v=abc-", ["youtube.com/watch?v=abc-"]),
    # punctuation around
    ("https://example.com.", ["https://example.com"]),
    ("https://example.com/a.", ["https://example.com/a"]),
    ("https://example.com/a, then", ["https://example.com/a"]),
    ("https://example.com/a!?", ["https://example.com/a"]),
    ("https://example.com/a...", ["https://example.com/a"]),
    ("https://example.com/?", ["https://example.com/"]),
    ("https://example.com/?q=a.", ["https://example.com/?q=a"]),
    ("https://example.com/.", ["https://example.com/"]),
    ('"https://example.com/a"', ["https://example.com/a"]),
    ("'https://example.com/a'", ["https://example.com/a"]),
    ("<https://example.com/a>", ["https://example.com/a"]),
    ("“https://example.com/a”", ["https://example.com/a"]),
    ("(https://example.com)", ["https://example.com"]),
    ("(https://example.com/a)", ["https://example.com/a"]),
    ("[https://example.com]", ["https://example.com"]),
    ("https://example.com…", ["https://example.com"]),
    ("line\nhttps://example.com\nline", ["https://example.com"]),
    ("a:https://example.com", ["https://example.com"]),
    ("https://example.com/a#b", ["https://example.com/a#b"]),
    ("https://example.com/#!/bob", ["https://example.com/#!/bob"]),
    ("https://example.com#b", ["https://example.com"]),
    ("https://example.com/@bob", ["https://example.com/@bob"]),
    ("https://example.com/a@", ["https://example.com/a"]),
    ("https://example.com/%20x", ["https://example.com/%20x"]),
    ("https://example.com/a~b;c=d|e", ["https://example.com/a~b;c=d|e"]),
    ("https://example.com/a–b", ["https://example.com/a–b"]),
    ("https://example.com/a https://example.com/b", ["https://example.com/a", "https://example.com/b"]),
    ("http://%65xample.com", ["65xample.com"]),
    # parentheses
    ("https://example.com/a_(b)", ["https://example.com/a_(b)"]),
    ("https://example.com/a_(b)_c", ["https://example.com/a_(b)_c"]),
    ("(https://example.com/a_(b))", ["https://example.com/a_(b)"]),
    ("https://example.com/a_(b_(c)_d)", ["https://example.com/a_(b_(c)_d)"]),
    ("https://example.com/a_(b", ["https://example.com/a_"]),
    ("https://example.com/a)b", ["https://example.com/a"]),
    ("https://example.com/(a)(b)", ["https://example.com/(a)(b)"]),
    ("https://example.com/()", ["https://example.com/()"]),
    # neighbours that write without spaces
    ("見てhttps://example.comです", ["https://example.com"]),
    ("見てhttps://example.com/aです", ["https://example.com/a"]),
    ("見てexample.comです", ["example.com"]),
    ("https://example.com。次", ["https://example.com"]),
    ("「https://example.com/」", ["https://example.com/"]),
    ("https://example.com、次", ["https://example.com"]),
    ("한국어example.com한국어", ["example.com"]),
    ("приветexample.com", ["example.com"]),
    ("😀https://example.com😀", ["https://example.com"]),
    ("😀example.com/a😀", ["example.com/a"]),
    # international names
    ("http://пример.рф", ["http://пример.рф"]),
    ("http://пример.рф/путь", ["http://пример.рф/путь"]),
    ("http://例子.中国", ["http://例子.中国"]),
    ("http://例子.中国です", ["http://例子.中国"]),
    ("http://日本語.com", ["http://日本語.com"]),
    ("http://☃.net/", ["http://☃.net/"]),
    ("http://उदाहरण.भारत", ["http://उदाहरण.भारत"]),
    ("http://example.com/naïve", ["http://example.com/naïve"]),
    ("http://example.com/日本", ["http://example.com/"]),
    # false friends people post all the time, which the field links as well
    ("home.So it", ["home.So"]),
]

NOT_FOUND = [
    "",
    "no link here",
    "http://",
    "http://localhost",
    "http://localhost/example",
    "http://192.168.0.1/",
    "http://[::1]/",
    "http://.com",
    "http://www.-example.com",
    "http://example-.com",
    "http://my_shop.com",
    "http://user:secret@localhost",
    "http://" + "a" * 64 + ".com",
    "http://" + "a." * 130 + "com",
    "http://пример.русский",  # begins like a name that is listed
    "ftp://example",
    "xhttp://localhost",
    "me@example.com",
    "first.last@example.com",
    "me.com@example.com",
    "@example.com",
    "＠example.com",
    "#example.com",
    "$example.com",
    "-example.com",
    "_example.com",
    "./example.com",
    "..example.com",
    "пример.рф",  # an international name needs its scheme
    "example",
    "example.",
    ".com",
    "example.notlisted",
    "example.com+more",
    "example.com_more",
    "v1.2.3",
    "3.14",
    "e.g. or i.e. this",
    "node.js",
    "xn--.xn--",
    "a" * 254 + ".com",
]


@pytest.mark.parametrize(("text", "urls"), FOUND)
def test_found(text: str, urls: list[str]) -> None:
    assert [text[begin:end] for begin, end in find_urls(text)] == urls


@pytest.mark.parametrize("text", NOT_FOUND)
def test_not_found(text: str) -> None:
    assert list(find_urls(text)) == []


def test_every_listed_name_makes_a_url() -> None:
    for name in text_tlds.COUNTRY | text_tlds.GENERIC:
        assert list(find_urls(f"say example.{name}!")) == [(4, 12 + len(name))]
    for name in text_tlds.INTERNATIONAL:
        assert list(find_urls(f"http://example.{name}/")) == [(0, 16 + len(name))]


def test_lists_hold_lower_case_names_once() -> None:
    assert not text_tlds.COUNTRY & text_tlds.GENERIC
    assert all(len(name) == 2 and name.isascii() and name.islower() for name in text_tlds.COUNTRY)
    assert all(len(name) > 2 and name.isascii() and name.isalpha() and name.islower() for name in text_tlds.GENERIC)
    assert not any(name.isascii() for name in text_tlds.INTERNATIONAL)
