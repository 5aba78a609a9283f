"""A fake OpenID Connect provider with the wire format of real ones: discovery, authorization, tokens, keys.

It signs with PyJWT, which the product does not use for this, and checks what a provider checks: the client, the
redirect URI, PKCE, and that a code is used once.
"""

import base64
import hashlib
import json
import secrets
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from callsheet.fakes.providers.server import serve_app

CLIENT, SECRET = "callsheet-console", "a secret of the client"


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def first_key():
    """The key of every provider at its start: a new one takes a tenth of a second."""
    return new_key()


@dataclass
class FakeOidcProvider:
    """What the provider knows, and how it deviates. `claims` and `header` change the next ID tokens."""

    issuer: str = ""
    person: dict = field(
        default_factory=lambda: {
            "sub": "248289761001",
            "email": "Mia@Example.com",
            "email_verified": True,
            "preferred_username": "mia",
            "groups": ["editors"],
        }
    )
    claims: dict = field(default_factory=dict)
    """None removes a claim."""
    sign: object = None
    """A function of claims and provider that returns a token, in place of the right one."""
    key: object = field(default_factory=first_key)
    kid: str = "key-1"
    document: dict = field(default_factory=dict)
    """Changes of the discovery document."""
    answer: dict = field(default_factory=dict)
    """Changes of the answer with the tokens."""
    codes: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)

    def discovery(self, _request):
        self.requests.append("discovery")
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }
        return JSONResponse(document | self.document)

    def authorize(self, request):
        """The person has signed in at the provider, and agrees."""
        given = dict(request.query_params)
        self.requests.append(given)
        assert (given["client_id"], given["response_type"]) == (CLIENT, "code")
        assert given["code_challenge_method"] == "S256" and "openid" in given["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = given
        return RedirectResponse(f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}", 302)

    async def token(self, request):
        form = dict((await request.form()).items())
        self.requests.append("token")
        client = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {client}":
            return JSONResponse({"error": "invalid_client"}, 401)
        begun = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if begun is None or challenge != begun["code_challenge"] or form["redirect_uri"] != begun["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token = secrets.token_urlsafe(16)
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": begun["nonce"],
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            **self.person,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        id_token = self.sign(claims, self) if self.sign else self.signed(claims)
        answer = {"access_token": access_token, "token_type": "Bearer", "expires_in": 300, "id_token": id_token}
        return JSONResponse(answer | self.answer)

    def signed(self, claims, **header):
        return jwt.encode(claims, self.key, "RS256", headers={"kid": self.kid, **header})

    def keys(self, _request):
        self.requests.append("keys")
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return JSONResponse({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "RS256"}]})

    def public_pem(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@asynccontextmanager
async def running_oidc_provider():
    """Run a provider until the block ends. Its site is `localhost`, another one than that of the console."""
    provider = FakeOidcProvider()
    routes = [
        Route("/.well-known/openid-configuration", provider.discovery),
        Route("/authorize", provider.authorize),
        Route("/token", provider.token, methods=["POST"]),
        Route("/keys", provider.keys),
    ]
    async with serve_app(Starlette(routes=routes)) as url:
        provider.issuer = url.replace("127.0.0.1", "localhost")
        yield provider
