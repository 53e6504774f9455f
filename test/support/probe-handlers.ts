// Handlers written from the handler contract (surface spec 8, 9) that show a client what they were given, or do what it says.

/**
 * Answers with JSON: what it was given, by name and Python type, and what the context says about the request. The header
 * `X-Sleep` (seconds) keeps it busy first, so that what comes meanwhile is batched.
 */
export const PROBE = `
import json
import time

def show(value):
    if isinstance(value, (bytes, bytearray)):
        return {"type": type(value).__name__, "hex": bytes(value).hex()}
    return {"type": type(value).__name__, "value": value}

def handle(data, context):
    if data is None:
        return None
    time.sleep(float(context.get_request_header(0, "X-Sleep") or 0))
    return [
        json.dumps({
            "data": {name: show(value) for name, value in row.items()},
            "headers": context.get_all_request_header(index),
            "requestId": context.get_request_id(index),
            "contentType": context.get_request_header(index, "Content-Type"),
            "lowerContentType": context.get_request_header(index, "content-type"),
            "batch": len(data),
        })
        for index, row in enumerate(data)
    ]
`;

/** What PROBE answers. */
export interface Probed {
  readonly data: Readonly<Record<string, { readonly type: string; readonly value?: unknown; readonly hex?: string }>>;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly requestId: string;
  readonly contentType: string | null;
  readonly lowerContentType: string | null;
  readonly batch: number;
}

/** Runs the request's text as the body of a function of (data, context): the shortest way to any behaviour of a handler. */
export const OBEY = `
def handle(data, context):
    if data is None:
        return None
    text = data[0].get("body") or data[0].get("code")
    text = text if isinstance(text, str) else bytes(text).decode()
    scope = {}
    body = "".join("    " + line + "\\n" for line in text.split("\\n"))
    exec("def run(data, context):\\n" + body, scope)
    return scope["run"](data, context)
`;

/** Gives back the bytes of the field \`data\`. */
export const ECHO = `
def handle(data, context):
    return None if data is None else [row["data"] for row in data]
`;
