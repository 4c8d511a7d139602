"""Five Python servers as token servers: `python_servers.py gunicorn|uvicorn|hypercorn|aiohttp|tornado`.

What each read of a request is a line of the journal; then comes a token. The form is read by what runs on such a server: Werkzeug
(Flask) on gunicorn, Starlette (FastAPI) on uvicorn, urllib on hypercorn; aiohttp and tornado have parsers of their own.
"""

import asyncio
import json
import os
import sys
from urllib.parse import parse_qsl

PORT, JOURNAL = int(os.environ["PORT"]), os.environ["JOURNAL"]
LARGE = 1 << 20
ANSWER = b'{"access_token":"at-1","token_type":"Bearer"}'


def tell(method, target, headers, body, form):
    """Writes the line; names and values as bytes, or as the text that they were decoded to."""
    line = {
        "method": coded(method),
        "target": coded(target),
        "headers": [[coded(name), coded(value)] for name, value in headers],
        "body": body.hex(),
        "form": [[coded(name), coded(value)] for name, value in form],
    }
    with open(JOURNAL, "a") as journal:
        journal.write(json.dumps(line) + "\n")


def coded(text):
    return (text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")).hex()


def latin1(text):
    return text.encode("latin-1")


def gunicorn():
    from gunicorn.app.base import BaseApplication
    from werkzeug.wrappers import Request

    Request.max_form_memory_size = None

    def answer(environ, start_response):
        request = Request(environ)
        body = request.get_data(parse_form_data=False)
        headers = [(key[5:], value) for key, value in environ.items() if key.startswith("HTTP_")]
        headers += [(key, environ[key]) for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(key)]
        headers = [(name.replace("_", "-"), latin1(value)) for name, value in headers]
        tell(request.method, latin1(environ["RAW_URI"]), headers, body, request.form.items(multi=True))
        asked = environ.get("HTTP_X_REQUEST_ID", "-")
        length = ("Content-Length", str(len(ANSWER)))
        start_response("200 OK", [("Content-Type", "application/json"), length, ("X-Answer-To", asked)])
        return [ANSWER]

    class Server(BaseApplication):
        def load_config(self):
            settings = {
                "bind": f"127.0.0.1:{PORT}", "worker_class": "gthread", "threads": 8, "keepalive": 60,
                "graceful_timeout": 1, "control_socket_disable": True,
                "limit_request_line": 0, "limit_request_fields": 1000, "limit_request_field_size": 0,
            }
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self):
            return answer

    Server().run()


def asgi(read_form):
    from starlette.requests import Request
    from starlette.responses import Response

    async def answer(scope, receive, send):
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        tell(request.method, target, scope["headers"], body, await read_form(request))
        asked = request.headers.get("x-request-id", "-")
        response = Response(ANSWER, headers={"X-Answer-To": asked}, media_type="application/json")
        await response(scope, receive, send)

    return answer


def uvicorn():
    import uvicorn

    async def read_form(request):
        return (await request.form()).multi_items()

    uvicorn.run(asgi(read_form), host="127.0.0.1", port=PORT, http="httptools", lifespan="off", timeout_keep_alive=60)


def hypercorn():
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    async def read_form(request):
        return parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True)

    config = Config()
    config.bind = [f"127.0.0.1:{PORT}"]
    config.h11_max_incomplete_size = LARGE
    config.keep_alive_timeout = 60
    asyncio.run(serve(asgi(read_form), config))


def aiohttp():
    from aiohttp import web

    async def answer(request):
        body = await request.read()
        form = await request.post()
        tell(request.method, latin1(request.raw_path), request.raw_headers, body, form.items())
        headers = {"X-Answer-To": request.headers.get("X-Request-Id", "-")}
        return web.Response(body=ANSWER, headers=headers, content_type="application/json")

    async def run():
        limits = {"max_line_size": LARGE, "max_field_size": LARGE, "keepalive_timeout": 60}
        app = web.Application(client_max_size=16 * LARGE)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, **limits)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", PORT).start()
        await asyncio.Event().wait()

    asyncio.run(run())


def tornado():
    from tornado.httpserver import HTTPServer
    from tornado.httputil import HTTPHeaders, ResponseStartLine

    def answer(request):
        headers = [(name, latin1(value)) for name, value in request.headers.get_all()]
        form = [(latin1(name), value) for name, values in request.body_arguments.items() for value in values]
        tell(request.method, latin1(request.uri), headers, request.body, form)
        asked = request.headers.get("X-Request-Id", "-")
        length = str(len(ANSWER))
        headers = HTTPHeaders({"Content-Type": "application/json", "Content-Length": length, "X-Answer-To": asked})
        request.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, ANSWER)
        request.connection.finish()

    async def run():
        HTTPServer(answer, max_header_size=LARGE, idle_connection_timeout=60).listen(PORT, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    servers = {server.__name__: server for server in (gunicorn, uvicorn, hypercorn, aiohttp, tornado)}
    servers[sys.argv[1]]()
