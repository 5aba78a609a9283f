"""Sign-in to the console by an OpenID Connect provider, which speaks the real wire format."""

import asyncio
import base64
import hmac
import json
import time
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from playwright.async_api import async_playwright
from pydantic import SecretStr, ValidationError

from callsheet.access import oidc_login
from callsheet.access.oidc_login import name_of, scopes_of
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.scopes import Scope
from callsheet.settings import Settings
from callsheet.settings.oidc import parse_access_rule
from support.oidc_provider import CLIENT, SECRET, new_key, running_oidc_provider

from .conftest import served
from .test_browser import CHROMIUM

pytest.importorskip("authlib", reason="needs the extra oidc")

KEY = "0123456789abcdef-key"
ADMIN = {"Authorization": f"Bearer {KEY}"}
RULES = "domain:example.com=read;group:editors=submit;email:root@example.com=admin"


@pytest.fixture
async def provider():
    async with running_oidc_provider() as provider:
        yield provider


@pytest.fixture
async def console(settings, catalog, provider):
    changes = {
        "api_key": SecretStr(KEY),
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr(SECRET),
        "oidc_access": [parse_access_rule(rule) for rule in RULES.split(";")],
        "public_url": f"http://127.0.0.1:{settings.port}",
    }
    async with served(settings.model_copy(update=changes), catalog) as api:
        yield api


async def begun(console, target="/executions"):
    """Begin a sign-in; return the address of the provider."""
    answer = await console.client.get("/login/oidc", params={"next": target})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def returned(console, url):
    """Sign in at the provider; return the address of the console to which it sends the browser."""
    answer = await console.client.get(url)
    assert answer.status_code == 302
    return answer.headers["location"]


async def signed_in(console, target="/executions"):
    return await console.client.get(await returned(console, await begun(console, target)))


async def me(console):
    answer = await console.client.get("/api/me")
    return answer.json() if answer.status_code == 200 else None


async def test_a_person_signs_in_and_gets_the_scopes_of_all_rules(console, provider):
    login = (await console.client.get("/login?next=/console/queues")).text
    assert 'href="/login/oidc?next=/console/queues">Log in with single sign-on</a>' in login
    url = await begun(console)
    asked = parse_qs(urlsplit(url).query)
    assert asked["scope"] == ["openid email profile"]
    assert len(asked["state"][0]) > 30 and len(asked["nonce"][0]) > 30 and len(asked["code_challenge"][0]) == 43

    answer = await console.client.get(await returned(console, url))

    assert answer.status_code == 200 and 'content="0; url=/executions"' in answer.text
    cookie = next(each for each in answer.headers.get_list("set-cookie") if "callsheet_session" in each).lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    found = await me(console)
    assert (found["name"], sorted(found["scopes"])) == ("mia@example.com", ["read", "submit"])
    assert (await console.client.get("/api/keys")).status_code == 403
    users = (await console.client.get("/api/users", headers=ADMIN)).json()["users"]
    assert [user["name"] for user in users] == ["mia@example.com"]


async def test_the_scopes_follow_the_groups_of_the_next_sign_in_and_the_name_stays(console, provider):
    await signed_in(console)
    provider.person |= {"groups": ["others"], "email": "mia.new@example.com"}
    await signed_in(console)

    found = await me(console)
    assert (found["name"], found["scopes"]) == ("mia@example.com", ["read"])
    users = (await console.client.get("/api/users", headers=ADMIN)).json()["users"]
    assert len(users) == 1


@pytest.mark.parametrize(
    "person",
    [
        {"email": "eve@evil.example", "groups": []},
        {"email_verified": False, "groups": []},
        {"email_verified": "true", "groups": []},
        {"email": None, "groups": "other"},
        {"email": "mia@example.com.evil.example", "groups": [["editors"]]},
        {"email": "root@example.com@evil.example", "groups": None},
    ],
)
async def test_a_person_whom_no_rule_matches_is_refused(console, provider, person):
    provider.person |= person
    answer = await signed_in(console)
    assert answer.status_code == 401 and "no access here" in answer.text
    assert await me(console) is None
    assert (await console.client.get("/api/users", headers=ADMIN)).json()["users"] == []


def _unsigned(claims, _provider):
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts) + "."


