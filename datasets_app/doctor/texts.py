"""What can be wrong with one text, and how each such thing is taken out again."""

from __future__ import annotations

import re
from collections.abc import Iterator

PLACEHOLDERS = frozenset({"nan", "null", "none", "undefined", "<na>", "n/a"})
_SECRET = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}|glpat-[\w-]{20,}"
    r"|AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|xox[abprs]-[0-9A-Za-z-]{20,}|eyJ[\w-]{15,}\.eyJ[\w-]{15,}\.[\w-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----)?"
)
_PASSWORD = re.compile(
    r"(?i)\b(password|passwd|api[_-]?key|secret[_-]?key|access[_-]?token)\b[\"']?\s*[:=]\s*[\"']?(?=\S*\d)([^\s\"',;]{10,})"
)
_BEGINNINGS = (
    "sk-",
    "hf_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "AKIA",
    "AIza",
    "xox",
    "eyJ",
    "-----BEGIN",
)
_PASSWORD_WORDS = ("passw", "api_key", "api-key", "apikey", "secret", "access_token", "access-token", "accesstoken")
_EMAIL = re.compile(r"\b[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b")
EXAMPLE_DOMAINS = re.compile(r"(?i)@(?:[\w-]+\.)*example(?:\.(?:com|org|net))?$|\.(?:invalid|test|example)$")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
SPECIAL = re.compile(
    r"<\|[A-Za-z0-9_]{2,32}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>|<｜[^｜<>]{2,32}｜>"
)
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufffd]")
_MOJIBAKE = re.compile("[ÃÂâÐÑ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
# Bytes to delete so that what is left can be counted.
_NOT_UPPER = bytes(byte for byte in range(256) if not 65 <= byte <= 90)
_NOT_LOWER = bytes(byte for byte in range(256) if not 97 <= byte <= 122)
_NOT_DIGIT = bytes(byte for byte in range(256) if not 48 <= byte <= 57)
_VISIBLE = bytes(byte for byte in range(32, 127)) + b"\t\n\r"
FEWEST_DIGITS = 9  # the shortest IBAN has so many
_LETTERS = bytes(byte for byte in range(256) if byte >= 128 or chr(byte).isalnum() or byte in b" \n\t")


def secrets_in(text: str) -> Iterator[tuple[int, int]]:
    """Where keys, tokens and passwords stand."""
    if any(begin in text for begin in _BEGINNINGS):  # many times faster than the pattern, and nearly always the answer
        yield from (match.span() for match in _SECRET.finditer(text))
    small = text.lower()
    if any(word in small for word in _PASSWORD_WORDS):
        yield from (match.span(2) for match in _PASSWORD.finditer(text))


def personal_in(text: str) -> Iterator[tuple[int, int, str]]:
    """Where e-mail addresses, card numbers and bank accounts stand, and the word to put there."""
    if "@" in text:
        found = (match for match in _EMAIL.finditer(text) if not EXAMPLE_DOMAINS.search(match.group()))
        yield from ((*match.span(), "[email]") for match in found)
    if len(text.encode("utf-8", "replace").translate(None, _NOT_DIGIT)) < FEWEST_DIGITS:
        return
    yield from ((*match.span(), "[card]") for match in _CARD.finditer(text) if _is_card(match.group()))
    yield from ((*match.span(), "[iban]") for match in _IBAN.finditer(text) if _is_iban(match.group()))


def _is_card(text: str) -> bool:
    """Luhn's check, and a first digit that card networks use."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [digit if at % 2 else digit * 2 - 9 * (digit > 4) for at, digit in enumerate(digits, len(digits) % 2)]
    return digits[0] in {3, 4, 5, 6} and len(set(digits)) > 2 and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    """ISO 13616: the number's remainder by 97 is 1."""
    bare = text.replace(" ", "")
    return 15 <= len(bare) <= 34 and int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def masked(text: str) -> str:
    """The text with secrets and personal data replaced."""
    spans = sorted([(*span, "[secret]") for span in secrets_in(text)] + list(personal_in(text)), reverse=True)
    for start, end, word in spans:
        text = text[:start] + word + text[end:]
    return text


def without_secrets(text: str) -> str:
    for start, end in sorted(secrets_in(text), reverse=True):
        text = text[:start] + "[secret]" + text[end:]
    return text


def without_personal(text: str) -> str:
    for start, end, word in sorted(personal_in(text), reverse=True):
        text = text[:start] + word + text[end:]
    return text


def without_special(text: str) -> str:
    return SPECIAL.sub("", text)


def without_invisible(text: str) -> str:
    return _INVISIBLE.sub("", text)


def decoded_again(text: str) -> str:
    """UTF-8 that was read as Windows-1252 is read right; the text itself where that does not work."""
    if not _MOJIBAKE.search(text):
        return text
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return _MOJIBAKE_RUN.sub(_decoded_run, text)


_MOJIBAKE_RUN = re.compile("[\u0080-\u00ff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]{2,}")


def _decoded_run(match: re.Match[str]) -> str:
    try:
        return match.group().encode("cp1252").decode("utf-8")
    except UnicodeError:
        return match.group()


def problems_of(text: str) -> Iterator[tuple[str, str, int]]:
    """(rule, what was found in words, where) for one text; each rule once."""
    if len(text) < 12 and text.strip().lower() in PLACEHOLDERS:
        yield "placeholder_text", f"The text is only “{text.strip()}”: a missing value that became a word.", 0
    span = next(secrets_in(text), None)
    if span:
        yield "secret", "Something here looks like a key, token or password.", span[0]
    found = next(personal_in(text), None)
    if found:
        yield "personal_data", f"Personal data: {found[2][1:-1]}.", found[0]
    if ("<" in text or "[" in text) and (match := SPECIAL.search(text)):
        yield "special_tokens", f"“{match.group()}” stands in the text; to a model it may be a command.", match.start()
    yield from _characters(text)


def _characters(text: str) -> Iterator[tuple[str, str, int]]:
    hidden = text.encode().translate(None, _VISIBLE) if text.isascii() else b"?"
    if hidden and (match := _INVISIBLE.search(text)):
        yield "control_characters", f"An invisible character (U+{ord(match.group()):04X}).", match.start()
    if not text.isascii() and (match := _MOJIBAKE.search(text)) and decoded_again(text) != text:
        yield "broken_encoding", f"“{match.group()}” is one character read in the wrong encoding.", match.start()
    if len(text) > 40:
        raw = text.encode("utf-8", "replace")
        upper, lower = len(raw.translate(None, _NOT_UPPER)), len(raw.translate(None, _NOT_LOWER))
        if upper + lower > 40 and upper > (upper + lower) / 3:
            yield "shouting", f"{upper * 100 // (upper + lower)} % of the letters are capitals.", 0
        if len(raw.translate(None, _LETTERS)) > 0.6 * len(raw):
            yield "garbled", "Most of the text is neither letters nor digits.", 0


def shared_start(one: str, other: str) -> str:
    """What both begin with."""
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:length]
