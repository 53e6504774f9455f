// Handlers that users derive from BaseHandler and the default handlers (surface spec 9.3, 9.4, 12.5), with torch models of theirs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describeWithServer } from '../support/compat-suite.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import type { TestStore } from '../support/model-store.ts';
import { makeAssets, type Asset } from '../support/python-assets.ts';
import { TEST_ISOLATION } from '../support/test-isolation.ts';
import { behaviour } from './behaviour.ts';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';

/** As in every tutorial: one channel, a transform of one's own, and the class that has the most. */
const DIGITS = `
import torch
from ts.torch_handler.image_classifier import ImageClassifier

def to_tensor(image):
    assert image.mode == "L", image.mode
    width, height = image.size
    pixels = torch.tensor(list(image.tobytes()), dtype=torch.float32).view(1, height, width)
    return (pixels / 255 - 0.1307) / 0.3081

class Digits(ImageClassifier):
    image_processing = staticmethod(to_tensor)

    def __init__(self):
        super(Digits, self).__init__()

    def postprocess(self, data):
        return data.argmax(1).tolist()
`;
const DIGIT_NET = `
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv = nn.Conv2d(1, 10, 8)

    def forward(self, x):
        return self.conv(x).flatten(2).mean(2)
`;
/**
 * Loads, in one worker, what otherwise would be a model each: every request says what the manifest and the model's YAML would
 * say, and a handler that derives from BaseHandler is initialised with that.
 */
const LOADER = `
import copy
import os
import torch
from torch.utils.data import DataLoader, Dataset
from ts.torch_handler.base_handler import BaseHandler
from ts.torch_handler.image_classifier import ImageClassifier
from ts.torch_handler.text_classifier import TextClassifier

class Squares(Dataset):
    def __len__(self):
        return 9

    def __getitem__(self, index):
        return {"square": torch.tensor(float(index) ** 2), "none": torch.empty(0)}

class Plain(BaseHandler):
    pass

KINDS = {"base": Plain, "image": ImageClassifier, "text": TextClassifier}

def handle(data, context):
    if data is None:
        return None
    wish = data[0]["body"]
    if "processes" in wish:
        loader = DataLoader(Squares(), batch_size=3, num_workers=wish["processes"])
        return [[float(batch["square"].sum()) for batch in loader]]
    if "tensor" in wish:
        return [torch.tensor(wish["tensor"])]
    own = copy.copy(context)
    own.manifest = {"model": {"modelName": "loaded", **wish["model"]}}
    own.model_yaml_config = wish.get("config", {})
    handler = KINDS[wish.get("kind", "base")]()
    if "profile" in wish:
        os.environ["ENABLE_TORCH_PROFILER"] = "TRUE"
    try:
        handler.initialize(own)
        if "topk" in wish:
            handler.set_max_result_classes(wish["topk"])
        value = handler.handle(wish["data"], own) if "data" in wish else None
    except Exception as error:
        return ["%s: %s" % (type(error).__name__, error)]
    finally:
        os.environ.pop("ENABLE_TORCH_PROFILER", None)
    traces = os.listdir("/tmp/pytorch_profiler/loaded") if "profile" in wish else []
    return [{"value": value, "device": str(handler.device), "traces": len(traces)}]
`;
const SUM = `
import torch

class Sum(torch.nn.Module):
    def forward(self, x):
        return x.sum(dim=1)
`;
const PICK = `
import torch

class Pick(torch.nn.Module):
    def forward(self, x):
        return torch.tensor([[0.0, 3.0, 2.0, 1.0]])
`;
const LENGTH = `
import torch

class Length(torch.nn.Module):
    def forward(self, text, offsets):
        return torch.stack([text.sum().float() * 0, text.float().sum()]).unsqueeze(0)
`;
const EXPORT = `
import onnx
import torch
from onnx import TensorProto, helper
from PIL import Image
from net import Net

torch.manual_seed(0)
torch.save(Net().state_dict(), "net.pt")
nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2])
graph = helper.make_graph(nodes, "double", [value("x")], [value("y")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.save(model, "double.onnx")
torch.save({"<unk>": 0, "one": 1, "two": 2, "one two": 3}, "words.pt")
Image.new("L", (28, 28), 90).save("grey.png")

class Custom:
    pass
torch.save({"weight": Custom()}, "object.pt")
`;
let asset: Asset = () => assert.fail('not made yet');

