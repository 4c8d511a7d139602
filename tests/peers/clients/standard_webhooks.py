"""Verifies web hooks with the published library of the Standard Webhooks specification.

One JSON object a line on stdin, `{"secret", "headers", "body"}`; for each one line on stdout: `{"ok": true, "event": ...}`,
or `{"ok": false, "error": ...}`.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    delivery = json.loads(line)
    try:
        event = Webhook(delivery["secret"]).verify(delivery["body"], delivery["headers"])
        answer = {"ok": True, "event": event}
    except WebhookVerificationError as error:
        answer = {"ok": False, "error": str(error)}
    print(json.dumps(answer), flush=True)
