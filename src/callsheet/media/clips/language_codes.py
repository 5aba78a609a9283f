"""ISO 639-2 language codes (three letters), as containers store them."""

# Pairs of an ISO 639-1 and an ISO 639-2/B code.
_CODES = (
    "ar ara bg bul bn ben ca cat cs cze da dan de ger el gre en eng es spa et est fa per fi fin fr fre gu guj he heb "
    "hi hin hr hrv hu hun id ind is ice it ita ja jpn ka geo kn kan ko kor lt lit lv lav ml mal mr mar ms may nl dut "
    "no nor nb nob pa pan pl pol pt por ro rum ru rus sk slo sl slv sq alb sr srp sv swe sw swa ta tam te tel th tha "
    "tr tur uk ukr ur urd vi vie zh chi "
)
_PAIRS = _CODES.split()
_BY_ISO_639_1 = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))


def iso_639_2(language: str) -> str:
    """Return the code of a language, given as `en`, `en-GB` or `eng`. Unknown codes are returned without a region."""
    code = language.lower().replace("_", "-").partition("-")[0]
    return _BY_ISO_639_1.get(code, code)
