// The handler contract (surface spec 9): entry points, context, built-in handlers with torch, micro batching, metrics calls.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { describeWithServer } from '../support/compat-suite.ts';
import { handlerCalls } from '../support/handler-calls.ts';
import { multipart } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { makeAssets, type Asset } from '../support/python-assets.ts';
import { behaviour } from './behaviour.ts';

const CLASS = `
class Service(object):
    def __init__(self):
        self.ready = False

    def initialize(self, context):
        self.ready = True
        self.name = context.model_name

    def handle(self, data, context):
        return [f"{self.name} {self.ready}"] * len(data)
`;
const TWO_CLASSES = `${CLASS}\n\nclass Other(object):\n    def handle(self, data, context):\n        return data\n`;
const NO_HANDLE = 'class Service(object):\n    def initialize(self, context):\n        pass\n';
const COUNTING = `
loads = []

def handle(data, context):
    if data is None:
        loads.append(1)
        return None
    context.calls = getattr(context, "calls", 0) + 1
    return [f"{len(loads)} {context.calls}"] * len(data)
`;
const BASE = `
from ts.torch_handler.base_handler import BaseHandler

class Mine(BaseHandler):
    def preprocess(self, data):
        return [bytes(row["body"]).decode() for row in data]

    def inference(self, data, *args, **kwargs):
        return [text.upper() for text in data]

    def postprocess(self, data):
        return data

    def initialize(self, context):
        self.context = context

    def describe_handle(self):
        return {"kind": "mine"}

    def get_insights(self, tensor_data, raw_data, target):
        return [{"preprocessed": tensor_data, "raw": str(raw_data), "target": target}]
`;
const MICRO = `
import threading
from ts.handler_utils.micro_batching import MicroBatching
from ts.torch_handler.base_handler import BaseHandler

barrier = threading.Barrier(2, timeout=0.5)

class Micro(BaseHandler):
    def __init__(self):
        super().__init__()
        self.sizes = []
        self.handle = MicroBatching(self, micro_batch_size=2)

    def initialize(self, context):
        self.context = context

    def preprocess(self, data):
        self.sizes.append(len(data))
        texts = [bytes(row["body"]).decode() for row in data]
        if "more" in texts:
            self.handle.micro_batch_size = 1
            self.handle.parallelism["inference"] = 2
        return texts

    def inference(self, data, *args, **kwargs):
        if "meet" in data:
            try:
                barrier.wait()
            except threading.BrokenBarrierError:
                barrier.reset()
                return ["alone"] * len(data)
            return ["met"] * len(data)
        return [text + str(max(self.sizes)) for text in data]

    def postprocess(self, data):
        return data

    def describe_handle(self):
        return {"micro": self.handle.micro_batch_size}

    def get_insights(self, tensor_data, raw_data, target):
        return ["insight " + text for text in tensor_data]
`;
const METRICS = `
from ts.metrics.dimension import Dimension
from ts.metrics.metric_type_enum import MetricTypes
from ts.service import PredictionException

def handle(data, context):
    if data is None:
        return None
    metrics = context.metrics
    metrics.add_counter("Calls", 1)
    metrics.add_time("Took", 12.5, unit="ms", dimensions=[Dimension("Stage", "middle")])
    metrics.add_size("Size", 3, unit="kB")
    metrics.add_percent("Share", 50)
    metrics.add_error("Errors", 1)
    metrics.add_metric("Any", 7, "widgets", metric_type=MetricTypes.GAUGE)
    metrics.add_metric_to_cache("Cached", "count", ["ModelName"], MetricTypes.COUNTER).add_or_update(2, ["metrics"])
    refused = []
    for call in (lambda: metrics.add_time("T", 1, unit="h"), lambda: metrics.add_size("S", 1, unit="TB"), lambda: metrics.get_metric("None")):
        try:
            call()
        except Exception as error:
            refused.append(type(error).__name__)
    return [",".join(refused)] * len(data)
`;
/** Makes, with the test's own interpreter, what torch users would export. */
const EXPORT = `
import torch
from PIL import Image
torch.manual_seed(0)

class Three(torch.nn.Module):
    def forward(self, x):
        sums = x.sum(dim=(1, 2, 3))
        return torch.stack([sums * 0, sums * 0 + 1, sums * 0 + 2], dim=1)

torch.jit.script(Three()).save("three.pt")
class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2
torch.jit.script(Double()).save("double.pt")
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)
    def forward(self, x):
        return self.layer(x)
torch.save(Net().state_dict(), "net.pt")
Image.new("RGB", (300, 280), (200, 30, 30)).save("red.png")
`;
const NET = `
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x):
        return self.layer(x)
`;

