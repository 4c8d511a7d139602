"""A client: PyPI auth0-python's ManagementClient, asking relatch's Auth0 shape as the lines on stdin say."""

import sys
from importlib.metadata import version
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx
from auth0.management import ManagementClient
from auth0.management.core.api_error import ApiError

from peer import serve

# One a login, as a program has it: it keeps its access token.
clients = {}


def answer(ask):
    api = client(ask).clients.with_raw_response
    options = {"additional_query_parameters": ask.get("query") or {}, "additional_headers": ask.get("headers") or {}}
    body = ask.get("body") or {}
    try:
        match ask["action"]:
            case "list":
                page = client(ask).clients.list(per_page=2, request_options=options)
                return {"ok": True, "status": 200, "ids": [found.client_id for found in page]}
            case "show":
                return told(200, api.get(ask["id"], request_options=options))
            case "create":
                extra = {"client_id": body.pop("client_id")} if "client_id" in body else {}
                options["additional_body_parameters"] = extra
                return told(201, api.create(**body, request_options=options))
            case "set":
                return told(200, api.update(ask["id"], **body, request_options=options))
            case "remove":
                api.delete(ask["id"], request_options=options)
                return {"ok": True, "status": 204, "body": None}
            case "rotate":
                return told(200, api.rotate_secret(ask["id"], request_options=options))
            case other:
                raise ValueError(f"what is {other}?")
    except ApiError as error:
        return {"ok": False, "status": error.status_code, "error": type(error).__name__, "body": error.body}
    except httpx.HTTPStatusError as error:
        # Of the login, which is no part of the API.
        return {"ok": False, "status": error.response.status_code, "error": "HTTPStatusError", "body": error.response.json()}
    except httpx.TransportError as error:
        return {"ok": False, "status": None, "error": type(error).__name__, "body": str(error)}


def client(ask):
    key = tuple(ask.get(name) for name in ("domain", "token", "client_id", "client_secret"))
    if key not in clients:
        domain, token, client_id, client_secret = key
        way = {"token": token} if token else {"client_id": client_id, "client_secret": client_secret}
        clients[key] = ManagementClient(domain=domain, **way)
    return clients[key]


def told(status, response):
    return {"ok": True, "status": status, "body": response.data.model_dump(mode="json", exclude_none=True)}


serve({"peer": "auth0-python", "version": version("auth0-python")}, answer)
