// What handlers may rely on beyond the common case (surface spec 9.1, 9.2, 9.5, 9.6, 9.7): written as a TorchServe user would.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { describeWithServer } from '../support/compat-suite.ts';
import { handlerCalls } from '../support/handler-calls.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { TEST_ISOLATION } from '../support/test-isolation.ts';
import { behaviour } from './behaviour.ts';

/** Answers where its source lies in the archive, and with what it imports from beside it. */
const PLACED = `
import os
from words import WORD

def entry(data, context):
    if data is None:
        return None
    root = context.system_properties["model_dir"]
    return [os.path.relpath(os.path.realpath(__file__), os.path.realpath(root)) + " " + WORD] * len(data)

handle = entry
`;
const PACKAGED = `
from helpers.text import shout
from helpers import numbers
from folder.without.init import NUMBER

def handle(data, context):
    if data is None:
        return None
    with open("data/words.txt") as file:
        word = file.read()
    return [shout(word) + str(numbers.ANSWER + NUMBER)] * len(data)
`;
const BATCHED = 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 2\nmaxBatchDelay: 400\n';
/** What the context knows while the model is loaded, told afterwards. */
const AT_LOAD = `
class Service:
    def initialize(self, context):
        self.seen = [context.request_ids, context.request_processor, context.get_request_id(0)]
        self.told = [context.model_name, context.manifest["model"]["modelName"], context.system_properties["batch_size"]]
        context.cache = {"made": "at load"}

    def handle(self, data, context):
        return [{"seen": self.seen, "told": self.told, "cache": context.cache["made"]}] * len(data)
`;
/** One request of a batch sets everything, the other nothing. */
const ONE_OF_TWO = `
import time

def handle(data, context):
    if data is None:
        return None
    words = [bytes(row.get("body")).decode() for row in data]
    if "busy" in words:
        time.sleep(0.15)
    for index, word in enumerate(words):
        if word == "special":
            context.set_response_status(418, "Teapot", index)
            context.set_response_header(index, "x-own", context.get_request_header(index, "X-Mine"))
            context.set_response_content_type(index, "text/special")
    return [word + " of " + str(len(data)) + " " + context.get_request_id(index) for index, word in enumerate(words)]
`;
const fails = (statement: string): string => `
class Service:
    def initialize(self, context):
        ${statement}

    def handle(self, data, context):
        return data
`;
/** The third criterion, None, leaves an answer as it is. */
const UNSTREAMED = `
def handle(data, context):
    if data is None:
        return None
    context.stopping_criteria = [lambda answer: None] * len(data)
    return ["whole"] * len(data)
`;

/** Streams to each request of a batch its own pieces, from a dict as well as from a list. */
const STREAMED = `
import time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    words = [bytes(row["body"]).decode() for row in data]
    time.sleep(0.15 if "busy" in words else 0)
    send_intermediate_predict_response({i: word + "1 " for i, word in enumerate(words)}, context.request_ids, "ok", 200, context)
    send_intermediate_predict_response([word + "2 " for word in words], context.request_ids, "ok", 200, context)
    return ["%s of %d" % (word, len(words)) for word in words]
`;
/** Both modes in one module: the function counts. */
const BOTH = `${NOOP}

class Service:
    def handle(self, data, context):
        return ["class"] * len(data)
`;