let asset: Asset = () => assert.fail('not made yet');

const fill = (store: TestStore): void => {
  asset = makeAssets(EXPORT);
  const batch = 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 4\nmaxBatchDelay: 300\n';
  store.add('obey', OBEY);
  store.add('service', CLASS);
  store.add('two', TWO_CLASSES);
  store.add('handleless', NO_HANDLE);
  store.add('counting', COUNTING);
  store.add('renamed', NOOP.replace('def handle', 'def entry'), { model: { handler: 'renamed:entry' } });
  store.add('nested', NOOP, { model: { handler: 'some/dir/nested.py' } });
  store.add('mine', BASE);
  store.add('micro', MICRO, { config: batch });
  store.add('metrics', METRICS);
  store.add('base', '', {
    model: { handler: 'base_handler', serializedFile: 'double.pt' },
    files: { 'double.pt': asset('double.pt') },
  });
  store.add('eager', '', {
    model: { handler: 'base_handler', serializedFile: 'net.pt', modelFile: 'net.py' },
    files: { 'net.pt': asset('net.pt'), 'net.py': NET },
  });
  store.add('classifier', '', {
    model: { handler: 'image_classifier', serializedFile: 'three.pt' },
    files: { 'three.pt': asset('three.pt'), 'index_to_name.json': '{"0": "cat", "1": "dog", "2": ["n02", "fish"]}' },
  });
  store.add('vllm', '', { model: { handler: 'vllm_handler' } });
};

