// What somebody who has just started a server wants to know, in one line: where it listens, and where the keys are.
import { join } from 'node:path';
import type { Settings } from '../config/index.ts';

export function listeningLine({ isCombined, inference, management, metrics, grpc, auth, server }: Settings): string {
  const doors = isCombined
    ? [`inference and management ${inference.address.text}`]
    : [`inference ${inference.address.text}`, `management ${management.address.text}`];
  if (metrics.isEnabled) doors.push(`metrics ${metrics.address.text}`);
  if (grpc.isEnabled) {
    doors.push(`gRPC ${at(grpc.inference)} (inference), ${at(grpc.management)} (management)`);
  }
  const keys = auth.requiresToken ? `The keys are in ${join(server.cwd, 'key_file.json')}.` : 'No key is asked for.';
  return `Listening: ${doors.join(', ')}. ${keys}`;
}

const at = ({ host, port }: { readonly host: string; readonly port: number }): string =>
  `${host.includes(':') ? `[${host}]` : host}:${port}`;
