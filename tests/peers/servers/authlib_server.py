"""A token server: Authlib's AuthorizationServer on Flask, plain HTTP, at a free port of 127.0.0.1.

It knows one secret per client, as most servers do. Clients, secrets and seeded refresh tokens come over stdin:
  {"cmd":"client","client_id":"a","client_secret":"s","token_endpoint_auth_method":?,"ttl":?}   add it, or replace its secret at once
  {"cmd":"remove","client_id":"a"}
  {"cmd":"refresh_token","client_id":"a"}    what a browser login would have ended in
  {"cmd":"stats"}                            answers so far, by path and status
"""

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from hmac import compare_digest
from importlib.metadata import version
from pathlib import Path

# Authlib refuses plain HTTP unless told.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from authlib.common.security import generate_token
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, request
from werkzeug.serving import make_server

from peer import failure, serve

AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

clients = {}
issued = []
stats = {}


@dataclass
class Client(ClientMixin):
    client_id: str
    client_secret: str
    methods: list
    ttl: int

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_client_secret(self, client_secret):
        return compare_digest(self.client_secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        return method in self.methods

    def check_grant_type(self, grant_type):
        return grant_type in ("client_credentials", "refresh_token")


@dataclass
class Token(TokenMixin):
    client_id: str
    ttl: int
    access_token: str | None = None
    refresh_token: str | None = None
    revoked: bool = False
    born: float = field(default_factory=time.time)

    def check_client(self, client):
        return self.client_id == client.client_id

    def get_scope(self):
        return ""

    def get_expires_in(self):
        return self.ttl

    def is_expired(self):
        return time.time() >= self.born + self.ttl

    def is_revoked(self):
        return self.revoked


def find_token(value):
    return next((token for token in issued if value in (token.access_token, token.refresh_token)), None)


def save_token(token, oauth_request):
    client = oauth_request.client
    issued.append(Token(client.client_id, client.ttl, token["access_token"], token.get("refresh_token")))


class ClientCredentials(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS


class Refresh(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        token = find_token(refresh_token)
        return token if token and token.refresh_token == refresh_token and not token.revoked else None

    def authenticate_user(self, refresh_token):
        return "someone"

    def revoke_old_credential(self, refresh_token):
        refresh_token.revoked = True


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string, token_type_hint):
        return find_token(token_string)

    def revoke_token(self, token, oauth_request):
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = AUTH_METHODS

    def query_token(self, token_string, token_type_hint):
        return find_token(token_string)

    def check_permission(self, token, client, oauth_request):
        return True

    def introspect_token(self, token):
        return {"active": True, "client_id": token.client_id, "exp": int(token.born + token.ttl)}


def make_app():
    app = Flask("authlib_server")
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)
    server.register_grant(ClientCredentials)
    server.register_grant(Refresh)
    server.register_endpoint(Revocation)
    server.register_endpoint(Introspection)
    generator = server.create_bearer_token_generator(app.config)
    generator.expires_generator = lambda client, grant_type: client.ttl
    server.register_token_generator("default", generator)

    app.post("/token", endpoint="token")(server.create_token_response)
    app.post("/introspect", endpoint="introspect")(lambda: server.create_endpoint_response("introspection"))
    app.post("/revoke", endpoint="revoke")(lambda: server.create_endpoint_response("revocation"))

    @app.after_request
    def count(response):
        by_status = stats.setdefault(request.path, {})
        by_status[response.status_code] = by_status.get(response.status_code, 0) + 1
        return response

    return app


def answer(line):
    cmd, client_id = line.get("cmd"), line.get("client_id")
    if cmd == "client":
        method = line.get("token_endpoint_auth_method")
        methods = [method] if method else AUTH_METHODS
        before = clients.get(client_id)
        ttl = line.get("ttl", before.ttl if before else 3600)
        clients[client_id] = Client(client_id, line["client_secret"], methods, ttl)
        return {"ok": True}
    if cmd == "remove":
        return {"ok": clients.pop(client_id, None) is not None}
    if cmd == "refresh_token":
        seeded = Token(client_id, 86400, refresh_token=generate_token(48))
        issued.append(seeded)
        return {"ok": True, "refresh_token": seeded.refresh_token}
    if cmd == "stats":
        return {"ok": True, "stats": stats}
    return failure(None, "unknown_command", cmd)


logging.getLogger("werkzeug").setLevel(logging.ERROR)
http = make_server("127.0.0.1", 0, make_app(), threaded=True)
threading.Thread(target=http.serve_forever, daemon=True).start()
serve(
    {
        "peer": "authlib",
        "version": version("authlib"),
        "url": f"http://127.0.0.1:{http.server_port}",
        "token": "/token",
        "introspection": "/introspect",
        "revocation": "/revoke",
    },
    answer,
)
