"""A client: Authlib's OAuth2Session over requests, asking for tokens as the lines on stdin say."""

import os
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

# Authlib refuses plain HTTP unless told.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from requests import RequestException

from peer import failure, serve, tokens


@cache
def session(client_id, client_secret, method):
    """One session for each set of credentials, kept as a long-lived program keeps it, with its open connections."""
    oauth = OAuth2Session(
        client_id,
        client_secret,
        token_endpoint_auth_method=f"client_secret_{method}",
        revocation_endpoint_auth_method=f"client_secret_{method}",
        default_timeout=30,
    )
    # Neither a proxy nor a .netrc of the machine may have a say.
    oauth.trust_env = False
    oauth.hooks["response"].append(lambda response, **_: setattr(oauth, "last_status", response.status_code))
    return oauth


def ask_for(oauth, ask):
    action = ask.get("action") or "token"
    if action == "introspect":
        return inspect(oauth.introspect_token(ask["introspection_url"], token=ask["token"]))
    if action == "revoke":
        return inspect(oauth.revoke_token(ask["revocation_url"], token=ask["token"]))
    if ask["grant"] == "refresh_token":
        return tokens(oauth.refresh_token(ask["token_url"], refresh_token=ask["refresh_token"]))
    return tokens(oauth.fetch_token(ask["token_url"], grant_type="client_credentials"))


def inspect(response):
    """Introspection and revocation hand back the plain response."""
    body = response.json() if response.text else {}
    if response.status_code != 200:
        return failure(response.status_code, body.get("error"), body.get("error_description"))
    return {"ok": True, "status": 200, **({"active": body["active"]} if "active" in body else {})}


def answer(ask):
    oauth = session(ask["client_id"], ask["client_secret"], ask["method"])
    oauth.last_status = None
    try:
        return ask_for(oauth, ask)
    except OAuthError as error:
        return failure(oauth.last_status, error.error, error.description)
    except (RequestException, ValueError) as error:
        return failure(oauth.last_status, "network" if oauth.last_status is None else None, repr(error))


serve({"peer": "authlib", "version": version("authlib")}, answer)
