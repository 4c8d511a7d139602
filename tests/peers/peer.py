"""What every Python peer has in common: JSON lines in, JSON lines out, gone when stdin closes.

The first line on stdout says that the peer is ready; after it, each line on stdin gets exactly one line in answer, in order.
"""

import json
import os
import sys
import traceback

# Libraries may print; stdout belongs to the protocol.
_out, sys.stdout = sys.stdout, sys.stderr


def say(value):
    _out.write(json.dumps(value) + "\n")
    _out.flush()


def serve(ready, answer):
    say({"ready": True, **ready})
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            say(answer(json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            say(failure(None, "peer_bug", repr(error)))
    # Not sys.exit: server threads must not keep the process.
    os._exit(0)


def failure(status, error, detail=None):
    """A failure as the protocol tells it. `status` is None when no HTTP answer came at all."""
    return {"ok": False, "status": status, "error": error, "detail": detail}


def tokens(token):
    """A token answer: the fields that tests look at."""
    fields = {name: token.get(name) for name in ("access_token", "refresh_token", "expires_in")}
    return {"ok": True, "status": 200, **{name: value for name, value in fields.items() if value is not None}}
