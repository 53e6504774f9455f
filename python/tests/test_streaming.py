"""Streamed answers, continuous batching and side-by-side batches (surface spec 9.6, 10.6, 10.7)."""

import unittest

from harness import Worker

STREAM = """
from ts.protocol.otf_message_handler import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    for step in range(3):
        send_intermediate_predict_response([f"{step}-{i}" for i in range(len(data))], context.request_ids, "ok", 200, context)
    return ["end"] * len(data)
"""
CONTINUOUS = """
def handle(data, context):
    if data is None:
        context.cache = {}
        return None
    for index, row in enumerate(data):
        request = context.get_request_id(index)
        if request not in context.cache:
            context.cache[request] = int(row["body"])
        else:
            assert row == {}, row
            assert context.get_request_header(index, "Keep") == "me"
        context.cache[request] -= 1
    left = [context.cache[context.get_request_id(index)] for index in range(len(data))]
    context.stopping_criteria = [(lambda _, n=n: n <= 0) for n in left]
    return [str(n) for n in left]
"""
ASYNC = """
import asyncio
from ts.handler_utils.utils import send_intermediate_predict_response
from ts.utils.util import PredictionException

class H:
    def initialize(self, context):
        self.gate = None
    async def handle(self, data, context):
        self.gate = self.gate or asyncio.Event()
        text = data[0]["body"].decode()
        if text == "open":
            self.gate.set()
        elif text == "fail":
            raise PredictionException("no", 418)
        elif text == "stream":
            send_intermediate_predict_response(["piece"], context.request_ids, "", 200, context)
            await asyncio.sleep(0)
        elif text == "wait":
            await self.gate.wait()
        context.metrics.add_counter("Seen", 1)
        return [text + context.get_request_id(0)]
"""


class Streams(unittest.TestCase):
    def test_pieces_come_before_the_last_one_and_carry_the_stream_header(self):
        with Worker({"h.py": STREAM}) as worker:
            worker.load("h.py")
            for _ in range(2):
                outcome = worker.run(b"", b"")
                self.assertEqual(
                    [(header["i"], body) for header, body in outcome.pieces],
                    [(i, f"{step}-{i}".encode()) for step in range(3) for i in range(2)],
                )
                for header, _body in outcome.pieces:
                    self.assertEqual((header["more"], header["h"]), (True, [["ts_stream_next", "true"]]))
                self.assertEqual(outcome.bodies, [b"end", b"end"])
                for result in outcome.results:
                    self.assertEqual(result, {"n": 3, "h": [["ts_stream_next", "false"]]})

    def test_a_piece_after_the_answer_is_refused_to_the_handler(self):
        code = """
        from ts.handler_utils.utils import send_intermediate_predict_response
        late = None
        def handle(data, context):
            global late
            if data is None: return
            if late is None:
                late = context._reply
                return ["first"]
            try:
                late.send_pieces(["x"], [0], context)
            except RuntimeError:
                return ["refused"]
        """
        with Worker({"h.py": code}) as worker:
            worker.load("h.py")
            self.assertEqual([worker.run(b"").bodies, worker.run(b"").bodies], [[b"first"], [b"refused"]])

    def test_only_rank_zero_sends_pieces(self):
        with Worker({"h.py": STREAM}, {"LOCAL_RANK": "1"}) as worker:
            worker.load("h.py")
            self.assertEqual(worker.run(b"").pieces, [])

    def test_a_job_stays_until_its_criterion_says_stop(self):
        with Worker({"h.py": CONTINUOUS}) as worker:
            worker.load("h.py", continuousBatching=True)
            job = {"h": [["Keep", "me"]]}
            first = worker.run({**job, "p": [("body", None, b"2")]}, {**job, "p": [("body", None, b"1")]})
            self.assertEqual(first.bodies, [b"1", b"0"])
            self.assertEqual([result.get("more") for result in first.results], [True, None])
            self.assertEqual(first.results[0]["h"], [["ts_stream_next", "true"]])
            self.assertEqual(first.results[1]["h"], [["ts_stream_next", "false"]])
            second = worker.run({**job, "k": True})
            self.assertEqual((second.bodies, second.results[0].get("more")), ([b"0"], None))


class SideBySide(unittest.TestCase):
    def setUp(self):
        self.worker = Worker({"h.py": ASYNC})
        self.addCleanup(self.worker.__exit__)
        self.assertEqual(self.worker.load("h.py", asyncCommunication=True), {"t": "loaded"})

    def done(self):
        while True:
            header, body = self.worker.receive()
            if header["t"] in ("done", "fault"):
                return header, body

    def test_a_later_batch_may_be_answered_first(self):
        waiting = self.worker.post(b"wait")
        opened = self.worker.post(b"open")
        self.assertEqual((self.done()[0]["b"], self.done()[0]["b"]), (opened, waiting))

    def test_failures_and_pieces_keep_to_their_own_batch(self):
        self.worker.post(b"wait")
        self.assertEqual(self.worker.run(b"fail").fault, (418, "no"))
        outcome = self.worker.run(b"stream")
        self.assertEqual([body for _, body in outcome.pieces], [b"piece"])
        self.assertEqual(outcome.bodies, [b"streamr0"])
        self.assertEqual([(m["n"], m["q"]) for m in outcome.metrics], [("Seen", ["r0"])])

    def test_a_cancelled_batch_is_given_up(self):
        batch = self.worker.post(b"wait")
        self.worker.send({"t": "cancel", "b": batch, "i": [0]})
        self.assertEqual(self.done()[0]["t"], "fault")
        self.assertEqual(self.worker.run(b"x").bodies, [b"xr0"])

    def test_stop_waits_for_what_is_running(self):
        self.worker.post(b"wait")
        self.worker.post(b"open")
        self.worker.send({"t": "stop"})
        self.assertEqual({self.done()[1], self.done()[1]}, {b"waitr0", b"openr0"})
        self.assertEqual(self.worker.ended(), 0)

    def test_a_closed_socket_drops_what_is_running(self):
        self.worker.post(b"wait")
        self.worker.sock.close()
        self.assertEqual(self.worker.ended(), 0)


if __name__ == "__main__":
    unittest.main()
