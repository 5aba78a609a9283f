"""Sign-in by an OpenID Connect provider: the way to it and back, and who the person is."""

import hmac
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callsheet.access.oidc_provider import OidcProvider
from callsheet.access.users import NAME, join_user
from callsheet.db.database import Database
from callsheet.domain.callers import Caller
from callsheet.domain.errors import Unauthorized
from callsheet.domain.scopes import Scope, granted
from callsheet.settings import Settings
from callsheet.settings.oidc import AccessRule

CALLBACK = "/login/oidc/callback"
LIFETIME = 600
"""Seconds in which a person must return from the provider."""
_MAX_SUBJECT = 255
"""Characters of a subject, as OpenID Connect has it."""
_EXPIRED = "The sign-in has expired, or it was begun in another browser. Start it again."


@dataclass(frozen=True, slots=True)
class BegunLogin:
    """A sign-in on its way: the address of the provider, and the cookie that brings it back to this browser."""

    url: str
    cookie: str


class OidcLogin:
    """Sends people to the provider, and identifies those who return."""

    def __init__(self, database: Database, settings: Settings, signing_key: bytes, base_url: str) -> None:
        """Raise ConfigurationError if the extra is not installed."""
        self._provider = OidcProvider(settings)
        self._database = database
        self._issuer = settings.oidc_issuer or ""
        self._rules = settings.oidc_access
        self._groups_claim = settings.oidc_groups_claim
        self._key = hmac.digest(signing_key, b"callsheet sign-in by OpenID Connect", "sha256")
        self._redirect_uri = f"{base_url.rstrip('/')}{CALLBACK}"

    async def begin(self, target: str) -> BegunLogin:
        """Begin a sign-in that ends at the path `target`. Raises Unauthorized."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        url = await self._provider.authorization_url(self._redirect_uri, state=state, nonce=nonce, verifier=verifier)
        fields = {"state": state, "nonce": nonce, "verifier": verifier, "next": target, "at": int(time.time())}
        return BegunLogin(url, self._sealed(fields))

    async def finish(self, query: Mapping[str, str], cookie: str) -> tuple[Caller, str]:
        """Return the person who returns from the provider, and the path to go to. Raises Unauthorized."""
        begun = self._opened(cookie)
        state = query.get("state", "")
        if begun is None or not hmac.compare_digest(state.encode(errors="replace"), begun["state"].encode()):
            raise Unauthorized(_EXPIRED)
        if query.get("error"):
            raise Unauthorized("The sign-in was cancelled, or the provider refused it.")
        # RFC 9207: a provider that says who it is must be this one.
        if query.get("iss", self._issuer) != self._issuer or not query.get("code"):
            raise Unauthorized("The answer of the sign-in provider is not complete. Start the sign-in again.")
        claims = await self._provider.claims_of_code(
            query["code"], self._redirect_uri, nonce=begun["nonce"], verifier=begun["verifier"]
        )
        return await self._person(claims), begun["next"]

    async def _person(self, claims: Mapping[str, Any]) -> Caller:
        subject = str(claims["sub"])
        scopes = scopes_of(claims, self._rules, self._groups_claim)
        if not scopes or len(subject) > _MAX_SUBJECT:
            raise Unauthorized("You are known to the sign-in provider, but have no access here. Ask an administrator.")
        async with self._database.transaction() as connection:
            user_id, name = await join_user(
                connection, issuer=self._issuer, subject=subject, name=name_of(claims), scopes=sorted(scopes)
            )
        return Caller("user", name, granted(sorted(scopes)), id=user_id)

    def _sealed(self, fields: Mapping[str, Any]) -> str:
        text = urlsafe_b64encode(json.dumps(fields).encode()).decode()
        return f"{text}.{self._signature(text)}"

    def _opened(self, cookie: str) -> dict[str, Any] | None:
        text, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(errors="replace"), self._signature(text).encode()):
            return None
        try:
            fields: dict[str, Any] = json.loads(urlsafe_b64decode(text))
        except (ValueError, Base64Error):
            return None
        return fields if time.time() - fields["at"] <= LIFETIME else None

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(errors="replace"), "sha256").hexdigest()


def scopes_of(claims: Mapping[str, Any], rules: list[AccessRule], groups_claim: str) -> frozenset[Scope]:
    """Return the scopes of all rules that match a person. An e-mail address counts only if the provider verified it."""
    email = _verified_email(claims)
    domain = email.rpartition("@")[2]
    groups = claims.get(groups_claim)
    known = {"group": _texts(groups), "email": _texts(email), "domain": _texts(domain)}
    return frozenset(scope for rule in rules if rule.value in known[rule.kind] for scope in rule.scopes)


def name_of(claims: Mapping[str, Any]) -> str:
    """Return the name of a new user: the verified address, the name at the provider, or the subject."""
    for name in (_verified_email(claims), claims.get("preferred_username"), claims.get("sub")):
        text = re.sub(r"[^a-z0-9._@+-]", "-", str(name or "").lower())[:100].lstrip("._@+-")
        if NAME.fullmatch(text):
            return text
    return "user"


def _texts(value: Any) -> set[str]:
    values = value if isinstance(value, list) else [value]
    return {each for each in values if isinstance(each, str) and each}


def _verified_email(claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    return email.lower() if isinstance(email, str) and claims.get("email_verified") is True and "@" in email else ""
