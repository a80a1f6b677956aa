"""Encryption of stored secrets. Nothing else in the product sees both the ciphertext and the key."""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from finetune.core.errors import Conflict


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(plaintext: str) -> str:
    """Encrypt with the newest key of FIELD_ENCRYPTION_KEYS."""
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(plaintext.encode()).decode()


def decrypt(ciphertext: str) -> str:
    """Decrypt with whichever key fits; Conflict when none does (the keys were lost or replaced)."""
    try:
        return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(ciphertext.encode()).decode()
    except InvalidToken:
        raise Conflict("The stored secret can't be read with the current keys. Enter it again.", code="key_lost") from None


def rotate(ciphertext: str) -> str:
    """The same secret under the newest key; Conflict when no key opens it."""
    try:
        return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).rotate(ciphertext.encode()).decode()
    except InvalidToken:
        raise Conflict("The stored secret can't be read with the current keys. Enter it again.", code="key_lost") from None


def is_current(ciphertext: str) -> bool:
    """Whether the newest key opens it, so that the older ones are not needed for it."""
    try:
        Fernet(settings.FIELD_ENCRYPTION_KEYS[0]).decrypt(ciphertext.encode())
        return True
    except InvalidToken:
        return False
