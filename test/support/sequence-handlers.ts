// Stateful handlers (surface spec 9.10) that add up the numbers of each sequence.

/** Answers the sum so far. `sleep` takes its time; `pid`, `start` and `headers` ask what the worker knows; `fail` fails. */
export const ADDER = `
import json
import os
import time

class Adder(object):
    def initialize(self, context):
        self.sums = {}

    def handle(self, data, context):
        return [self.answer(index, row, context) for index, row in enumerate(data)]

    def answer(self, index, row, context):
        sequence = context.get_sequence_id(index)
        context.set_response_header(index, context.header_key_sequence_id, sequence)
        text = bytes(row.get("body") or row.get("data")).decode()
        if text == "pid":
            return str(os.getpid())
        if text == "start":
            return str(context.get_request_header(index, "ts_request_sequence_start"))
        if text == "headers":
            return json.dumps(context.get_all_request_header(index))
        if text == "fail":
            raise ValueError("as told")
        if text == "sleep":
            time.sleep(0.4)
            text = "0"
        self.sums[sequence] = self.sums.get(sequence, 0) + int(text)
        return str(self.sums[sequence])
`;

/** The same with continuous batching: 0 ends the sequence, -1 ends them all. */
export const STREAMED_ADDER = `
class Adder(object):
    def initialize(self, context):
        context.cache = {}

    def handle(self, data, context):
        answers = []
        for index, row in enumerate(data):
            sequence = context.get_sequence_id(index)
            number = int(bytes(row.get("body") or row.get("data")).decode())
            context.cache[sequence] = context.cache.get(sequence, 0) + number
            answers.append(str(context.cache[sequence]))
            context.set_response_header(index, context.header_key_sequence_id, sequence)
            ended = [sequence] if number == 0 else list(context.cache) if number == -1 else []
            if ended:
                context.set_response_header(index, context.header_key_sequence_end, ";".join(ended))
            for name in ended:
                del context.cache[name]
        context.stopping_criteria = [lambda answer: True for _ in data]
        return answers
`;
