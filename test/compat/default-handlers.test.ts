// The handlers that come with the server (surface spec 9.3, 9.4, 9.8) around real torch models, small and made by the test.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describeWithServer } from '../support/compat-suite.ts';
import { multipart, type Exchanged } from '../support/http-exchange.ts';
import type { TestStore } from '../support/model-store.ts';
import { makeAssets, type Asset } from '../support/python-assets.ts';
import { behaviour } from './behaviour.ts';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';

/** A linear classifier of seven classes, so that integrated gradients can be checked by arithmetic. */
const SEVEN = `
import torch

class Seven(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 7)

    def forward(self, x):
        return self.layer(x.mean(dim=(2, 3)))
`;
/** Answers as torchvision's detectors do: one dictionary for each image, whatever their sizes. */
const DETECTOR = `
import torch

class Detector(torch.nn.Module):
    def forward(self, images):
        return [
            {
                "boxes": torch.tensor([[0.0, 0.0, float(image.shape[2]), float(image.shape[1])], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 1.0]]),
                "labels": torch.tensor([2, 1, 1]),
                "scores": torch.tensor([0.875, 0.5, 0.25]),
            }
            for image in images
        ]
`;
const TEXT = `
import torch

class Text(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(6, 4)
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, text, offsets):
        return self.layer(self.embedding(text, offsets))
`;
/** As users write it: stages that are timed, micro-batches and parallelism from the model's YAML, weights from the archive. */
const PIPELINE = `
import torch
from ts.handler_utils.micro_batching import MicroBatching
from ts.handler_utils.timer import timed
from ts.torch_handler.base_handler import BaseHandler

class Pipeline(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        wanted = context.model_yaml_config["micro_batching"]
        self.largest = 0
        self.handle = MicroBatching(self, wanted["micro_batch_size"], wanted["parallelism"])

    @timed
    def preprocess(self, data):
        self.largest = max(self.largest, len(data))
        return torch.tensor([[float(bytes(row["body"]).decode())] for row in data])

    @timed
    def inference(self, data, *args, **kwargs):
        return super().inference(data)

    @timed
    def postprocess(self, data):
        return [f"{value:g} in {self.largest}" for value in data.flatten().tolist()]
`;
const PIPELINE_CONFIG = `
minWorkers: 1
maxWorkers: 1
batchSize: 5
maxBatchDelay: 400
micro_batching:
  micro_batch_size: 2
  parallelism: {preprocess: 2, inference: 1, postprocess: 2}
handler: {profile: true}
pt2:
  compile: {enable: true, backend: eager}
`;
const DOUBLE = `
import torch

class Double(torch.nn.Module):
    def forward(self, x):
        return x * 2
`;
/** Makes weights and images with the test's own interpreter. */
const EXPORT = `
import torch
from PIL import Image
from seven import Seven
from text import Text

torch.manual_seed(0)
torch.save(Seven().state_dict(), "seven.pt")
torch.save(Text().state_dict(), "text.pt")
torch.save({"<unk>": 0, "it": 1, "is": 2, "good": 3, "it is": 4, "cafe": 5}, "source_vocab.pt")

class Halves(torch.nn.Module):
    def forward(self, x):
        scores = torch.zeros(x.shape[0], 3, x.shape[2], x.shape[3])
        scores[:, 1, : x.shape[2] // 2] = 3.0
        scores[:, 2, x.shape[2] // 2 :] = 3.0
        return {"out": scores}

torch.jit.script(Halves()).save("halves.pt")
Image.new("RGB", (260, 240), (200, 30, 90)).save("pink.png")
Image.new("RGB", (40, 20), (10, 10, 10)).save("small.png")
Image.new("L", (40, 20), 100).save("grey.png")
Image.new("RGBA", (40, 20), (10, 200, 10, 100)).save("clear.png")
Image.new("P", (40, 20), 3).save("indexed.png")
Image.new("RGB", (400, 200), (10, 200, 10)).save("photo.jpg")
Image.new("1", (20000, 20000)).save("bomb.png")
`;
let asset: Asset = () => assert.fail('not made yet');

