"""A client: PyPI okta's Client, asking relatch's Okta shape as the lines on stdin say."""

import asyncio
import os
import sys
from importlib.metadata import version

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from okta.client import Client  # noqa: E402
from okta.models.o_auth2_client_secret_request_body import OAuth2ClientSecretRequestBody  # noqa: E402

import peer  # noqa: E402


async def asked(ask):
    client = Client({"orgUrl": ask["url"], "token": ask["token"], "authorizationMode": ask.get("scheme", "SSWS")})
    app, secret = ask["id"], ask.get("secret")
    match ask["action"]:
        case "list":
            return await client.list_o_auth2_client_secrets(app)
        case "show":
            return await client.get_o_auth2_client_secret(app, secret)
        case "create":
            body = ask.get("body")
            given = OAuth2ClientSecretRequestBody(**body) if body else None
            return await client.create_o_auth2_client_secret(app, given)
        case "activate":
            return await client.activate_o_auth2_client_secret(app, secret)
        case "deactivate":
            return await client.deactivate_o_auth2_client_secret(app, secret)
        case "remove":
            return await client.delete_o_auth2_client_secret(app, secret)
        case other:
            raise ValueError(f"what is {other}?")


def answer(ask):
    data, response, error = asyncio.run(asked(ask))
    if error is not None:
        fields = {"code": getattr(error, "error_code", None), "causes": getattr(error, "error_causes", None)}
        status = getattr(error, "status", None)
        return {"ok": False, "status": status, "error": type(error).__name__, "body": str(error), **fields}
    whole = [plain(item) for item in data] if isinstance(data, list) else plain(data)
    return {"ok": True, "status": response.status_code, "body": whole}


def plain(secret):
    return secret and secret.model_dump(mode="json", by_alias=True, exclude_none=True)


peer.serve({"peer": "okta", "version": version("okta")}, answer)
