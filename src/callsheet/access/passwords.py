"""Hashes of passwords: Argon2id."""

import os

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

MIN_LENGTH, MAX_LENGTH = 12, 200
_MEMORY_KIB, _ITERATIONS, _LANES = 19_456, 2, 1
"""As OWASP recommends in 2026: some 50 ms and 19 MiB for each try."""


def hash_password(password: str) -> str:
    """Return the hash of a password in the PHC format. CPU-bound."""
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return kdf.derive_phc_encoded(_encoded(password))


def is_password(password: str, stored: str) -> bool:
    """Return whether a hash is that of a password. CPU-bound."""
    try:
        Argon2id.verify_phc_encoded(_encoded(password), stored)
    except InvalidKey:
        return False
    return True


UNMATCHED_HASH = (
    f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash of no password: a login of an unknown user takes as long as that of a known one."""


def _encoded(password: str) -> bytes:
    return password.encode(errors="replace")
