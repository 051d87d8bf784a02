"""Emoji sequences, as Unicode Technical Standard #51 draws them, in one pattern that never backtracks.

The two tables are the properties `Emoji` or `Extended_Pictographic` (without ASCII) and `Emoji_Modifier_Base` of
Unicode 17 (https://www.unicode.org/Public/17.0.0/ucd/emoji/emoji-data.txt), as ranges.  A test holds them to the
properties of the `regex` package and prints the new table when Unicode moves on.  Reserved code points are in the
first on purpose: an emoji of next year joins its sequence without a release of ours.
"""

from __future__ import annotations

import re

from rookery_server.domain.limits import EMOJI_PARTS

PICTOGRAPHS = """
    A9 AE 203C 2049 2122 2139 2194-2199 21A9-21AA 231A-231B 2328 23CF 23E9-23F3 23F8-23FA 24C2 25AA-25AB 25B6 25C0
    25FB-25FE 2600-2604 260E 2611 2614-2615 2618 261D 2620 2622-2623 2626 262A 262E-262F 2638-263A 2640 2642
    2648-2653 265F-2660 2663 2665-2666 2668 267B 267E-267F 2692-2697 2699 269B-269C 26A0-26A1 26A7 26AA-26AB
    26B0-26B1 26BD-26BE 26C4-26C5 26C8 26CE-26CF 26D1 26D3-26D4 26E9-26EA 26F0-26F5 26F7-26FA 26FD 2702 2705
    2708-270D 270F 2712 2714 2716 271D 2721 2728 2733-2734 2744 2747 274C 274E 2753-2755 2757 2763-2764 2795-2797
    27A1 27B0 27BF 2934-2935 2B05-2B07 2B1B-2B1C 2B50 2B55 3030 303D 3297 3299 1F004 1F02C-1F02F 1F094-1F09F
    1F0AF-1F0B0 1F0C0 1F0CF-1F0D0 1F0F6-1F0FF 1F170-1F171 1F17E-1F17F 1F18E 1F191-1F19A 1F1AF-1F1FF 1F201-1F20F
    1F21A 1F22F 1F232-1F23A 1F23C-1F23F 1F249-1F25F 1F266-1F321 1F324-1F393 1F396-1F397 1F399-1F39B 1F39E-1F3F0
    1F3F3-1F3F5 1F3F7-1F4FD 1F4FF-1F53D 1F549-1F54E 1F550-1F567 1F56F-1F570 1F573-1F57A 1F587 1F58A-1F58D 1F590
    1F595-1F596 1F5A4-1F5A5 1F5A8 1F5B1-1F5B2 1F5BC 1F5C2-1F5C4 1F5D1-1F5D3 1F5DC-1F5DE 1F5E1 1F5E3 1F5E8 1F5EF
    1F5F3 1F5FA-1F64F 1F680-1F6C5 1F6CB-1F6D2 1F6D5-1F6E5 1F6E9 1F6EB-1F6F0 1F6F3-1F6FF 1F7DC-1F7F0 1F80C-1F80F
    1F848-1F84F 1F85A-1F85F 1F888-1F88F 1F8AE-1F8AF 1F8BC-1F8BF 1F8C2-1F8CF 1F8D9-1F8FF 1F90C-1F93A 1F93C-1F945
    1F947-1F9FF 1FA58-1FA5F 1FA6E-1FAFF 1FC00-1FFFD
"""
MODIFIER_BASES = """
    261D 26F9 270A-270D 1F385 1F3C2-1F3C4 1F3C7 1F3CA-1F3CC 1F442-1F443 1F446-1F450 1F466-1F478 1F47C 1F481-1F483
    1F485-1F487 1F48F 1F491 1F4AA 1F574-1F575 1F57A 1F590 1F595-1F596 1F645-1F647 1F64B-1F64F 1F6A3 1F6B4-1F6B6
    1F6C0 1F6CC 1F90C 1F90F 1F918-1F91F 1F926 1F930-1F939 1F93C-1F93E 1F977 1F9B5-1F9B6 1F9B8-1F9B9 1F9BB
    1F9CD-1F9CF 1F9D1-1F9DD 1FAC3-1FAC5 1FAF0-1FAFA
"""


def _character_class(table: str, without: str = "") -> str:
    ends = [tuple(chr(int(end, 16)) for end in entry.split("-")) for entry in table.split()]
    return "".join("-".join(span) for span in ends if span[0] not in without)


# © and ® are letters of ordinary text until U+FE0F asks for the picture.
_TEXT_BY_DEFAULT = "©®"
_PICTOGRAPH = f"[{_character_class(PICTOGRAPHS, _TEXT_BY_DEFAULT)}]"
_TONED = f"[{_character_class(MODIFIER_BASES)}]\ufe0f?[\U0001f3fb-\U0001f3ff]"
_PART = f"(?:{_TONED}|{_PICTOGRAPH}\ufe0f?(?!\ufe0e))"

EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff]{2}"  # a flag: two regional indicators
    "|[0-9#*]\ufe0f?\u20e3"  # a keycap
    f"|[{_TEXT_BY_DEFAULT}]\ufe0f"
    # A subdivision's flag: black flag, region and subdivision in tag letters (at most 2 + 4), cancel tag.
    "|\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
    f"|{_PART}(?:\u200d{_PART}){{0,{EMOJI_PARTS - 1}}}+"
)
"""One emoji as people see it: a longer chain of joiners than any in use counts as several."""
