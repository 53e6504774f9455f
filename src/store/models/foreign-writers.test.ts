import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import {
  DEFAULT_CONTAINER_LIMITS as LIMITS,
  gunzip,
  memoryAccess,
  readTarIndex,
  readWhole,
  readZipIndex,
  type ContainerIndex,
  type RandomAccess,
} from '../../archive/index.ts';

// What torch-model-archiver and people with Python write: zipfile on files and on streams, tarfile in its three formats.
const PYTHON = String.raw`
import base64, io, json, tarfile, zipfile
class Stream(io.RawIOBase):
    def __init__(self): self.bytes = b""
    def writable(self): return True
    def write(self, piece): self.bytes += bytes(piece); return len(piece)
files = {"MAR-INF/MANIFEST.json": b"{}", "h.py": b"x = 1\n" * 500, "d/\u00e9.bin": bytes(range(256)) * 20, "d/" + "n" * 120: b""}
out = {}
for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
    for target in (io.BytesIO(), Stream()):
        for wide in (False, True):
            with zipfile.ZipFile(target, "w", method) as archive:
                for path, data in files.items():
                    with archive.open(path, "w", force_zip64=wide) as member: member.write(data)
            written = target.bytes if isinstance(target, Stream) else target.getvalue()
            out["zip %s %s %s" % (name, type(target).__name__, wide)] = written
            target = type(target)()
for name, kind in (("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT)):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", format=kind) as archive:
        for path, data in files.items():
            info = tarfile.TarInfo("model/" + path); info.size = len(data); info.mtime = 1.5
            archive.addfile(info, io.BytesIO(data))
    out["tar " + name] = target.getvalue()
print(json.dumps({key: base64.b64encode(value).decode() for key, value in out.items()}))
`;

const python = spawnSync('python3', ['-I', '-c', PYTHON], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
const skip = python.status === 0 ? false : 'python3 is not here';

async function contents(source: RandomAccess, index: ContainerIndex): Promise<Record<string, number>> {
  const sizes: Record<string, number> = {};
  for (const member of index.members) sizes[member.name] = (await readWhole(source, member, 1_000_000)).length;
  return sizes;
}

test('archives that Python writes are read back whole', { skip }, async () => {
  const archives = Object.entries(JSON.parse(python.stdout) as Record<string, string>);
  assert.equal(archives.length, 10);
  const expected = { 'MAR-INF/MANIFEST.json': 2, 'h.py': 3000, 'd/é.bin': 5120, [`d/${'n'.repeat(120)}`]: 0 };
  for (const [name, base64] of archives) {
    const bytes = memoryAccess(Buffer.from(base64, 'base64'));
    if (name.startsWith('zip')) {
      assert.deepEqual(await contents(bytes, await readZipIndex(bytes, LIMITS)), expected, name);
    } else {
      const tar = memoryAccess(Buffer.concat(await Array.fromAsync(gunzip(bytes, LIMITS))));
      assert.deepEqual(await contents(tar, await readTarIndex(tar, LIMITS)), expected, name);
    }
  }
});
