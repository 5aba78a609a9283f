"""An OpenID Connect provider: its discovery document, its keys, and the check of its ID tokens.

The package authlib, of the extra `oidc`, checks signatures and claims. Requests are those of Callsheet's own client.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx2
import structlog

from callsheet.domain.errors import ConfigurationError, Unauthorized
from callsheet.http_clients import async_client, describe_error
from callsheet.settings import Settings
from callsheet.settings.oidc import is_provider_url

log = structlog.get_logger(__name__)

_TIMEOUT = 10.0
_MAX_BYTES = 2**20
"""Of one answer of the provider."""
_FRESH_SECONDS = 3600.0
"""Time that the discovery document and the keys are used without asking again."""
_KEYS_PAUSE = 30.0
"""Least time between two requests of the keys because of an unknown key."""
_LEEWAY = 60
"""Seconds by which the clocks may differ."""
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""All with public keys. Without this list, a token could be signed with a public key as a shared secret."""


def require_package() -> None:
    """Raise ConfigurationError if the extra is not installed."""
    try:
        import authlib  # noqa: F401
        import joserfc  # noqa: F401
    except ImportError:
        raise ConfigurationError("CALLSHEET_OIDC_ISSUER needs authlib: pip install 'callsheet[oidc]'") from None


class OidcProvider:
    """The provider of the settings. All methods raise Unauthorized with a sentence for people; details are logged."""

    def __init__(self, settings: Settings) -> None:
        """Raise ConfigurationError if the extra is not installed."""
        require_package()
        assert settings.oidc_issuer is not None and settings.oidc_client_id is not None  # noqa: S101 - of the settings
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        secret = settings.oidc_client_secret
        self._secret = None if secret is None else secret.get_secret_value()
        self._scopes = settings.oidc_scopes
        self._document: dict[str, Any] = {}
        self._read_at = float("-inf")
        self._keys: Mapping[str | None, Any] = {}
        self._keys_read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def authorization_url(self, redirect_uri: str, *, state: str, nonce: str, verifier: str) -> str:
        """Return the address of the provider to which a person is sent."""
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        document = await self._discovered()
        url: str = prepare_grant_uri(
            document["authorization_endpoint"],
            client_id=self._client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=self._scopes,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return url

    async def claims_of_code(self, code: str, redirect_uri: str, *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Exchange the code of a sign-in; return the verified claims of the ID token."""
        document = await self._discovered()
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        fields |= {"code_verifier": verifier, "client_id": self._client_id}
        auth = None
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if self._secret is not None and "client_secret_basic" in methods:
            auth = httpx2.BasicAuth(self._client_id, self._secret)
        elif self._secret is not None:
            fields["client_secret"] = self._secret
        tokens = await self._request("POST", document["token_endpoint"], data=fields, auth=auth)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise _refused("The sign-in provider sent no ID token.")
        return await self._verified(id_token, document, nonce, tokens.get("access_token"))

    async def _verified(
        self, id_token: str, document: Mapping[str, Any], nonce: str, access_token: Any
    ) -> Mapping[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import JoseError

        offered = document.get("id_token_signing_alg_values_supported") or ["RS256"]
        algorithms = [name for name in _ALGORITHMS if name in offered]
        try:
            try:
                token = jwt.decode(id_token, _finder(await self._public_keys(document)), algorithms=algorithms)
            except LookupError:
                # The provider may sign with a new key.
                keys = await self._public_keys(document, again=True)
                token = jwt.decode(id_token, _finder(keys), algorithms=algorithms)
            claims: Any = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self._issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                    "nonce": {"essential": True},
                },
                params={"nonce": nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(leeway=_LEEWAY)
        except (JoseError, ValueError, LookupError, TypeError) as error:
            log.warning("the ID token of a sign-in is not valid", issuer=self._issuer, error=_described(error))
            raise _refused("The ID token of the sign-in provider is not valid.") from None
        return dict(claims)

    async def _discovered(self) -> dict[str, Any]:
        async with self._reading:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
                self._document = self._checked(await self._request("GET", url))
                self._read_at = time.monotonic()
        return self._document

    def _checked(self, document: dict[str, Any]) -> dict[str, Any]:
        if document.get("issuer") != self._issuer:
            log.error("the provider has another issuer", expected=self._issuer, found=str(document.get("issuer"))[:200])
            raise _refused("The sign-in provider is not set up correctly.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_provider_url(str(document.get(name)).partition("?")[0]):
                log.error("the discovery document of the provider has no secure endpoint", endpoint=name)
                raise _refused("The sign-in provider is not set up correctly.")
        return document

    async def _public_keys(self, document: Mapping[str, Any], *, again: bool = False) -> Mapping[str | None, Any]:
        """Return the keys of the provider by their ids."""
        from joserfc.errors import JoseError

        age = time.monotonic() - self._keys_read_at
        if age > _FRESH_SECONDS or (again and age > _KEYS_PAUSE):
            found = await self._request("GET", document["jwks_uri"])
            try:
                self._keys = _signing_keys(found)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                log.error("the keys of the sign-in provider cannot be read", error=_described(error))
                raise _refused("The sign-in provider is not set up correctly.") from None
            self._keys_read_at = time.monotonic()
        return self._keys

    async def _request(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        try:
            async with (
                async_client(timeout=_TIMEOUT) as client,
                client.stream(method, url, headers=headers, **options) as response,
            ):
                text = b""
                async for part in response.aiter_bytes():
                    text += part
                    if len(text) > _MAX_BYTES:
                        raise _refused("The answer of the sign-in provider is too large.")
        except httpx2.HTTPError as error:
            log.error("the sign-in provider cannot be reached", url=url, error=describe_error(error))
            raise _refused("The sign-in provider cannot be reached. Try again later.") from None
        found = _object(text)
        if response.status_code != 200 or found is None:
            reason = str((found or {}).get("error", ""))[:100]
            log.warning("the sign-in provider refused a request", url=url, status=response.status_code, reason=reason)
            raise _refused("The sign-in provider refused the sign-in. Start it again.")
        return found


def _signing_keys(document: Mapping[str, Any]) -> Mapping[str | None, Any]:
    from joserfc.errors import InvalidKeyTypeError
    from joserfc.jwk import import_key

    found = {}
    for key in document["keys"]:
        if key.get("use", "sig") != "sig" or key.get("kty") == "oct":
            continue
        # A key of a kind that is not known yet does not spoil the others.
        with suppress(InvalidKeyTypeError):
            found[key.get("kid")] = import_key(key)
    return found


def _finder(keys: Mapping[str | None, Any]) -> Callable[[Any], Any]:
    """Return a function that finds the key of a token, or raises LookupError. Without an id, it is the only key."""

    def find(token: Any) -> Any:
        name = token.headers().get("kid")
        return next(iter(keys.values())) if name is None and len(keys) == 1 else keys[name]

    return find


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _described(error: Exception) -> str:
    """Return the kind of an error with the name of the claim, and nothing of the token."""
    claim = getattr(error, "claim", None)
    return f"{type(error).__name__}{f' ({claim})' if claim else ''}"


def _refused(message: str) -> Unauthorized:
    return Unauthorized(message)
