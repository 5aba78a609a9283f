"""Names of languages as containers want them: three letters, by ISO 639-2."""

_KNOWN = (
    "ar ara bg bul bn ben ca cat cs cze da dan de ger el gre en eng es spa et est fa per fi fin fr fre gu guj he heb "
    "hi hin hr hrv hu hun id ind is ice it ita ja jpn ka geo kn kan ko kor lt lit lv lav ml mal mr mar ms may nl dut "
    "no nor nb nob pa pan pl pol pt por ro rum ru rus sk slo sl slv sq alb sr srp sv swe sw swa ta tam te tel th tha "
    "tr tur uk ukr ur urd vi vie zh chi "
)
_PAIRS = _KNOWN.split()
_BY_TWO_LETTERS = dict(zip(_PAIRS[::2], _PAIRS[1::2], strict=True))


def iso_639_2(language: str) -> str:
    """Return the name of a language, given as `en`, `en-GB` or `eng`; one that is not known is returned as it is."""
    name = language.lower().replace("_", "-").partition("-")[0]
    return _BY_TWO_LETTERS.get(name, name)