const fill = (store: TestStore): void => {
  asset = makeAssets(EXPORT, { 'net.py': DIGIT_NET });
  store.add('digits', DIGITS, {
    model: { modelFile: 'net.py', serializedFile: 'net.pt' },
    files: { 'net.py': DIGIT_NET, 'net.pt': asset('net.pt') },
  });
  store.add('loader', LOADER, {
    files: {
      'sum.py': SUM,
      'pick.py': PICK,
      'length.py': LENGTH,
      'two.py': `${SUM}\n\nclass Other(torch.nn.Module):\n    pass\n`,
      'double.onnx': asset('double.onnx'),
      'words.pt': asset('words.pt'),
      'notes.dat': 'no weights',
    },
  });
  const objects = { model: { modelFile: 'sum.py', serializedFile: 'object.pt' } };
  store.add('objects', LOADER, { ...objects, files: { 'sum.py': SUM, 'object.pt': asset('object.pt') } });
  store.add('absent', LOADER, { model: { modelFile: 'none.py' } });
  const native = Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), Buffer.alloc(1000)]);
  store.add('native', LOADER, {
    config: 'pt2: {export: {aot_compile: true}}\n',
    model: { serializedFile: 'net.so' },
    files: { 'net.so': native },
  });
};

interface Loaded {
  readonly value: unknown;
  readonly device: string;
  readonly traces: number;
}