const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('placed', '', {
    model: { handler: 'code/placed.py:entry' },
    files: { 'code/placed.py': PLACED, 'code/words.py': 'WORD = "beside"\n' },
  });
  store.add('flat', PLACED, { model: { handler: 'gone/flat.py' }, files: { 'words.py': 'WORD = "root"\n' } });
  store.add('packaged', PACKAGED, {
    files: {
      'helpers/__init__.py': '',
      'folder/without/init.py': 'NUMBER = 1\n',
      'helpers/numbers.py': 'ANSWER = 41\n',
      'helpers/text.py': 'def shout(word):\n    return word.strip().upper() + "!"\n',
      'data/words.txt': 'hello\n',
    },
  });
  store.add('absolute', NOOP, { model: { handler: '/etc/absolute.py:handle' } });
  store.add('hidden', 'import no_such_module_of_mine\n\ndef handle(data, context):\n    return data\n');
  store.add('nowhere', NOOP, { model: { handler: 'no_such_handler' } });
  store.add('atload', AT_LOAD);
  store.add('oneoftwo', ONE_OF_TWO, { config: BATCHED });
  store.add('unstreamed', UNSTREAMED);
  store.add('streamed', STREAMED, { config: BATCHED });
  store.add('both', BOTH);
  store.add(
    'shadowing',
    'import profile\n\ndef handle(data, context):\n    return data and [str(hasattr(profile, "MINE"))]\n',
    {
      files: { 'profile.py': 'MINE = True\n' },
    },
  );
  store.add('cuda', fails('raise RuntimeError("CUDA out of memory")'));
  store.add('runtime', fails('raise RuntimeError("something else")'));
  store.add('memory', fails('raise MemoryError()'));
  store.add('broken', fails('raise KeyError("not here")'));
  store.add(
    'arguments',
    'class Service:\n    def __init__(self, size):\n        pass\n    def handle(self, data, context):\n        return data\n',
  );
  store.add(
    'plain',
    'class Service:\n    def handle(self, data, context):\n        return ["no initialize"] * len(data)\n',
  );
};

