"""Top-level domains: what makes a dotted word without a scheme a URL.

Source: the IANA root zone (https://www.iana.org/domains/root/db).  twitter-text carries the whole root, some 1,500
names that change every month.  Here: every two-letter country code, the internationalised ones in wide use, and those
generic names that people really post.  With `http://` in front the list does not matter for names in ASCII letters:
whoever writes the scheme means a link.
"""

from __future__ import annotations


def _names(block: str) -> frozenset[str]:
    return frozenset(block.split())


COUNTRY = _names(
    """
    ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz ca cc
    cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb
    gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke
    kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu
    mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw
    sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz
    ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
    """
)

GENERIC = _names(
    """
    aero arpa asia biz cat com coop edu gov info int jobs mil mobi museum name net org post pro tel travel xxx
    academy agency app art audio auto bank bar beer best bet bid bike bio blog blue boutique build business buzz
    cab cafe camera camp capital cards care careers cash casino center chat cheap church city click clinic clothing
    cloud club coach codes coffee community company computer consulting contact cool courses credit dance data date
    deals delivery design dev digital direct directory doctor dog domains earth eco education email energy engineer
    engineering enterprises equipment estate events exchange expert express family fans farm fashion film finance
    financial fish fit fitness florist foo football forum foundation fun fund furniture futbol fyi gallery game games
    garden gift gifts glass global gmbh gold golf graphics gratis green group guide guitars guru health healthcare
    help hiphop hockey holiday homes horse hospital host hosting house how inc ink institute insurance insure
    international investments jetzt jewelry kim kitchen land law lawyer legal life lighting limited limo link live llc
    loan loans lol london love ltd luxury maison management market marketing mba media meme memorial men menu money
    monster mortgage mov movie music network new news nexus ngo ninja nyc observer one ong online organic page paris
    partners parts party pet pharmacy phd photo photography photos pics pictures pink pizza place plumbing plus poker
    press productions promo properties property pub quest racing radio realty recipes red rehab reise reisen rent
    rentals repair report republican rest restaurant review reviews rich rip rocks rodeo rsvp run sale salon sarl
    school schule science security select services sexy shoes shop shopping show singles site ski soccer social
    software solar solutions space spot store stream studio study style sucks supplies supply support surf surgery
    systems tattoo tax taxi team tech technology tennis theater tickets tips tires today tools top tours town toys
    trade trading training tube university vacations vegas ventures versicherung vet video villas vin vip vision vodka
    vote voyage wang watch web webcam website wedding wien wiki win wine work works world wtf xyz yoga you zip zone
    amsterdam barcelona berlin brussels bzh cologne eus gal hamburg istanbul koeln madrid melbourne miami moscow osaka
    quebec rio ruhr scot swiss sydney tirol tokyo wales yokohama
    amazon android apple azure bbc bing bloomberg bmw chrome cisco fox gle goog google ibm java lego microsoft netflix
    nhk nike oracle playstation samsung sap sky sony target uber visa walmart xbox yahoo youtube
    """
)

# Longest first, so that a name is not cut at another that begins it.
INTERNATIONAL = tuple(
    sorted(
        _names(
            """
            рф бел укр мкд мон срб қаз бг ею ευ ελ հայ გე ישראל قطر مصر عمان تونس سورية سودان فلسطين المغرب السعودية
            الاردن الجزائر اليمن امارات ایران پاکستان بھارت بارت عراق ليبيا موريتانيا البحرين مليسيا भारत ভারত বাংলা
            ভাৰত ਭਾਰਤ ભારત ଭାରତ இந்தியா இலங்கை சிங்கப்பூர் భారత్ ಭಾರತ ഭാരതം ලංකා ไทย ລາວ 한국 中国 中國 香港 台湾 台灣
            新加坡 澳門 みんな コム 公司 网络 公益 政务 在线 中文网 商城 我爱你 游戏 онлайн сайт орг дети москва рус ком
            شبكة موقع बाज़ार संगठन नेट कॉम 닷컴 닷넷 삼성 קום
            """
        ),
        key=lambda name: (-len(name), name),
    )
)


def listed(name: str) -> bool:
    """Whether an ASCII name, in any case, is a top-level domain this list knows (punycode ones always are)."""
    lower = name.lower()
    return lower in COUNTRY or lower in GENERIC or (lower.startswith("xn--") and len(lower) > 4)