const fill = (store: TestStore): void => {
  asset = makeAssets(EXPORT, { 'seven.py': SEVEN, 'text.py': TEXT });
  const config = 'minWorkers: 1\nmaxWorkers: 1\n';
  store.add('detector', '', {
    config,
    model: { handler: 'object_detector', modelFile: 'found.py' },
    files: { 'found.py': DETECTOR, 'index_to_name.json': '{"object_type_names": ["background", "cat", "dog"]}' },
  });
  store.add('segmenter', '', {
    config,
    model: { handler: 'image_segmenter', serializedFile: 'halves.pt' },
    files: { 'halves.pt': asset('halves.pt') },
  });
  store.add('words', '', {
    config,
    model: { handler: 'text_classifier', modelFile: 'text.py', serializedFile: 'text.pt' },
    files: {
      'text.py': TEXT,
      'text.pt': asset('text.pt'),
      'source_vocab.pt': asset('source_vocab.pt'),
      'index_to_name.json': '{"0": "bad", "1": ["n1", "good"]}',
    },
  });
  store.add('pictures', '', {
    config: `${config}batchSize: 3\nmaxBatchDelay: 200\n`,
    model: { handler: 'image_classifier', modelFile: 'seven.py', serializedFile: 'seven.pt' },
    files: { 'seven.py': SEVEN, 'seven.pt': asset('seven.pt') },
  });
  store.add('pipeline', PIPELINE, {
    config: PIPELINE_CONFIG,
    model: { modelFile: 'double.py' },
    files: { 'double.py': DOUBLE },
  });
};

const models = ['detector', 'segmenter', 'words', 'pictures', 'pipeline'];

const config = ['model_metrics_auto_detect=true'];

