import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Refusal } from './refusal.ts';
import { checkBytecode, checkSource } from './torchscript-source.ts';

const isRefused = (source: string): boolean => {
  try {
    checkSource(`def forward(self,\n    x: Tensor) -> Tensor:\n  ${source}\n  return torch.relu(x)\n`, 'code/m.py');
    return false;
  } catch (thrown) {
    assert.ok(thrown instanceof Refusal && thrown.code === 'torchscript_operator', String(thrown));
    return true;
  }
};

describe('TorchScript source', () => {
  test('as torch writes it is accepted', () => {
    for (const line of [
      'y = torch.add(x, 1)',
      'y = ops.prim.dtype(x)',
      'y = ops.quantized.linear(x, x, 1., 0)',
      '_0 = getattr(self, "0")',
      'load = self.load\n  y = (load).forward(x, )',
      'ops1 = self.ops\n  y = (ops1).forward(x, )',
      'y = (self).save(x, )',
      'ops : __torch__.torch.nn.modules.linear.Linear',
      '_1 : __torch__.torch.classes.quantized.Conv2dPackedParamsBase = self.packed',
      'y = __torch__.torch.nn.functional.relu(x)',
      'ops.prim.RaiseException("torch ops are \\\'bad\\\', ops.evil.x and torch.save # \\"", "builtins.ValueError")',
      'y = torch.wait(f)  # torch and ops',
      'inf = 1e10\n  z = 6.0e-2',
    ])
      assert.ok(!isRefused(line), line);
  });

  test('that reaches files, other libraries or other machines is refused, however it is spelled', () => {
    for (const line of [
      'y = torch.from_file("f", True, 4)',
      'torch.save(x, "f")',
      'y = torch . from_file ("f", True, 4)',
      'y = torch.\\\n  from_file("f", True, 4)',
      'y = (torch # x\n  .from_file)("f", True, 4)',
      't = torch\n  y = t.from_file("f", True, 4)',
      'f = torch.from_file\n  y = f("f", True, 4)',
      'y = (torch).from_file("f", True, 4)',
      'y = getattr(torch, "from_file")("f", True, 4)',
      'y = torch.autograd.from_file("f", True, 4)',
      'y = ops.aten.from_file("f", True, 4)',
      'y = ops . aten . from_file("f", True, 4)',
      'y = ops.quantized.autograd.from_file("f", True, 4)',
      'o = ops\n  y = o.aten.from_file("f", True, 4)',
      'a = ops.aten\n  y = a.save(x, "f")',
      'y = getattr(getattr(ops, "aten"), "from_file")("f", True, 4)',
      'y = ops.torchvision.read_file("f")',
      'ops.torchvision.write_file("f", x)',
      'y = ops.evil.run(x)',
      'y = ops.prim.rpc_sync("w", "f")',
      'y = rpc_async("w", f)',
      'a : __torch__.torch.classes.evil.Shell',
      'a = __torch__ . torch . classes . evil . Shell',
      'c = __torch__.torch.classes\n  a = c.evil.Shell',
      't = __torch__.torch\n  a = t.classes.evil.Shell',
      't = __torch__\n  a = t.torch.classes.evil.Shell',
      'a = torch.classes.evil.Shell',
      '# type: (__torch__.torch.classes.evil.Shell) -> Tensor',
      'y = "unended',
      "y = 'a\\",
      'y = `x`.z\\q',
    ]) // prettier-ignore
      assert.ok(isRefused(line), line);
  });

  test('is refused whatever stands between the parts of a name', () => {
    const gap = fc
      .array(fc.constantFrom(' ', '\t', '\n', '\\\n', '# "x\n', "#'\n", '#\n'), { maxLength: 4 })
      .map((parts) => parts.join(''));
    const text = fc.constantFrom('"#"', "'\\''", '""""torch" \'"""', "'''\\''''", '""', 'x', '1.5');
    fc.assert(
      fc.property(gap, gap, text, text, fc.constantFrom('from_file', 'save'), (a, b, before, after, name) => {
        assert.ok(isRefused(`y = (${before}, (torch${a}.${b}${name})(${after}))`));
      }),
    );
  });

  test('of any kind is read without failing in other ways', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (line) => void isRefused(line)));
    const startedAt = performance.now();
    isRefused('"'.repeat(10_001));
    isRefused("'''".repeat(10_001));
    isRefused('# type: '.repeat(10_000));
    isRefused('torch.'.repeat(10_000));
    assert.ok(performance.now() - startedAt < 20_000);
  });
});

describe('TorchScript bytecode', () => {
  const isDenied = (text: string): boolean => {
    try {
      checkBytecode(Buffer.from(text, 'latin1'), 'bytecode.pkl');
      return false;
    } catch (thrown) {
      assert.ok(thrown instanceof Refusal && thrown.code === 'torchscript_operator', String(thrown));
      return true;
    }
  };

  test('is read in time that grows with its length', () => {
    const startedAt = performance.now();
    for (const piece of ['a', 'a:', 'torch.', 'torch.classes']) assert.ok(!isDenied(piece.repeat(300_000)), piece);
    assert.ok(performance.now() - startedAt < 20_000);
  });

  test('is refused for the same operators and classes', () => {
    assert.ok(!isDenied('X\x0c\0\0\0aten::linearq\x01X\0\0\0\0X\x0c\0\0\0prim::ListConstructq\x02'));
    assert.ok(!isDenied('X\x37\0\0\0__torch__.torch.nn.modules.container.Sequential.forwardq\0'));
    for (const name of ['aten::saveq', 'aten::from_file', 'evil::run', 'torchvision::read_file', 'aten::autograd'])
      assert.ok(isDenied(`X\x0a\0\0\0${name}\x01`), name);
    assert.ok(isDenied('__torch__.torch.classes.evil.Shellq\0'));
  });
});
