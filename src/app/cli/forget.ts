// `davy models forget`: releases a version from the content it was registered with. Works on the server's own files, running
// or not; over the management API nobody can do this.
import { EXIT, type Io } from './io.ts';
import { type ServeFlags, readSettings } from './read-settings.ts';
import { printable } from './table.ts';

export async function forgetVersion(io: Io, model: string, version: string, flags: ServeFlags): Promise<number> {
  const { RegisteredVersions } = await import('../../store/index.ts');
  const { stateDir } = readSettings(io, flags).server;
  const registered = RegisteredVersions.at(stateDir);
  const record = await registered.find(model, version);
  if (record === undefined || !(await registered.forget(model, version))) {
    const known = (await registered.list()).map((other) => `${other.name} ${other.version}`);
    const hint = known.length === 0 ? 'nothing is registered there' : `registered there: ${known.join(', ')}`;
    io.stderr.write(`${printable(`${model} ${version} is not recorded in ${stateDir}; ${hint}.`)}\n`);
    return EXIT.failed;
  }
  const message = `${model} ${version} may be registered with other content than sha256:${record.digest} again.`;
  io.stdout.write(`${printable(message)}\n`);
  return EXIT.ok;
}