describeWithServer('handlers on BaseHandler', fill, { models: ['digits', 'loader'] }, (suite) => {
  const load = async (wish: object): Promise<Exchanged> => {
    await suite.server.ready('loader');
    const headers = { 'Content-Type': 'application/json' };
    return suite.server.infer('/predictions/loader', { method: 'POST', headers, body: JSON.stringify(wish) });
  };
  const log = (words: string): Promise<RegExpMatchArray> =>
    suite.server.until(new RegExp(`W-\\d+-loader_1\\.0-std\\w+ MODEL_LOG - ${words}`));

  behaviour('9.4', 'same', 'a transform of the handler’s own gets the image as it came: grey stays grey', async () => {
    await suite.server.ready('digits');
    const answer = await suite.server.infer('/predictions/digits', { method: 'POST', body: asset('grey.png') });
    assert.equal(answer.status, 200, suite.server.output().slice(-3000));
    assert.match(answer.text, /^[0-9]$/);
  });

  behaviour('2.6', 'same', 'a tensor is answered as torch saves it', async () => {
    const { bytes } = await load({ tensor: [0, 1, 2] });
    const script =
      'import io, sys, torch\nprint(torch.load(io.BytesIO(sys.stdin.buffer.read()), weights_only=True).tolist())';
    assert.equal(spawnSync(PYTHON, ['-c', script], { input: bytes, encoding: 'utf8' }).stdout, '[0, 1, 2]\n');
  });

  behaviour('9.3', 'same', 'a DataLoader of the handler may have worker processes', async () => {
    // At `process` an ordinary user's workers have no shared memory, which Python's queues need.
    if (TEST_ISOLATION === 'process' && process.getuid?.() !== 0) return;
    assert.deepEqual((await load({ processes: 2 })).json(), [5, 50, 149]);
  });

  behaviour('9.3', 'same', 'a model file alone is an eager model with the weights of its constructor', async () => {
    const { value, device } = (
      await load({
        model: { modelFile: 'sum.py' },
        data: [
          [1, 2],
          [3, 4],
        ],
      })
    ).json<Loaded>();
    assert.deepEqual([value, device], [[3, 7], 'cpu']);
  });

  behaviour('9.3', 'same', 'an .onnx file is run by onnxruntime', async () => {
    const answer = await load({ model: { serializedFile: 'double.onnx' }, data: [[1.5, 2]] });
    assert.deepEqual(answer.json<Loaded>().value, [[3, 4]]);
  });

  behaviour('9.3', 'same', 'what cannot be loaded is an error in the reference’s words', async () => {
    const data = [[1]];
    assert.equal((await load({ model: {}, data })).text, 'RuntimeError: No model weights could be loaded');
    assert.equal(
      (await load({ model: { serializedFile: 'notes.dat' }, data })).text,
      'RuntimeError: No model weights could be loaded',
    );
    assert.equal(
      (await load({ model: { modelFile: 'none.py' }, data })).text,
      'RuntimeError: Missing the model.py file',
    );
    assert.match(
      (await load({ model: { modelFile: 'two.py' }, data })).text,
      /^ValueError: Expected only one class as model definition\. \[/,
    );
  });

  behaviour(
    '9.3',
    'stricter',
    'a file that the manifest names and the archive lacks, or that holds pickled objects or native code (AOTInductor), is refused',
    async () => {
      for (const model of ['absent', 'objects', 'native']) {
        const answer = await suite.server.admin(`/models?url=${model}`, 'POST');
        assert.deepEqual(
          [answer.status, answer.json<{ type: string }>().type],
          [400, 'InvalidModelException'],
          answer.text,
        );
      }
    },
  );

  behaviour('9.3', 'same', 'pt2 compiles in each of its forms, and the log names the options', async () => {
    const forms: readonly (readonly [unknown, string])[] = [
      ['aot_eager', 'Compiled model with backend aot_eager'],
      [{ backend: 'eager' }, 'Compiled model with backend eager'],
      [
        { compile: { enable: true, backend: 'inductor', mode: 'default' } },
        'Compiled model with backend inductor, mode default',
      ],
    ];
    for (const [pt2, words] of forms) {
      await load({ model: { modelFile: 'sum.py' }, config: { pt2 } });
      await log(words);
    }
  });

  behaviour('9.3', 'same', 'an unknown backend is a warning, and the model is served uncompiled', async () => {
    const answer = await load({
      model: { modelFile: 'sum.py' },
      config: { pt2: { compile: { enable: true, backend: 'quantum' } } },
      data: [[1, 2]],
    });
    assert.deepEqual(answer.json<Loaded>().value, [3]);
    await log('quantum is not a supported backend');
    const off = await load({
      model: { modelFile: 'sum.py' },
      config: { pt2: { compile: { enable: false, backend: 'ipex' } } },
      data: [[1, 2]],
    });
    assert.deepEqual(off.json<Loaded>().value, [3]);
    assert.doesNotMatch(suite.server.output(), /Compiled model with backend (?:quantum|ipex)/);
  });

  behaviour('9.3', 'same', 'ENABLE_TORCH_PROFILER runs a batch under the profiler, with a trace for each', async () => {
    const { value, traces } = (
      await load({ model: { modelFile: 'sum.py' }, data: [[1, 2]], profile: true })
    ).json<Loaded>();
    assert.deepEqual([value, traces], [[3], 1]);
  });

  behaviour('9.4', 'same', 'set_max_result_classes changes how many classes an image classifier answers', async () => {
    const image = [[[0.5]], [[0.5]], [[0.5]]];
    const wish = { kind: 'image', model: { modelFile: 'pick.py' }, data: [{ body: image }] };
    const all = (await load(wish)).json<Loaded>().value as object[];
    assert.equal(Object.keys(all[0]!).length, 4);
    const two = (await load({ ...wish, topk: 2 })).json<Loaded>().value as object[];
    assert.deepEqual(Object.keys(two[0]!), ['1', '2']);
  });

  behaviour(
    '9.4',
    'same',
    'text_classifier takes its words from what sourceVocab names, and the first text of a batch only',
    async () => {
      const model = { modelFile: 'length.py', sourceVocab: 'words.pt' };
      const { value } = (
        await load({ kind: 'text', model, data: [{ data: 'one two' }, { data: 'one' }] })
      ).json<Loaded>();
      assert.equal((value as object[]).length, 1);
      const [classes] = value as Record<string, number>[];
      // one, two and their pair: 1 + 2 + 3.
      assert.ok(Math.abs(classes!['1']! - Math.exp(6) / (1 + Math.exp(6))) < 1e-5, JSON.stringify(classes));
    },
  );
});
