"""Sign-in to the console by an OpenID Connect provider."""

from typing import Annotated, Any, Literal, NamedTuple, Self, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from callsheet.domain.scopes import Scope

RuleKind = Literal["domain", "email", "group"]


class AccessRule(NamedTuple):
    """Whom a provider knows → what they may do."""

    kind: RuleKind
    value: str
    """In lower case, but for groups, whose upper and lower case differ."""
    scopes: frozenset[Scope]


def parse_access_rule(text: str) -> AccessRule:
    """Read a rule such as `group:editors=read,submit`. Raises ValueError."""
    who, equals, names = text.rpartition("=")
    kind, colon, value = who.strip().partition(":")
    scopes = [name.strip() for name in names.split(",") if name.strip()]
    if kind not in get_args(RuleKind) or not colon or not equals or not value.strip() or not scopes:
        raise ValueError(
            f"'{text.strip()[:100]}' is no rule; write `domain:example.com=read`, `email:mia@example.com=admin` or "
            "`group:editors=read,submit`"
        )
    if unknown := [name for name in scopes if name not in list(Scope)]:
        raise ValueError(f"'{unknown[0][:40]}' is no scope; scopes are {', '.join(Scope)}")
    value = value.strip() if kind == "group" else value.strip().lower()
    return AccessRule(kind, value, frozenset(map(Scope, scopes)))  # type: ignore[arg-type]


class OidcSettings(BaseModel):
    """Sign-in to the console by an OpenID Connect provider."""

    oidc_issuer: str | None = Field(
        None,
        description="Issuer URL of an OpenID Connect provider, by which people sign in to the console; needs the extra "
        "`oidc`",
    )
    oidc_client_id: str | None = Field(None, min_length=1, description="Client id of Callsheet at the provider")
    oidc_client_secret: SecretStr | None = Field(
        None, min_length=1, description="Client secret; unset for a public client, which is protected by PKCE alone"
    )
    oidc_access: Annotated[list[AccessRule], NoDecode] = Field(
        default_factory=list,
        description="Who may sign in, and with which scopes: rules `domain:`, `email:` and `group:`, separated by "
        "semicolons, such as `domain:example.com=read;group:editors=read,submit`. A person gets the scopes of all "
        "rules that match; without a match, the sign-in is refused",
    )
    oidc_scopes: str = Field("openid email profile", description="Scopes that are requested, separated by spaces")
    oidc_groups_claim: str = Field("groups", min_length=1, description="Claim of the ID token with the groups")
    oidc_label: str = Field(
        "single sign-on", min_length=1, max_length=60, description="Name of the provider for people"
    )

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str | None) -> str | None:
        if value is not None and not is_provider_url(value):
            raise ValueError("must be an https:// URL; http:// only on this machine")
        return value

    @field_validator("oidc_access", mode="before")
    @classmethod
    def _parse_access(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return [parse_access_rule(part) for part in value.split(";") if part.strip()]

    @field_validator("oidc_scopes")
    @classmethod
    def _check_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must have the scope openid")
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.oidc_issuer is not None and not (self.oidc_client_id and self.oidc_access):
            raise ValueError("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_ACCESS")
        return self


def is_provider_url(url: str) -> bool:
    """Return whether a URL may be one of a provider: HTTPS, or HTTP on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme == "http":
        return parts.hostname in ("127.0.0.1", "localhost", "::1")
    return parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment
