"""Build the fonts in `src/callsheet/media/fonts/world` from the published Noto fonts.

    pip install fonttools
    pip download --no-deps manimgx-fonts==2026.9.26.post1
    unzip -d noto manimgx_fonts-*.whl
    apt-get download fonts-noto-cjk-extra
    dpkg-deb -x fonts-noto-cjk-extra_*.deb noto
    python tools/fonts.py noto src/callsheet/media/fonts

Each font has the glyphs that Inter lacks, fixed weights and the line height of Inter. Its own family name avoids
confusion with an installed Noto font.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont

SCRIPTS = [
    "Arabic",
    "Hebrew",
    "Devanagari",
    "Thai",
    "Bengali",
    "Gujarati",
    "Gurmukhi",
    "Kannada",
    "Malayalam",
    "Oriya",
    "Sinhala",
    "Tamil",
    "Telugu",
    "Armenian",
    "Ethiopic",
    "Georgian",
    "Khmer",
    "Lao",
    "Myanmar",
]
WEIGHTS = {"Regular": 400, "Bold": 700}
MEDIUM = 500
"""Weight of the fonts with a single weight: Chinese, Japanese, Korean, symbols and emoji."""

JOINERS = {0x20, 0x25CC, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFE0E, 0xFE0F}
CJK_BLOCKS = ((0x2E80, 0x2EFF), (0x3000, 0x33FF), (0xFE30, 0xFE4F), (0xFF01, 0xFFEE))
CJK_FEATURES = ["ccmp", "locl", "mark", "mkmk"]
SIMPLIFIED = 2
"""Index of the font in the CJK collection whose glyphs are used if a script sets no language."""


def main(noto: Path, fonts: Path) -> None:
    """Build every font."""
    inter = set(TTFont(fonts / "inter/Inter-Regular.otf").getBestCmap())
    world = fonts / "world"
    world.mkdir(exist_ok=True)
    for script in SCRIPTS:
        source = find_font(noto, f"NotoSans{script}[wght].ttf")
        for name, weight in WEIGHTS.items():
            write(subset(TTFont(source), weight, without=inter), script, name, weight, world)
    for script, source in (("Symbols", "NotoSansSymbols[wght].ttf"), ("Emoji", "NotoEmoji[wght].ttf")):
        write(subset(TTFont(find_font(noto, source)), MEDIUM, without=inter), script, "Medium", MEDIUM, world)
    collection = TTFont(find_font(noto, "NotoSansCJK-Medium.ttc"), fontNumber=SIMPLIFIED)
    cjk = subset(collection, MEDIUM, only=cjk_characters() - inter, features=CJK_FEATURES)
    write(cjk, "CJK", "Medium", MEDIUM, world)


def find_font(folder: Path, name: str) -> Path:
    """Return the file with this name below the folder."""
    return next(path for path in folder.rglob("*") if path.name == name)


def subset(
    font: TTFont,
    weight: int,
    *,
    without: Iterable[int] = (),
    only: set[int] | None = None,
    features: Iterable[str] = ("*",),
) -> TTFont:
    """Return the font at one weight, with the given characters and the glyphs that they can form."""
    kept = set(font.getBestCmap()) - set(without)
    options = Options(layout_features=list(features), hinting=False, notdef_outline=True, glyph_names=False)
    options.drop_tables += ["DSIG", "BASE", "VORG", "vhea", "vmtx", "meta"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=(kept if only is None else kept & only) | JOINERS)
    subsetter.subset(font)
    if "fvar" not in font:
        return font
    axes = {axis.axisTag: axis.defaultValue for axis in font["fvar"].axes}
    return instantiateVariableFont(font, {**axes, "wght": weight})


def cjk_characters() -> set[int]:
    """Return the characters of GB 2312, JIS X 0208, KS X 1001 and level 1 of Big5, and all Korean syllables."""
    codecs, leads = ("gb2312", "euc_jp", "euc_kr"), range(0xA1, 0xFF)
    letters = {character for codec in codecs for character in double_byte_characters(codec, leads)}
    letters |= set(double_byte_characters("big5", range(0xA4, 0xC7)))
    blocks = {code for first, last in CJK_BLOCKS for code in range(first, last + 1)}
    return {ord(letter) for letter in letters} | blocks | set(range(0xAC00, 0xD7A4))


def double_byte_characters(codec: str, leads: Iterable[int]) -> Iterable[str]:
    """Yield the characters that a codec encodes as two bytes with a lead byte in `leads`."""
    for lead in leads:
        for trail in range(0x40, 0xFF):
            yield from bytes([lead, trail]).decode(codec, "ignore") if lead > 0x7F else ""


def write(font: TTFont, script: str, style: str, weight: int, folder: Path) -> None:
    """Name the font, set the line height of Inter, and write the file."""
    family, em = f"Callsheet {script}", font["head"].unitsPerEm
    ascent, descent = round(em * 0.96875), round(em * 0.2415)
    os2, hhea = font["OS/2"], font["hhea"]
    # libass uses these metrics for the font size and the line distance.
    os2.usWinAscent, os2.usWinDescent, os2.usWeightClass = ascent, descent, weight
    os2.sTypoAscender, os2.sTypoDescender, os2.sTypoLineGap = ascent, -descent, 0
    hhea.ascent, hhea.descent, hhea.lineGap = ascent, -descent, 0
    os2.fsSelection = (os2.fsSelection & ~0b1100001) | (0b100000 if style == "Bold" else 0b1000000)
    font["head"].macStyle = 1 if style == "Bold" else 0
    set_names(font, family, style)
    cff = "CFF " in font or "CFF2" in font
    font.save(folder / f"{family.replace(' ', '')}-{style}.{'otf' if cff else 'ttf'}")


def set_names(font: TTFont, family: str, style: str) -> None:
    """Set the family names. The copyright, trademark, vendor and licence records are kept."""
    name = font["name"]
    name.names = [record for record in name.names if record.nameID in {0, 7, 8, 9, 13, 14}]
    # Programs that support only two weights treat Medium as Regular.
    plain = "Bold" if style == "Bold" else "Regular"
    post_script = f"{family.replace(' ', '')}-{style}"
    texts = {1: family, 2: plain, 3: f"{post_script};Callsheet", 4: f"{family} {style}", 6: post_script}
    for number, text in texts.items():
        name.setName(text, number, 3, 1, 0x409)
    if "CFF " in font:
        cff = font["CFF "].cff
        cff.fontNames = [post_script]
        cff.topDictIndex[0].FullName, cff.topDictIndex[0].FamilyName = f"{family} {style}", family


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