def _signed_by_public_key(claims, provider):
    head, body = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in ({"alg": "HS256", "kid": provider.kid}, claims)
    )
    digest = hmac.digest(provider.public_pem(), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


BAD_TOKENS = {
    "of another issuer": {"claims": {"iss": "https://evil.example"}},
    "for another client": {"claims": {"aud": "another-client"}},
    "for several clients without an authorized one": {"claims": {"aud": [CLIENT, "another-client"]}},
    "of which another client is the authorized one": {"claims": {"aud": [CLIENT, "x"], "azp": "x"}},
    "expired": {"claims": {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200}},
    "without an expiry": {"claims": {"exp": None}},
    "of the future": {"claims": {"iat": int(time.time()) + 7200, "nbf": int(time.time()) + 7200}},
    "with another nonce": {"claims": {"nonce": "another"}},
    "without a nonce": {"claims": {"nonce": None}},
    "without a subject": {"claims": {"sub": None}},
    "for another access token": {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
    "without a signature": {"sign": _unsigned},
    "signed with the public key as a secret": {"sign": _signed_by_public_key},
    "signed with an unknown key": {"sign": lambda c, p: jwt.encode(c, new_key(), "RS256", headers={"kid": "other"})},
    "signed with another key of that name": {
        "sign": lambda c, p: jwt.encode(c, new_key(), "RS256", headers={"kid": p.kid})
    },
    "that is no token": {"sign": lambda c, p: "no.token"},
    "that is missing": {"answer": {"id_token": None}},
}


@pytest.mark.parametrize("fault", BAD_TOKENS.values(), ids=BAD_TOKENS)
async def test_no_session_begins_with_a_token(console, provider, fault):
    for name, value in fault.items():
        setattr(provider, name, value)

    answer = await signed_in(console)

    assert answer.status_code == 401
    assert "ID token" in answer.text
    assert "callsheet_session" not in answer.headers.get("set-cookie", "")
    assert await me(console) is None


async def test_a_changed_key_of_the_provider_is_read_again(console, provider, monkeypatch):
    await signed_in(console)
    monkeypatch.setattr("callsheet.access.oidc_provider._KEYS_PAUSE", 0.0)
    provider.key, provider.kid = new_key(), "key-2"
    assert (await signed_in(console)).status_code == 200
    assert provider.requests.count("discovery") == 1 and provider.requests.count("keys") == 2


async def test_a_return_works_once_and_only_in_the_browser_that_left(console, provider):
    back = await returned(console, await begun(console))
    cookies = dict(console.client.cookies)
    assert (await console.client.get(back)).status_code == 200
    console.client.cookies.clear()

    replayed = await console.client.get(back, headers={"Cookie": f"callsheet_oidc={cookies['callsheet_oidc']}"})
    assert replayed.status_code == 401 and "refused" in replayed.text, "the provider takes a code once"
    fresh = await returned(console, await begun(console))
    console.client.cookies.clear()
    elsewhere = await console.client.get(fresh)
    await begun(console)
    mixed = await console.client.get(fresh)
    for answer in (elsewhere, mixed):
        assert answer.status_code == 401 and "another browser" in answer.text
    assert await me(console) is None


@pytest.mark.parametrize("change", ["forged", "expired", "cut"])
async def test_a_cookie_of_the_way_that_is_not_valid_is_refused(console, monkeypatch, change):
    back = await returned(console, await begun(console))
    cookie = console.client.cookies["callsheet_oidc"]
    console.client.cookies.clear()
    text, _, signature = cookie.partition(".")
    if change == "forged":
        fields = json.loads(base64.urlsafe_b64decode(text)) | {"next": "/x"}
        text = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    if change == "expired":
        monkeypatch.setattr(oidc_login, "LIFETIME", -1)
    cookie = text if change == "cut" else f"{text}.{signature}"
    answer = await console.client.get(back, headers={"Cookie": f"callsheet_oidc={cookie}"})
    assert answer.status_code == 401 and "expired" in answer.text


async def test_answers_of_the_provider_that_are_no_sign_in_are_refused(console, provider):
    state = parse_qs(urlsplit(await begun(console)).query)["state"][0]
    callback = "/login/oidc/callback"
    for query in (
        {"state": state, "error": "access_denied", "error_description": "<img src=x>"},
        {"state": state},
        {"state": state, "code": "x", "iss": "https://evil.example"},
        {"state": "", "code": "x"},
        {"code": "x"},
        {"state": "é" * 300, "code": "\x00"},
    ):
        await begun(console) if "state" not in query else None
        answer = await console.client.get(callback, params=query)
        assert answer.status_code == 401, query
        assert "<img src=x" not in answer.text
    assert "token" not in provider.requests


async def test_the_way_back_leads_to_this_site_only(console):
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", '/"><script>'):
        text = (await signed_in(console, target)).text
        assert "evil.example" not in text and "<script>" not in text
        console.client.cookies.clear()


async def test_a_name_of_another_user_is_not_taken_over(console, provider):
    body = {"name": "mia@example.com", "password": "correct horse battery", "scopes": ["admin"]}
    await console.client.post("/api/users", json=body, headers=ADMIN)

    answer = await signed_in(console)

    assert answer.status_code == 401 and "belongs to another user" in answer.text
    assert await me(console) is None


async def test_a_disabled_user_is_refused_and_has_no_password(console):
    await signed_in(console)
    console.client.cookies.clear()
    for password in ("none", "", "correct horse battery"):
        answer = await console.client.post("/login", data={"user": "mia@example.com", "password": password})
        assert answer.status_code == 401
    await console.client.patch("/api/users/mia@example.com", json={"disabled": True}, headers=ADMIN)

    answer = await signed_in(console)

    assert answer.status_code == 401 and "disabled" in answer.text


async def test_sign_ins_are_in_the_audit_log_also_those_that_failed(console, provider):
    await signed_in(console)
    console.client.cookies.clear()
    provider.claims = {"nonce": "another"}
    await signed_in(console)

    async with asyncio.timeout(20):
        found = []
        while len(found) < 2:
            entries = (await console.client.get("/api/audit", headers=ADMIN)).json()["entries"]
            found = [(each["callerName"], each["status"]) for each in entries if each["action"] == "finish_oidc"]
            await asyncio.sleep(0.05)  # sleep: until the entries are written
    assert found[1] == ("mia@example.com", 200) and found[0][1] == 401


async def test_an_admin_ends_the_session_of_a_person(console):
    await signed_in(console)
    sessions = (await console.client.get("/api/sessions", headers=ADMIN)).json()["sessions"]
    mine = next(each for each in sessions if each["name"] == "mia@example.com")
    await console.client.delete(f"/api/sessions/{mine['id']}", headers=ADMIN)
    assert await me(console) is None


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": None},
    ],
)
async def test_a_provider_whose_document_is_not_safe_is_refused(console, provider, document):
    provider.document = document
    answer = await console.client.get("/login/oidc")
    assert answer.status_code == 401 and "not set up correctly" in answer.text
    assert "token" not in provider.requests