describeWithServer('the handler contract', fill, { models: ['obey', 'oneoftwo', 'streamed'] }, (suite) => {
  const { load, unload, ask, run } = handlerCalls(suite);

  describe('finds the entry point', () => {
    behaviour('9.1', 'same', 'dir/name.py:function may lie in that folder, beside what it imports', async () => {
      assert.equal(await ask('placed'), 'code/placed.py beside');
    });

    behaviour('9.1', 'same', 'dir/name.py without a function means name.py at the root of the archive', async () => {
      assert.equal(await ask('flat'), 'flat.py root');
    });

    behaviour('9.1', 'same', 'a handler imports packages of its archive and opens files relative to it', async () => {
      assert.equal(await ask('packaged'), 'HELLO!42');
    });

    behaviour(
      '9.1',
      'stricter',
      'a module of the archive never stands in for one of Python’s or torch’s; the log says to rename it',
      async () => {
        assert.equal(await ask('shadowing'), 'False');
        await suite.server.until(/shadowing_1\.0-stdout MODEL_LOG - `import profile` gives the module of Python/);
      },
    );

    behaviour('9.1', 'same', 'a module with a function handle and a class is in function mode', async () => {
      assert.equal(await ask('both'), 'OK');
    });

    behaviour('9.1', 'same', 'a class needs no initialize', async () => {
      assert.equal(await ask('plain'), 'no initialize');
    });

    behaviour('9.1', 'same', 'a class whose constructor wants arguments does not load', async () => {
      assert.equal((await load('arguments')).status, 500);
      await suite.server.until(
        /arguments_1\.0-stdout MODEL_LOG - TypeError: .*__init__\(\) missing 1 required positional/,
      );
    });

    behaviour('9.1', 'stricter', 'a manifest whose handler is a path outside the archive is refused', async () => {
      const answer = await load('absolute');
      assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
    });

    behaviour(
      '9.1',
      'stricter',
      'an import that fails inside a handler is reported as itself, not as ts.torch_handler.…',
      async () => {
        assert.equal((await load('hidden')).status, 500);
        await suite.server.until(
          /hidden_1\.0-stdout MODEL_LOG - ModuleNotFoundError: No module named 'no_such_module_of_mine'/,
        );
        assert.doesNotMatch(suite.server.output(), /No module named 'ts\.torch_handler/);
      },
    );

    behaviour(
      '9.1',
      'stricter',
      'a manifest whose handler is neither in the archive nor built in is refused at once',
      async () => {
        const { status, text } = await load('nowhere');
        assert.deepEqual([status, JSON.parse(text).type], [400, 'InvalidModelException']);
        assert.match(text, /put the file into the archive/);
      },
    );
  });

  describe('tells how loading ended', () => {
    behaviour(
      '9.1',
      'same',
      'MemoryError, and a RuntimeError that speaks of CUDA, are 507; other errors 500',
      async () => {
        for (const [model, status] of [
          ['memory', 507],
          ['cuda', 507],
          ['runtime', 500],
          ['broken', 500],
        ] as const) {
          const answer = await load(model);
          assert.equal(answer.status, status, model);
          assert.equal(
            answer.json<{ message: string }>().message,
            `Failed to start workers for model ${model} version: 1.0`,
          );
        }
      },
    );

    behaviour('9.1', 'same', 'the log has the traceback and Backend worker process died.', async () => {
      await suite.server.until(/broken_1\.0-stdout MODEL_LOG - Traceback \(most recent call last\):/);
      await suite.server.until(/broken_1\.0-stdout MODEL_LOG - KeyError: 'not here'/);
      await suite.server.until(/broken_1\.0-stdout MODEL_LOG - Backend worker process died\./);
    });
  });

  describe('gives a context', () => {
    behaviour('9.5', 'same', 'at load it knows the model and no request; what a handler attaches stays', async () => {
      assert.deepEqual(JSON.parse(await ask('atload')), {
        seen: [null, null, null],
        told: ['atload', 'atload', 1],
        cache: 'at load',
      });
    });

    behaviour('9.5', 'same', 'headers are read by index in the client’s spelling, an absent one is None', async () => {
      const answer = await suite.server.infer('/predictions/obey', {
        method: 'POST',
        headers: { 'X-MiXeD': 'v', 'Content-Type': 'text/plain' },
        body: [
          'headers = context.get_all_request_header(0)',
          'return [str([context.get_request_header(0, "X-MiXeD"), context.get_request_header(0, "x-mixed"), headers["X-MiXeD"], headers["Content-Type"]])]',
        ].join('\n'),
      });
      assert.equal(answer.text, "['v', None, 'v', 'text/plain']");
    });

    behaviour('9.5', 'same', 'request_ids maps each index to the id that the client gets', async () => {
      const answer = await run(
        'return [str(dict(context.request_ids) == {0: context.get_request_id()}) + context.get_request_id(0)]',
      );
      assert.equal(answer.text, `True${answer.headers['x-request-id']}`);
    });

    behaviour('9.5', 'same', 'status, headers and content type belong to one request of a batch', async () => {
      await suite.server.ready('oneoftwo');
      const send = (body: string): Promise<Exchanged> =>
        suite.server.infer('/predictions/oneoftwo', { method: 'POST', headers: { 'X-Mine': 'kept' }, body });
      for (let tries = 0; ; tries += 1) {
        const busy = send('busy');
        const [special, plain] = await Promise.all([send('special'), send('plain')]);
        await busy;
        if (![special, plain].every(({ text }) => text.includes(' of 2 ')) && tries < 20) continue;
        assert.equal(special.text, `special of 2 ${special.headers['x-request-id']}`);
        assert.equal(plain.text, `plain of 2 ${plain.headers['x-request-id']}`);
        assert.deepEqual(
          [special.status, special.reason, special.headers['x-own'], special.headers['content-type']],
          [418, 'Teapot', 'kept', 'text/special'],
        );
        assert.deepEqual(
          [plain.status, plain.headers['x-own'], plain.headers['content-type']],
          [200, undefined, undefined],
        );
        return;
      }
    });

    behaviour('9.5', 'same', 'set_response_status() without arguments is 200 for the first request', async () => {
      const answer = await run('context.set_response_status(500, "no")\ncontext.set_response_status()\nreturn ["x"]');
      assert.deepEqual([answer.status, answer.text], [200, 'x']);
      assert.equal((await run('context.set_response_status(202)\nreturn ["x"]')).status, 202);
      assert.equal((await run('context.set_response_status(code=204, idx=0)\nreturn [""]')).status, 204);
    });

    behaviour('9.5', 'same', 'a response header keeps one value for its name, and the value must be text', async () => {
      const twice = await run(
        'context.set_response_header(0, "x-a", "1")\ncontext.set_response_header(0, "x-a", "2")\nreturn ["x"]',
      );
      assert.equal(twice.headers['x-a'], '2');
      assert.equal((await run('context.set_response_header(0, "x-a", 1)\nreturn ["x"]')).status, 503);
    });

    behaviour('9.5', 'same', 'answers of one worker do not inherit what an earlier one set', async () => {
      await run('context.set_response_status(299, "Old")\ncontext.set_response_header(0, "x-old", "1")\nreturn ["x"]');
      const next = await run('return ["x"]');
      assert.deepEqual([next.status, next.headers['x-old']], [200, undefined]);
    });

    behaviour('9.6', 'same', 'a stopping criterion that answers None does not stream', async () => {
      await load('unstreamed');
      const answer = await suite.server.infer('/predictions/unstreamed');
      assert.deepEqual(
        [answer.text, answer.headers['transfer-encoding'], answer.headers['ts_stream_next']],
        ['whole', undefined, undefined],
      );
      await unload('unstreamed');
    });
  });

  describe('streams', () => {
    behaviour('9.6', 'same', 'to every request of a batch its own pieces, from a dict or a list', async () => {
      await suite.server.ready('streamed');
      const send = (body: string): Promise<Exchanged> =>
        suite.server.infer('/predictions/streamed', { method: 'POST', body });
      let answers: readonly Exchanged[] = [];
      for (let tries = 0; tries < 20 && answers.filter(({ text }) => text.endsWith('of 2')).length < 2; tries += 1) {
        const busy = send('busy');
        answers = await Promise.all([send('a'), send('b')]);
        await busy;
      }
      assert.deepEqual(
        answers.map(({ text }) => text),
        ['a1 a2 a of 2', 'b1 b2 b of 2'],
      );
    });
  });

  describe('lets a handler', () => {
    behaviour('10.1', 'same', 'run threads and processes of its own, and write to a temporary folder', async () => {
      const answer = await run(
        [
          'import subprocess, sys, tempfile',
          'from concurrent.futures import ThreadPoolExecutor',
          'with ThreadPoolExecutor(4) as pool:',
          '    assert list(pool.map(abs, [-1, -2])) == [1, 2]',
          'with tempfile.NamedTemporaryFile("w") as file:',
          '    file.write("x")',
          'return [subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout]',
        ].join('\n'),
      );
      assert.equal(answer.text, '42\n');
    });

    behaviour(
      '10.1',
      'stricter',
      'read the model’s directory, its working directory, and not write there; the log says what to use',
      async () => {
        if (TEST_ISOLATION === 'none') return;
        assert.equal((await run('open("new.txt", "w").write("x")\nreturn ["written"]')).status, 503);
        assert.equal(
          (await run('import os\nreturn [str("obey.py" in os.listdir()) + str("new.txt" in os.listdir())]')).text,
          'TrueFalse',
        );
        await suite.server.until(/obey_1\.0-stdout MODEL_LOG - Hint: .* use tempfile\.mkdtemp\(\)/);
      },
    );

    behaviour('10.1', 'stricter', 'reach no network; the log says what to do', async () => {
      if (TEST_ISOLATION === 'none') return;
      const fetch = 'import urllib.request\nreturn [urllib.request.urlopen("http://127.0.0.1:1/weights").read()]';
      assert.equal((await run(fetch)).status, 503);
      await suite.server.until(/obey_1\.0-stdout MODEL_LOG - Hint: .* put what it downloads into the archive/);
    });
  });

  describe('answers errors', () => {
    const raise = (what: string): string =>
      `from ts.service import PredictionException\nraise PredictionException(${what})`;

    behaviour(
      '9.7',
      'same',
      'PredictionException from ts.service, by keyword, and derived from, chooses the answer',
      async () => {
        assert.equal((await run(raise('message="mine", error_code=422'))).status, 422);
        const derived =
          'from ts.utils.util import PredictionException\nclass Mine(PredictionException):\n    pass\nraise Mine("own", 409)';
        const answer = await run(derived);
        assert.deepEqual([answer.status, answer.json<{ message: string }>().message], [409, 'own']);
      },
    );

    behaviour('9.7', 'same', 'None, a str, bytes, a tuple and a generator are no list: 503', async () => {
      for (const value of ['None', '"text"', 'b"bytes"', '("tuple",)', '(x for x in ["generator"])']) {
        const answer = await run(`return ${value}`);
        assert.deepEqual(
          [answer.status, answer.json<{ message: string }>().message],
          [503, 'Invalid model predict output'],
          value,
        );
      }
    });

    behaviour('9.7', 'same', 'an empty list for one request is 503', async () => {
      assert.equal((await run('return []')).json<{ message: string }>().message, 'number of batch response mismatched');
    });

    behaviour('9.7', 'same', 'sets, arrays of numpy and objects are not serialisable: 503', async () => {
      for (const value of ['{1, 2}', '__import__("numpy").zeros(2)', '{"nested": object()}']) {
        const answer = await run(`return [${value}]`);
        assert.deepEqual(
          [answer.status, answer.json<{ message: string }>().message],
          [503, 'Unsupported model output data type.'],
          value,
        );
      }
    });

    behaviour(
      '9.7',
      'same',
      'sys.exit in a handler is the death of its worker: 500, and another one serves',
      async () => {
        assert.equal((await run('import sys\nsys.exit(1)')).status, 500);
        assert.equal((await run('return ["alive"]')).text, 'alive');
      },
    );
  });

  describe('is the surface that handlers import', () => {
    behaviour(
      '9.2',
      'absent',
      'handlers and helpers of engines that are not there import, and say what is missing',
      async () => {
        const calls = [
          'from ts.torch_handler.vllm_handler import VLLMHandler; VLLMHandler().initialize(context)',
          'from ts.torch_handler.trt_llm_handler import TRTLLMHandler; TRTLLMHandler().initialize(context)',
          'from ts.torch_handler.dali_image_classifier import DALIImageClassifier; DALIImageClassifier().initialize(context)',
          'from ts.torch_handler.distributed.base_pippy_handler import BasePippyHandler; BasePippyHandler().initialize(context)',
          'from ts.torch_handler.distributed.base_deepspeed_handler import BaseDeepSpeedHandler; BaseDeepSpeedHandler().initialize(context)',
          'from ts.handler_utils.distributed.pt_pippy import initialize_rpc_workers; initialize_rpc_workers(0, 1, context)',
          'from ts.handler_utils.distributed.pt_pippy import get_pipeline_driver; get_pipeline_driver(None, 1, context)',
          'from ts.handler_utils.distributed.deepspeed import get_ds_engine; get_ds_engine(None, context)',
        ];
        const answer = await run(
          [
            'told = []',
            ...calls.flatMap((call) => [
              'try:',
              ...call.split('; ').map((part) => `    ${part}`),
              'except RuntimeError as error:',
              '    told.append(str(error))',
            ]),
            'return ["\\n".join(told)]',
          ].join('\n'),
        );
        const missing = answer.text
          .split('\n')
          .map((line) => /^\w+ needs (\w+), not installed in the worker's Python$/.exec(line)?.[1]);
        assert.deepEqual(missing, [
          'vllm',
          'tensorrt_llm',
          'nvidia_dali',
          'pippy',
          'deepspeed',
          'pippy',
          'pippy',
          'deepspeed',
        ]);
      },
    );

    behaviour(
      '9.2',
      'same',
      'import_class, list_classes_from_module and get_yaml_config do what their names say',
      async () => {
        const answer = await run(
          [
            'import importlib, os, tempfile',
            'from ts.handler_utils.utils import import_class',
            'from ts.utils.util import get_yaml_config, list_classes_from_module, check_valid_pt2_backend, load_label_mapping, map_class_to_label',
            'from ts.metrics.dimension import Dimension',
            'assert import_class("Dimension", "ts.metrics.dimension") is Dimension',
            'assert import_class("ts.metrics.dimension.Dimension") is Dimension',
            'assert list_classes_from_module(importlib.import_module("ts.metrics.dimension")) == [Dimension]',
            'folder = tempfile.mkdtemp()',
            'path = os.path.join(folder, "c.yaml")',
            'open(path, "w").write("a: [1, yes]\\n")',
            'assert get_yaml_config(path) == {"a": [1, True]}',
            'assert check_valid_pt2_backend("inductor") and not check_valid_pt2_backend("quantum")',
            'names = os.path.join(folder, "index_to_name.json")',
            'assert load_label_mapping(names) is None',
            'open(names, "w").write("{\\"0\\": [\\"n0\\", \\"cat\\"], \\"1\\": \\"dog\\"}")',
            'assert map_class_to_label([[0.5, 0.25]], load_label_mapping(names)) == [{"cat": 0.5, "dog": 0.25}]',
            'assert map_class_to_label([[0.5, 0.25]], lbl_classes=[[7, 8]]) == [{"7": 0.5, "8": 0.25}]',
            'return ["all"]',
          ].join('\n'),
        );
        assert.equal(answer.text, 'all', suite.server.output().slice(-1500));
      },
    );
  });
});
