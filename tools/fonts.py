"""Make the fonts of `src/callsheet/media/fonts/world` from the published Noto fonts.

    pip install fonttools
    pip download --no-deps manimgx-fonts==2026.9.26.post1
    unzip -d noto manimgx_fonts-*.whl
    apt-get download fonts-noto-cjk-extra
    dpkg-deb -x fonts-noto-cjk-extra_*.deb noto
    python tools/fonts.py noto src/callsheet/media/fonts

Each comes out with the glyphs that Inter lacks, at fixed weights, with Inter's height of line, and under a name of
our own, so that it cannot be mixed up with a Noto font that is installed.
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
"""Of fonts that come in one weight: Chinese, Japanese, Korean, symbols and emoji."""

JOINERS = {0x20, 0x25CC, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFE0E, 0xFE0F}
CJK_BLOCKS = ((0x2E80, 0x2EFF), (0x3000, 0x33FF), (0xFE30, 0xFE4F), (0xFF01, 0xFFEE))
CJK_FEATURES = ["ccmp", "locl", "mark", "mkmk"]
SIMPLIFIED = 2
"""The face of the CJK collection whose forms stand where a script names no language."""


def main(noto: Path, fonts: Path) -> None:
    """Write every font."""
    inter = set(TTFont(fonts / "inter/Inter-Regular.otf").getBestCmap())
    world = fonts / "world"
    world.mkdir(exist_ok=True)
    for script in SCRIPTS:
        source = found(noto, f"NotoSans{script}[wght].ttf")
        for name, weight in WEIGHTS.items():
            write(reduced(TTFont(source), weight, without=inter), script, name, weight, world)
    for script, source in (("Symbols", "NotoSansSymbols[wght].ttf"), ("Emoji", "NotoEmoji[wght].ttf")):
        write(reduced(TTFont(found(noto, source)), MEDIUM, without=inter), script, "Medium", MEDIUM, world)
    collection = TTFont(found(noto, "NotoSansCJK-Medium.ttc"), fontNumber=SIMPLIFIED)
    write(reduced(collection, MEDIUM, only=cjk() - inter, features=CJK_FEATURES), "CJK", "Medium", MEDIUM, world)


def found(folder: Path, name: str) -> Path:
    """Return the file of that name below the folder."""
    return next(path for path in folder.rglob("*") if path.name == name)


def reduced(
    font: TTFont,
    weight: int,
    *,
    without: Iterable[int] = (),
    only: set[int] | None = None,
    features: Iterable[str] = ("*",),
) -> TTFont:
    """Return the font at one weight, with the wanted characters and the glyphs that they can become."""
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


def cjk() -> set[int]:
    """Return what GB 2312, JIS X 0208, KS X 1001 and the first level of Big5 hold, with all Korean syllables."""
    letters = {character for codec in ("gb2312", "euc_jp", "euc_kr") for character in pairs(codec, range(0xA1, 0xFF))}
    letters |= set(pairs("big5", range(0xA4, 0xC7)))
    blocks = {code for first, last in CJK_BLOCKS for code in range(first, last + 1)}
    return {ord(letter) for letter in letters} | blocks | set(range(0xAC00, 0xD7A4))


def pairs(codec: str, leads: Iterable[int]) -> Iterable[str]:
    """Yield the characters that a codec writes as two bytes, the first of them among `leads`."""
    for lead in leads:
        for trail in range(0x40, 0xFF):
            yield from bytes([lead, trail]).decode(codec, "ignore") if lead > 0x7F else ""


def write(font: TTFont, script: str, style: str, weight: int, folder: Path) -> None:
    """Name the font, give it Inter's height of line, and write it."""
    family, em = f"Callsheet {script}", font["head"].unitsPerEm
    ascent, descent = round(em * 0.96875), round(em * 0.2415)
    os2, hhea = font["OS/2"], font["hhea"]
    # The subtitle renderer scales a font by these, and spaces lines by them.
    os2.usWinAscent, os2.usWinDescent, os2.usWeightClass = ascent, descent, weight
    os2.sTypoAscender, os2.sTypoDescender, os2.sTypoLineGap = ascent, -descent, 0
    hhea.ascent, hhea.descent, hhea.lineGap = ascent, -descent, 0
    os2.fsSelection = (os2.fsSelection & ~0b1100001) | (0b100000 if style == "Bold" else 0b1000000)
    font["head"].macStyle = 1 if style == "Bold" else 0
    named(font, family, style)
    cff = "CFF " in font or "CFF2" in font
    font.save(folder / f"{family.replace(' ', '')}-{style}.{'otf' if cff else 'ttf'}")


def named(font: TTFont, family: str, style: str) -> None:
    """Leave the names of the makers and their licence, and take our own for the family."""
    name = font["name"]
    name.names = [record for record in name.names if record.nameID in {0, 7, 8, 9, 13, 14}]
    # Programs that know no weights but two take the medium one for the regular one.
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
