"""What Prometheus scrapes with a token: serves metrics when there is a bearer token, and tells each visit on stdout.

{"hit":true,"path":"/metrics","authorized":true,"token":"..."} a visit; 401 without a token. Ends when stdin closes.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METRICS = b"# HELP protected_up Whether this was served.\n# TYPE protected_up gauge\nprotected_up 1\n"


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Protected(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        authorized = scheme.lower() == "bearer" and token != ""
        body = METRICS if authorized else b""
        self.send_response(200 if authorized else 401)
        if not authorized:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        say({"hit": True, "path": self.path, "authorized": authorized, "token": token})

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Protected)
threading.Thread(target=server.serve_forever, daemon=True).start()
say({"ready": True, "peer": "target", "url": f"http://127.0.0.1:{server.server_port}"})
sys.stdin.read()
