"""Countries as people write them: two letters, a name, a name with a slip in it. What the zones are, is left to ``carbon``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

# ISO 3166-1, two letters and three: https://www.iso.org/iso-3166-country-codes.html, as of 2026-11-30.
_LETTERS = """
AD AND, AE ARE, AF AFG, AG ATG, AI AIA, AL ALB, AM ARM, AO AGO, AQ ATA, AR ARG, AS ASM, AT AUT,
AU AUS, AW ABW, AX ALA, AZ AZE, BA BIH, BB BRB, BD BGD, BE BEL, BF BFA, BG BGR, BH BHR, BI BDI,
BJ BEN, BL BLM, BM BMU, BN BRN, BO BOL, BQ BES, BR BRA, BS BHS, BT BTN, BV BVT, BW BWA, BY BLR,
BZ BLZ, CA CAN, CC CCK, CD COD, CF CAF, CG COG, CH CHE, CI CIV, CK COK, CL CHL, CM CMR, CN CHN,
CO COL, CR CRI, CU CUB, CV CPV, CW CUW, CX CXR, CY CYP, CZ CZE, DE DEU, DJ DJI, DK DNK, DM DMA,
DO DOM, DZ DZA, EC ECU, EE EST, EG EGY, EH ESH, ER ERI, ES ESP, ET ETH, FI FIN, FJ FJI, FK FLK,
FM FSM, FO FRO, FR FRA, GA GAB, GB GBR, GD GRD, GE GEO, GF GUF, GG GGY, GH GHA, GI GIB, GL GRL,
GM GMB, GN GIN, GP GLP, GQ GNQ, GR GRC, GS SGS, GT GTM, GU GUM, GW GNB, GY GUY, HK HKG, HM HMD,
HN HND, HR HRV, HT HTI, HU HUN, ID IDN, IE IRL, IL ISR, IM IMN, IN IND, IO IOT, IQ IRQ, IR IRN,
IS ISL, IT ITA, JE JEY, JM JAM, JO JOR, JP JPN, KE KEN, KG KGZ, KH KHM, KI KIR, KM COM, KN KNA,
KP PRK, KR KOR, KW KWT, KY CYM, KZ KAZ, LA LAO, LB LBN, LC LCA, LI LIE, LK LKA, LR LBR, LS LSO,
LT LTU, LU LUX, LV LVA, LY LBY, MA MAR, MC MCO, MD MDA, ME MNE, MF MAF, MG MDG, MH MHL, MK MKD,
ML MLI, MM MMR, MN MNG, MO MAC, MP MNP, MQ MTQ, MR MRT, MS MSR, MT MLT, MU MUS, MV MDV, MW MWI,
MX MEX, MY MYS, MZ MOZ, NA NAM, NC NCL, NE NER, NF NFK, NG NGA, NI NIC, NL NLD, NO NOR, NP NPL,
NR NRU, NU NIU, NZ NZL, OM OMN, PA PAN, PE PER, PF PYF, PG PNG, PH PHL, PK PAK, PL POL, PM SPM,
PN PCN, PR PRI, PS PSE, PT PRT, PW PLW, PY PRY, QA QAT, RE REU, RO ROU, RS SRB, RU RUS, RW RWA,
SA SAU, SB SLB, SC SYC, SD SDN, SE SWE, SG SGP, SH SHN, SI SVN, SJ SJM, SK SVK, SL SLE, SM SMR,
SN SEN, SO SOM, SR SUR, SS SSD, ST STP, SV SLV, SX SXM, SY SYR, SZ SWZ, TC TCA, TD TCD, TF ATF,
TG TGO, TH THA, TJ TJK, TK TKL, TL TLS, TM TKM, TN TUN, TO TON, TR TUR, TT TTO, TV TUV, TW TWN,
TZ TZA, UA UKR, UG UGA, UM UMI, US USA, UY URY, UZ UZB, VA VAT, VC VCT, VE VEN, VG VGB, VI VIR,
VN VNM, VU VUT, WF WLF, WS WSM, YE YEM, YT MYT, ZA ZAF, ZM ZMB, ZW ZWE
"""

THREE_OF_TWO: Mapping[str, str] = {
    pair.split()[0]: pair.split()[1] for pair in _LETTERS.replace("\n", " ").split(",")
}

# What people write, and neither list has.
ALSO: Mapping[str, str] = {
    "america": "USA",
    "britain": "GBR",
    "england": "GBR",
    "great britain": "GBR",
    "holland": "NLD",
    "korea": "KOR",
    "uae": "ARE",
    "uk": "GBR",
}


def near(written: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """The zones that somebody may have meant, the likeliest first; none where nothing is near.

    ``written`` is two letters (``FR``), a part of a country (``US-CA``), a name (``France``), or nearly one of these. ``names``: those
    of the countries, by their three letters; no other is suggested.
    """
    text = " ".join(written.split()).casefold()
    by_name = {name.casefold(): code for code, name in names.items()}
    country = text.partition("-")[0].upper()
    meant = (ALSO.get(text, ""), by_name.get(text, ""), THREE_OF_TWO.get(country, ""), country)
    if found := [code for code in meant if code in names]:
        return (found[0],)
    parts = [code for name, code in by_name.items() if len(text) > 3 and text in name]
    if parts:
        return tuple(parts[:3])
    alike = [by_name[name] for name in difflib.get_close_matches(text, by_name, n=3, cutoff=0.75)]
    return tuple(alike or difflib.get_close_matches(text.upper(), names, n=3, cutoff=0.6))