async def test_a_provider_that_cannot_be_reached_is_no_error_of_the_server(settings, catalog):
    changes = {
        "oidc_issuer": "http://127.0.0.1:9",
        "oidc_client_id": CLIENT,
        "oidc_access": [parse_access_rule("domain:a.b=read")],
    }
    async with served(settings.model_copy(update=changes), catalog) as api:
        answer = await api.client.get("/login/oidc")
        assert answer.status_code == 401 and "cannot be reached" in answer.text
        assert (await api.client.get("/api/executions")).status_code == 401, "not open, though no key exists"


async def test_without_a_provider_there_is_no_such_sign_in(api):
    assert (await api.client.get("/login/oidc")).status_code == 404
    assert "single sign-on" not in (await api.client.get("/login")).text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"oidc_issuer": "http://id.example.com"}, "https://"),
        ({"oidc_issuer": "https://id.example.com"}, "OIDC_CLIENT_ID"),
        ({"oidc_access": "example.com=read"}, "is no rule"),
        ({"oidc_access": "domain:example.com=write"}, "'write' is no scope"),
        ({"oidc_access": "domain:=read"}, "is no rule"),
        ({"oidc_scopes": "email"}, "openid"),
    ],
)
def test_settings_that_cannot_work_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        Settings(_env_file=None, **fields)


def test_rules_are_read_and_matched():
    rules = [
        parse_access_rule(rule) for rule in ("group:A=B,C=read", "email:X@Y.z = admin", "domain:y.Z=submit,operate")
    ]
    assert scopes_of({"groups": "A=B,C"}, rules, "groups") == {Scope.READ}
    person = {"email": "x@y.z", "email_verified": True, "roles": ["a=b,c"]}
    assert scopes_of(person, rules, "roles") == {Scope.ADMIN, Scope.SUBMIT, Scope.OPERATE}
    assert name_of({"sub": "Auth0|5f", "preferred_username": "--"}) == "auth0-5f"
    assert name_of({"sub": "|"}) == "user"


async def test_the_missing_extra_is_named_at_the_start(settings, catalog, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "authlib", None)
    changes = {
        "oidc_issuer": "https://id.example.com",
        "oidc_client_id": "x",
        "oidc_access": [parse_access_rule("domain:a.b=read")],
    }
    with pytest.raises(ConfigurationError, match=r"callsheet\[oidc\]"):
        async with served(settings.model_copy(update=changes), catalog):
            pass


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
async def test_a_browser_comes_back_from_another_site_and_is_logged_in(console):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(base_url=str(console.client.base_url))
        await page.goto("/executions?status=failed")
        await page.get_by_role("link", name="Log in with single sign-on").click()
        await page.wait_for_url("**/executions?status=failed")
        assert await page.get_by_role("button", name="Log out").is_visible()
        await browser.close()