describeWithServer('handlers', fill, { models: ['obey'], config: ['metrics_mode=log'] }, (suite) => {
  const { load, unload, ask, run } = handlerCalls(suite);

  describe('as entry points', () => {
    behaviour('9.1', 'same', 'a class is made without arguments, initialised once, and handles batches', async () => {
      assert.equal(await ask('service'), 'service True');
    });

    behaviour(
      '9.1',
      'same',
      'a function is called once with None at load, and its context lives as long as the worker',
      async () => {
        await load('counting');
        const texts: string[] = [];
        for (let call = 0; call < 3; call += 1) texts.push((await suite.server.infer('/predictions/counting')).text);
        assert.deepEqual(texts, ['1 1', '1 2', '1 3']);
        await unload('counting');
      },
    );

    behaviour('9.1', 'same', 'name:function and dir/name.py are resolved', async () => {
      assert.equal(await ask('renamed'), 'OK');
      assert.equal(await ask('nested'), 'OK');
    });

    behaviour('9.1', 'same', 'two classes, or a class without handle, do not load', async () => {
      assert.equal((await load('two')).status, 500);
      await suite.server.until(/Expected only one class in custom service code or a function entry point \[/);
      assert.equal((await load('handleless')).status, 500);
      await suite.server.until(/Expect handle method in class/);
    });

    behaviour('9.7', 'same', 'a traceback appears in the model log line by line', async () => {
      await run('raise ValueError("look for me")');
      await suite.server.until(/W-\d+-obey_1\.0-stdout MODEL_LOG - Traceback \(most recent call last\):/);
      await suite.server.until(/W-\d+-obey_1\.0-stdout MODEL_LOG - ValueError: look for me/);
    });
  });

  describe('and their context', () => {
    behaviour('9.5', 'same', 'system_properties has the documented members', async () => {
      const answer = await run('import json\nreturn [json.dumps(context.system_properties)]');
      const shown = answer.json<Record<string, unknown>>();
      assert.deepEqual(Object.keys(shown).toSorted(), [
        'batch_size',
        'gpu_id',
        'limit_max_image_pixels',
        'model_dir',
        'server_name',
        'server_version',
      ]);
      assert.deepEqual(
        [shown['server_name'], shown['gpu_id'], shown['batch_size'], shown['limit_max_image_pixels']],
        ['MMS', null, 1, true],
      );
    });

    behaviour('9.5', 'same', 'request ids, headers, processors and responses are reached by index', async () => {
      const code = [
        'processor = context.request_processor[0]',
        'assert context.request_ids[0] == context.get_request_id(0)',
        'assert context.get_all_request_header(0)["X-A"] == processor.get_request_property("X-A") == "1"',
        'processor.add_response_property("x-b", "2")',
        'assert context.get_response_headers(0)["x-b"] == "2"',
        'context.set_all_response_status(201, "Fine")',
        'assert context.get_response_status(0) == (201, "Fine")',
        'context.set_response_content_type(0, "text/x")',
        'assert context.get_response_content_type(0) == "text/x"',
        'assert context.stopping_criteria is None',
        'assert context.get_sequence_id(0) == ""',
        'assert context.header_key_sequence_end == "ts_request_sequence_end"',
        'return [context.model_name + str(context.manifest["model"]["modelVersion"])]',
      ].join('\n');
      const answer = await suite.server.infer('/predictions/obey', {
        method: 'POST',
        headers: { 'X-A': '1' },
        body: code,
      });
      assert.deepEqual([answer.status, answer.headers['x-b'], answer.text], [201, '2', 'obey1.0']);
    });

    behaviour('9.2', 'same', 'every module that user handlers import is there', async () => {
      const imports = [
        'from ts.torch_handler.base_handler import BaseHandler',
        'from ts.torch_handler.vision_handler import VisionHandler',
        'from ts.torch_handler.text_handler import TextHandler',
        'from ts.torch_handler.image_classifier import ImageClassifier',
        'from ts.torch_handler.object_detector import ObjectDetector',
        'from ts.torch_handler.image_segmenter import ImageSegmenter',
        'from ts.torch_handler.text_classifier import TextClassifier',
        'from ts.torch_handler.densenet_handler import DenseNetHandler',
        'from ts.torch_handler.request_envelope.base import BaseEnvelope',
        'from ts.torch_handler.distributed.base_pippy_handler import BasePippyHandler',
        'from ts.torch_handler.distributed.base_deepspeed_handler import BaseDeepSpeedHandler',
        'from ts.context import Context',
        'from ts.utils.util import PredictionException, list_classes_from_module, load_label_mapping, map_class_to_label, get_yaml_config, check_valid_pt2_backend',
        'from ts.handler_utils.utils import send_intermediate_predict_response, import_class',
        'from ts.protocol.otf_message_handler import send_intermediate_predict_response',
        'from ts.handler_utils.micro_batching import MicroBatching',
        'from ts.handler_utils.timer import timed',
        'from ts.handler_utils.hf_batch_streamer import TextIteratorStreamerBatch',
        'from ts.metrics.dimension import Dimension',
        'from ts.metrics.metric_type_enum import MetricTypes',
        'from ts.service import PredictionException, emit_metrics',
        'from ts import __version__',
        'from ts.launcher import start, stop, register_model, register_model_with_params',
      ];
      const code = [
        'failed = []',
        ...imports.flatMap((line) => [
          'try:',
          `    ${line}`,
          'except Exception as error:',
          `    failed.append("${line}: " + repr(error))`,
        ]),
        'return ["\\n".join(failed)]',
      ].join('\n');
      assert.equal((await run(code)).text, '');
    });
  });

  describe('built on BaseHandler', () => {
    behaviour('9.3', 'same', 'handle runs preprocess, inference and postprocess, and emits HandlerTime', async () => {
      assert.equal((await load('mine')).status, 200);
      const { text } = await suite.server.infer('/predictions/mine', { method: 'POST', body: 'quiet' });
      assert.equal(text, 'QUIET');
      await suite.server.until(
        /MODEL_METRICS - HandlerTime\.ms:[\d.E-]+\|#ModelName:mine,Level:Model\|#hostname:[^,]+,requestID:[0-9a-f-]{36},timestamp:\d+/,
      );
    });

    behaviour('9.3', 'same', 'a customized describe calls describe_handle', async () => {
      const answer = await suite.server.admin('/models/mine?customized=true');
      assert.deepEqual(answer.json<Record<string, unknown>[]>()[0]!['customizedMetadata'], { kind: 'mine' });
    });

    behaviour(
      '9.3',
      'same',
      'an explanation gives get_insights what was preprocessed, the input, and `target`',
      async () => {
        const explain = async (body: string | Buffer, headers: Record<string, string>): Promise<unknown> =>
          (await suite.server.infer('/explanations/mine', { method: 'POST', body, headers })).json();
        const field = { name: 'body', value: 'why', filename: 'why.txt', type: 'application/x' };
        const plain = multipart([field]);
        const raw = "bytearray(b'why')";
        assert.deepEqual(await explain(plain.body, plain.headers), { preprocessed: ['why'], raw, target: 0 });
        const chosen = multipart([field, { name: 'target', value: '3' }]);
        assert.deepEqual(await explain(chosen.body, chosen.headers), { preprocessed: ['why'], raw, target: 3 });
        await unload('mine');
      },
    );

    behaviour('9.8', 'same', 'MicroBatching splits a batch and puts it together again in order', async () => {
      await load('micro');
      const texts = await Promise.all(
        ['a', 'b', 'c', 'd'].map(
          async (body) => (await suite.server.infer('/predictions/micro', { method: 'POST', body })).text,
        ),
      );
      assert.deepEqual(
        texts.map((text) => text[0]),
        ['a', 'b', 'c', 'd'],
      );
      assert.ok(
        texts.every((text) => Number(text.slice(1)) <= 2),
        texts.join(),
      );
    });

    behaviour('9.8', 'same', 'MicroBatching takes another size and parallelism at run time', async () => {
      const micro = async (body: string): Promise<string> =>
        (await suite.server.infer('/predictions/micro', { method: 'POST', body })).text;
      assert.equal(await micro('more'), 'more2');
      // Micro-batches of one, two of them in `inference` at a time: those that share a batch meet there. While the first
      // waits in vain, the others gather behind it.
      let met: readonly string[] = [];
      for (let tries = 0; tries < 10 && !met.includes('met'); tries += 1) {
        met = await Promise.all(Array.from({ length: 4 }, () => micro('meet')));
      }
      assert.ok(met.filter((text) => text === 'met').length >= 2, met.join());
      await suite.server.until(/MODEL_METRICS - HandlerTime\.ms:[\d.E-]+\|#ModelName:micro,Level:Model/);
    });

    behaviour('9.8', 'same', 'MicroBatching answers explanations and describe', async () => {
      const answer = await suite.server.infer('/explanations/micro', { method: 'POST', body: 'why' });
      assert.equal(answer.text, 'insight why');
      const described = await suite.server.admin('/models/micro?customized=true');
      assert.deepEqual(described.json<Record<string, unknown>[]>()[0]!['customizedMetadata'], { micro: 1 });
      await unload('micro');
    });
  });

  describe('that come with the server', () => {
    behaviour(
      '9.4',
      'same',
      'image_classifier answers the best classes by their names, from file parts and base64',
      async () => {
        const image = asset('red.png');
        const answer = await load('classifier');
        assert.equal(answer.status, 200, suite.server.output().slice(-3000));
        const form = multipart([{ name: 'data', value: image, filename: 'red.png', type: 'image/png' }]);
        const classes = (await suite.server.infer('/predictions/classifier', { method: 'POST', ...form })).json<
          Record<string, number>
        >();
        assert.deepEqual(Object.keys(classes), ['fish', 'dog', 'cat']);
        assert.ok(Math.abs(Object.values(classes).reduce((sum, share) => sum + share, 0) - 1) < 1e-4);
        const raw = await suite.server.infer('/predictions/classifier', { method: 'POST', body: image });
        assert.deepEqual(raw.json(), classes);
        const text = await suite.server.infer('/predictions/classifier', {
          method: 'POST',
          body: image.toString('base64'),
          headers: { 'Content-Type': 'text/plain' },
        });
        assert.deepEqual(text.json(), classes);
      },
    );

    behaviour('12.2', 'same', '/explanations of an image handler are captum’s, shaped like the input', async () => {
      const form = multipart([
        { name: 'data', value: asset('red.png'), filename: 'red.png', type: 'image/png' },
        { name: 'target', value: '1' },
      ]);
      const answer = await suite.server.infer('/explanations/classifier', { method: 'POST', ...form });
      assert.equal(answer.status, 200, suite.server.output().slice(-3000));
      const shape: number[] = [];
      for (let level: unknown = answer.json(); Array.isArray(level); level = level[0]) shape.push(level.length);
      assert.deepEqual(shape.slice(-3), [3, 224, 224]);
      await unload('classifier');
    });

    behaviour('9.4', 'absent', 'the vLLM handler answers that vLLM is not installed', async () => {
      assert.equal((await load('vllm')).status, 500);
      await suite.server.until(/vllm/i);
    });
  });

  describe('and their metrics', () => {
    behaviour(
      '4.7',
      'same',
      'every call of context.metrics works, and wrong units raise the documented errors',
      async () => {
        assert.equal(await ask('metrics'), 'MetricsCacheValueError,ValueError,MetricsCacheKeyError');
      },
    );
  });
});

describeWithServer('base_handler', fill, { config: ['service_envelope=body'] }, (suite) => {
  const predict = async (model: string, body: string): Promise<unknown> => {
    const answer = await suite.server.admin(`/models?url=${model}&initial_workers=1`, 'POST');
    assert.equal(answer.status, 200, suite.server.output().slice(-3000));
    const headers = { 'Content-Type': 'application/json' };
    return (await suite.server.infer(`/predictions/${model}`, { method: 'POST', headers, body })).json();
  };

  behaviour('9.3', 'same', 'base_handler runs a TorchScript file on tensors and answers lists', async () => {
    assert.deepEqual(await predict('base', '[1, 2.5]'), [2, 5]);
  });

  behaviour('9.3', 'same', 'with a model file it loads the weights into the one class there', async () => {
    assert.deepEqual(await predict('eager', '[3.0, 4.0]'), [7]);
  });
});
