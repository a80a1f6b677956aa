"""A guess at the language of a text: its script, and for Latin letters the commonest words. Light, and said to be a guess."""

from __future__ import annotations

import re
from collections import Counter

COMMON = {
    "en": "the and is of to in that for with you are this it on as be was have from not",
    "de": "der die das und ist nicht ein eine zu mit den auf für von sich des dem im auch wie",
    "fr": "le la les et est des une un dans pour que qui pas sur avec vous plus ce au du",
    "es": "el la los las y es de que en un una por con para se no su lo como más",
    "it": "il la di che e è un una per non con sono del della le gli si come più nel",
    "pt": "o a os as e é de que em um uma para com não por se na do da mais",
    "nl": "de het een en is van niet dat op te in zijn met voor aan er ook maar om naar",
    "pl": "i w nie na się z do to że jest o jak za po co ale od są przez być",
    "sv": "och att det som en är på för av med den inte till har ett om de var så kan",
    "tr": "ve bir bu için ile da de çok olarak daha ne gibi en olan var kadar sonra ama",
    "id": "dan yang di untuk dengan ini itu dari dalam adalah tidak pada akan ke atau juga",
    "vi": "và của là có cho được không các với một trong người này để đã những khi",
}
WORDS: dict[str, list[str]] = {}
for _code, _words in COMMON.items():
    for _word in _words.split():
        WORDS.setdefault(_word, []).append(_code)
SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
)
LOOKED_AT, SHORTEST = 400, 40  # characters


def guess(text: str) -> str:
    """An ISO 639-1 code, or "" where there is too little to go by."""
    text = text[:LOOKED_AT]
    if not text.isascii():
        for code, letters in SCRIPTS:
            if len(letters.findall(text)) > 0.2 * len(text):
                return code
    if len(text) < SHORTEST:
        return ""
    votes: Counter[str] = Counter()
    for word in text.lower().split():
        for code in WORDS.get(word, ()):
            votes[code] += 1
    best = votes.most_common(2)
    clear = best and best[0][1] >= 4 and (len(best) == 1 or best[0][1] > 1.5 * best[1][1])
    return best[0][0] if clear else ""