describeWithServer('default handlers with torch', fill, { models, config }, (suite) => {
  const ask = async (path: string, body: Buffer | string, headers: Record<string, string> = {}): Promise<Exchanged> => {
    await suite.server.ready(path.split('/')[2]!);
    const answer = await suite.server.infer(path, { method: 'POST', body, headers });
    assert.equal(answer.status, 200, `${answer.text}\n${suite.server.output().slice(-3000)}`);
    return answer;
  };
  const json = { 'Content-Type': 'application/json' };

  behaviour(
    '9.4',
    'same',
    'object_detector answers boxes by label, with their score, from 0.5 on, for images of any size',
    async () => {
      const path = '/predictions/detector';
      assert.deepEqual((await ask(path, asset('small.png'))).json(), [
        { dog: [0, 0, 40, 20], score: 0.875 },
        { cat: [1, 2, 3, 4], score: 0.5 },
      ]);
      assert.deepEqual((await ask(path, asset('pink.png'))).json<unknown[]>()[0], {
        dog: [0, 0, 260, 240],
        score: 0.875,
      });
    },
  );

  behaviour(
    '9.4',
    'same',
    'image_segmenter answers class and probability of each of 224 times 224 pixels',
    async () => {
      const rows = (await ask('/predictions/segmenter', asset('pink.png'))).json<[number, number][][]>();
      assert.deepEqual([rows.length, rows[0]?.length], [224, 224]);
      const share = Math.exp(3) / (Math.exp(3) + 2);
      for (const [row, expected] of [
        [0, 1],
        [223, 2],
      ] as const) {
        const [index, probability] = rows[row]![100]!;
        assert.equal(index, expected);
        assert.ok(Math.abs(probability - share) < 1e-5);
      }
    },
  );

  behaviour(
    '9.4',
    'same',
    'text_classifier answers the probability of every class, from raw text and JSON',
    async () => {
      const classes = (await ask('/predictions/words', 'It is GOOD!')).json<Record<string, number>>();
      assert.deepEqual(Object.keys(classes).toSorted(), ['2', 'bad', 'good']);
      assert.ok(Math.abs(Object.values(classes).reduce((sum, share) => sum + share, 0) - 1) < 1e-5);
      const wrapped = await ask('/predictions/words', '{"data": "it is good"}', json);
      assert.deepEqual(wrapped.json(), classes);
    },
  );

  behaviour('9.4', 'same', '/explanations of a text handler are its words and their importances', async () => {
    const answer = await ask('/explanations/words', '{"data": "it is good", "target": 2}', json);
    const { importances, words } = answer.json<{ importances: number[]; words: string[] }>();
    assert.deepEqual(words, ['it', 'is', 'good']);
    assert.ok(Math.abs(Math.hypot(...importances) - 1) < 1e-4, String(importances));
  });

  behaviour(
    '9.4',
    'same',
    'without index_to_name.json the keys are class numbers, the five best first, and the log warns',
    async () => {
      const entries = Object.entries((await ask('/predictions/pictures', asset('pink.png'))).json<object>());
      assert.equal(entries.length, 5);
      const shares = entries.map(([, share]) => share as number);
      assert.ok(entries.every(([name]) => /^[0-6]$/.test(name)));
      // JSON.parse sorts integer keys; the answer's text does not.
      const text = (await ask('/predictions/pictures', asset('pink.png'))).text;
      const told = [...text.matchAll(/"\d": ?([\d.e-]+)/g)].map(([, share]) => Number(share));
      assert.deepEqual(
        told,
        shares.toSorted((a, b) => b - a),
      );
      await suite.server.until(/index_to_name\.json is missing\. Inference output will not include class name\./);
    },
  );

  behaviour('9.4', 'same', 'image_classifier takes an image as nested lists of numbers', async () => {
    const tensor = [0.5, -0.25, 0.125].map((value) => Array.from({ length: 2 }, () => [value, value]));
    const lists = await ask('/predictions/pictures', JSON.stringify({ data: tensor }), json);
    assert.equal(Object.keys(lists.json<object>()).length, 5);
  });

  behaviour('9.4', 'same', 'image_classifier answers each request of a batch by its own image', async () => {
    const alone = await Promise.all(
      (['pink.png', 'small.png'] as const).map((name) => ask('/predictions/pictures', asset(name))),
    );
    assert.notEqual(alone[0]!.text, alone[1]!.text);
    const mixed = ['pink.png', 'small.png', 'pink.png', 'small.png', 'pink.png'] as const;
    const together = await Promise.all(mixed.map((name) => ask('/predictions/pictures', asset(name))));
    const shares = ({ text }: Exchanged): readonly string[] => [...text.matchAll(/\d\.\d{4}/g)].map(([share]) => share);
    assert.deepEqual(
      together.map(shares),
      mixed.map((name) => shares(alone[name === 'pink.png' ? 0 : 1]!)),
    );
  });

  behaviour(
    '9.4',
    'stricter',
    'bytes that are no image, and images of more pixels than Pillow allows, fail their own request only',
    async () => {
      const answers = await Promise.all(
        [Buffer.from('no image'), asset('pink.png'), asset('bomb.png')].map((body) =>
          suite.server.infer('/predictions/pictures', { method: 'POST', body }),
        ),
      );
      assert.deepEqual(
        answers.map(({ status }) => status),
        [503, 200, 503],
      );
    },
  );

  behaviour(
    '9.4',
    'same',
    'image_classifier takes PNG and JPEG, and grey, transparent and indexed images too',
    async () => {
      for (const name of ['grey.png', 'clear.png', 'indexed.png', 'photo.jpg'] as const) {
        assert.equal(Object.keys((await ask('/predictions/pictures', asset(name))).json<object>()).length, 5, name);
      }
    },
  );

  behaviour(
    '9.4',
    'same',
    'an image’s explanation is integrated gradients for the class that `target` names',
    async () => {
      const explain = async (target: string): Promise<number[]> => {
        const image = { name: 'data', value: asset('pink.png'), filename: 'pink.png', type: 'image/png' };
        const { body, headers } = multipart([image, { name: 'target', value: target }]);
        const channels = (await ask('/explanations/pictures', body, headers)).json<number[][][]>();
        assert.deepEqual([channels.length, channels[0]?.length, channels[0]?.[0]?.length], [3, 224, 224]);
        return channels.map((rows) => rows.flat().reduce((sum, value) => sum + value, 0));
      };
      // For a linear model what the channels contribute is weight times mean, which a script of torch's alone says as well.
      const script = [
        'import io, sys, torch',
        'weight = torch.load(io.BytesIO(sys.stdin.buffer.read()), weights_only=True)["layer.weight"]',
        'mean = (torch.tensor([200, 30, 90]) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])',
        'print((weight * mean).tolist())',
      ].join('\n');
      const { stdout, stderr } = spawnSync(PYTHON, ['-c', script], { input: asset('seven.pt'), encoding: 'utf8' });
      assert.equal(stderr, '');
      const expected = JSON.parse(stdout) as number[][];
      const seen = await explain('6');
      seen.forEach((value, channel) => assert.ok(Math.abs(value - expected[6]![channel]!) < 1e-3, `${seen}`));
    },
  );

  behaviour('12.5', 'same', 'pt2 in the model’s YAML compiles it, and the model log says with what', async () => {
    await suite.server.ready('pipeline');
    await suite.server.until(/W-\d+-pipeline_1\.0-std\w+ MODEL_LOG - .*Compiled model with backend eager/);
  });

  behaviour(
    '9.8',
    'same',
    'a batch runs in micro-batches of the size in the YAML, and each client gets its own',
    async () => {
      await suite.server.ready('pipeline');
      const answers = await Promise.all([1, 2, 3, 4, 5].map((value) => ask('/predictions/pipeline', String(value))));
      for (const [index, { text }] of answers.entries()) assert.match(text, new RegExp(`^${2 * (index + 1)} in [12]$`));
      assert.ok(answers.some(({ text }) => text.endsWith(' in 2')));
    },
  );

  behaviour('4.7', 'same', 'handler: {profile: true} makes `timed` functions emit their times as metrics', async () => {
    await ask('/predictions/pipeline', '1');
    for (const name of ['preprocess', 'inference', 'postprocess']) {
      await suite.server.until(new RegExp(`MODEL_METRICS - .*${name}\\S*\\|#ModelName:pipeline`, 'i'));
    }
  });
});
