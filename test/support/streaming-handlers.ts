// Handlers that answer in pieces (surface spec 9.6).

/** Answers `one `, `two `, `three`, each a piece of its own, to one request at a time. */
export const PIECES = `
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    for word in ("one ", "two "):
        send_intermediate_predict_response([word], context.request_ids, "Intermediate Prediction success", 200, context)
    return ["three"]
`;
