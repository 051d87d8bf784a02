"""Mentions, hashtags and cashtags: where they begin and end."""

from __future__ import annotations

import pytest

from rookery_server.domain.text_entities import find_cashtags, find_hashtags, find_mentions

MENTIONS = [
    ("@bob", ["@bob"]),
    ("hi @bob", ["@bob"]),
    ("hi @bob!", ["@bob"]),
    ("@bob: hi", ["@bob"]),
    ("(@bob)", ["@bob"]),
    ('"@bob"', ["@bob"]),
    ("@Bob_99", ["@Bob_99"]),
    ("@_", ["@_"]),
    ("@12345", ["@12345"]),
    ("@abcdefghijklmno", ["@abcdefghijklmno"]),
    ("@abcdefghijklmnop", []),  # 16: its first 15 would be somebody else
    ("@alice @bob", ["@alice", "@bob"]),
    ("@alice,@bob", ["@alice", "@bob"]),
    ("@alice@bob", []),
    ("@@bob", []),
    ("＠bob", ["＠bob"]),
    ("日本@bob", ["@bob"]),
    ("@bobさん", ["@bob"]),
    ("@bobé", []),
    ("é@bob", ["@bob"]),
    ("@", []),
    ("@ bob", []),
    ("@é", []),
    ("@-bob", []),
    ("me@example.com", []),
    ("me.last@example", []),
    ("1@bob", []),
    ("_@bob", []),
    ("!@bob", []),
    ("#@bob", []),
    ("$@bob", []),
    ("%@bob", []),
    ("&@bob", []),
    ("*@bob", []),
    (".@bob hi", ["@bob"]),
    ("-@bob", ["@bob"]),
    ("/@bob", ["@bob"]),
    ("RT @bob: hi", ["@bob"]),
    ("RT@bob", ["@bob"]),
    ("rt@bob", ["@bob"]),
    ("RT:@bob", ["@bob"]),
    ("ART@bob", []),
    (".RT@bob", []),
    ("@bob://x", []),
    ("@bob:/x", ["@bob"]),
    ("@bob-by", ["@bob"]),
    ("@bob.example", ["@bob"]),
    ("@bob's", ["@bob"]),
    ("@bob/list", ["@bob"]),
    ("line\n@bob", ["@bob"]),
    ("😀@bob😀", ["@bob"]),
]

HASHTAGS = [
    ("#tag", ["#tag"]),
    ("a #tag b", ["#tag"]),
    ("#tag.", ["#tag"]),
    ("(#tag)", ["#tag"]),
    ("#Tag_1", ["#Tag_1"]),
    ("#1st", ["#1st"]),
    ("#2026", []),
    ("#_", []),
    ("#_a", ["#_a"]),
    ("#", []),
    ("# tag", []),
    ("#-tag", []),
    ("#tag-more", ["#tag"]),
    ("#it's", ["#it"]),
    ("#日本", ["#日本"]),
    ("#日本語です。", ["#日本語です"]),
    ("＃日本", ["＃日本"]),
    ("日本#語", []),  # in the middle of a word
    ("日本 #語", ["#語"]),
    ("、#語", ["#語"]),
    ("#한국어", ["#한국어"]),
    ("#привет", ["#привет"]),
    ("#été", ["#été"]),
    ("#हिन्दी", ["#हिन्दी"]),
    ("#ไทย", ["#ไทย"]),
    ("#שלום", ["#שלום"]),
    ("#مرحبا", ["#مرحبا"]),
    ("#می\u200cخواهم", ["#می\u200cخواهم"]),
    ("#ビル・ゲイツ", ["#ビル・ゲイツ"]),
    ("#l·l", ["#l·l"]),
    ("#١٢٣", []),
    ("#١٢٣ا", ["#١٢٣ا"]),
    ("#²", []),
    ("#x²", ["#x"]),
    ("#\u0301", []),
    ("#a\u0323", ["#a\u0323"]),
    ("#tag#more", []),
    ("#a #b", ["#a", "#b"]),
    ("#a,#b", ["#a", "#b"]),
    ("##tag", ["#tag"]),
    ("a#tag", []),
    ("1#tag", []),
    ("_#tag", []),
    ("&#tag", []),
    ("&#39;", []),
    ("#tag://x", []),
    ("#️⃣tag", []),
    ("#\u20e3tag", []),
    ("❤️#tag", ["#tag"]),
    ("😀#tag😀", ["#tag"]),
    ("#tag❤️", ["#tag"]),
    ("#a@b", ["#a"]),
    ("#tag\n#more", ["#tag", "#more"]),
    ("#𝒳", ["#𝒳"]),
    ("#C++", ["#C"]),
    ("#tag…", ["#tag"]),
]

CASHTAGS = [
    ("$AAPL", ["$AAPL"]),
    ("$aapl", ["$aapl"]),
    ("buy $A now", ["$A"]),
    ("$GOOGLE", ["$GOOGLE"]),
    ("$TOOLONG", []),
    ("$BRK.A", ["$BRK.A"]),
    ("$BRK_AB", ["$BRK_AB"]),
    ("$BRK.ABC", ["$BRK"]),
    ("$AAPL.", ["$AAPL"]),
    ("$AAPL,$TSLA", ["$AAPL"]),
    ("$AAPL $TSLA", ["$AAPL", "$TSLA"]),
    ("$AAPL!", ["$AAPL"]),
    ("($AAPL)", []),
    ("x$AAPL", []),
    ("$$AAPL", []),
    ("$", []),
    ("$ AAPL", []),
    ("$100", []),
    ("$A1", []),
    ("US$AAPL", []),
    ("$AAPLの", []),
    ("日本 $AAPL", ["$AAPL"]),
    ("line\n$AAPL\n", ["$AAPL"]),
    ("\u3000$AAPL", ["$AAPL"]),
    ("#$AAPL", []),
]


@pytest.mark.parametrize(("text", "found"), MENTIONS)
def test_mentions(text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in find_mentions(text)] == found


@pytest.mark.parametrize(("text", "found"), HASHTAGS)
def test_hashtags(text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in find_hashtags(text)] == found


@pytest.mark.parametrize(("text", "found"), CASHTAGS)
def test_cashtags(text: str, found: list[str]) -> None:
    assert [text[begin:end] for begin, end in find_cashtags(text)] == found
