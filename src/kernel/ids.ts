// Request ids: random UUIDv4 text, 36 characters (surface spec 2.3).
import { randomUUID } from 'node:crypto';

export const newRequestId = (): string => randomUUID();
