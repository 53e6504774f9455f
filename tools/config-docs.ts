// Writes docs/configuration.md from the key table: node tools/config-docs.ts
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { documentKeys } from '../src/config/index.ts';

writeFileSync(join(import.meta.dirname, '../docs/configuration.md'), documentKeys());
