"""A client: PyPI okta's Client, asking relatch's Okta shape as the lines on stdin say."""

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from okta.client import Client
from okta.models.o_auth2_client_secret_request_body import OAuth2ClientSecretRequestBody

from peer import serve


async def asked(ask):
    client = Client({"orgUrl": ask["url"], "token": ask["token"]})
    app, secret, headers = ask["id"], ask.get("secret"), ask.get("headers")
    match ask["action"]:
        case "list":
            return await client.list_o_auth2_client_secrets(app)
        case "show":
            return await client.get_o_auth2_client_secret(app, secret)
        case "create":
            body = ask.get("body")
            given = OAuth2ClientSecretRequestBody(**body) if body else None
            return await client.create_o_auth2_client_secret(app, given, _headers=headers)
        case "activate":
            return await client.activate_o_auth2_client_secret(app, secret, _headers=headers)
        case "deactivate":
            return await client.deactivate_o_auth2_client_secret(app, secret, _headers=headers)
        case "remove":
            return await client.delete_o_auth2_client_secret(app, secret, _headers=headers)
        case other:
            raise ValueError(f"what is {other}?")


def answer(ask):
    # Of what answers nothing a failure is told by two values, else by three; a connection that broke (in 3.4.6) by
    # stumbling over the answer that is not there.
    try:
        *whole, error = asyncio.run(asked(ask))
    except AttributeError as stumbled:
        if "'NoneType' object has no attribute 'status'" not in str(stumbled):
            raise
        return {"ok": False, "status": None, "error": "AttributeError", "body": str(stumbled)}
    if error is not None:
        fields = {"code": getattr(error, "error_code", None), "causes": getattr(error, "error_causes", None)}
        status = getattr(error, "status", None)
        return {"ok": False, "status": status, "error": type(error).__name__, "body": str(error), **fields}
    data, response = whole
    body = [plain(secret) for secret in data] if isinstance(data, list) else plain(data)
    return {"ok": True, "status": response.status_code, "body": body}


def plain(secret):
    return secret and secret.model_dump(mode="json", by_alias=True, exclude_none=True)


serve({"peer": "okta", "version": version("okta")}, answer)
