"""A client: requests-oauthlib, asking for tokens as the lines on stdin say."""

import os
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

# oauthlib refuses plain HTTP unless told.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests import RequestException
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from peer import failure, serve, tokens

TIMEOUT = 30


@cache
def session(client_id):
    """One session for each client, kept as a long-lived program keeps it, with its open connections."""
    oauth = OAuth2Session(client=BackendApplicationClient(client_id=client_id))
    # Neither a proxy nor a .netrc of the machine may have a say.
    oauth.trust_env = False
    oauth.hooks["response"].append(lambda response, **_: setattr(oauth, "last_status", response.status_code))
    return oauth


def ask_for(oauth, ask):
    client_id, secret, post = ask["client_id"], ask["client_secret"], ask["method"] == "post"
    auth = None if post else HTTPBasicAuth(client_id, secret)
    in_body = {"client_id": client_id, "client_secret": secret} if post else {}
    action = ask.get("action") or "token"
    if action != "token":
        # The library has neither introspection nor revocation; its users post to them with the same session.
        url = ask["introspection_url"] if action == "introspect" else ask["revocation_url"]
        data = {"token": ask["token"], **in_body}
        return inspect(oauth.post(url, data=data, auth=auth, withhold_token=True, timeout=TIMEOUT))
    if ask["grant"] == "refresh_token":
        refresh = oauth.refresh_token(
            ask["token_url"], refresh_token=ask["refresh_token"], auth=auth, timeout=TIMEOUT, **in_body
        )
        return tokens(refresh)
    if post:
        token = oauth.fetch_token(ask["token_url"], client_secret=secret, include_client_id=True, timeout=TIMEOUT)
    else:
        token = oauth.fetch_token(ask["token_url"], auth=auth, timeout=TIMEOUT)
    return tokens(token)


def inspect(response):
    body = response.json() if response.text else {}
    if response.status_code != 200:
        return failure(response.status_code, body.get("error"), body.get("error_description"))
    return {"ok": True, "status": 200, **({"active": body["active"]} if "active" in body else {})}


def answer(ask):
    oauth = session(ask["client_id"])
    oauth.last_status = None
    try:
        return ask_for(oauth, ask)
    except OAuth2Error as error:
        return failure(oauth.last_status, error.error, error.description)
    except (RequestException, ValueError) as error:
        return failure(oauth.last_status, "network" if oauth.last_status is None else None, repr(error))


serve({"peer": "requests-oauthlib", "version": version("requests-oauthlib")}, answer)
