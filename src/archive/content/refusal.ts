// How an analyzer stops at the first thing it cannot accept. Becomes a finding before it reaches anybody.
import type { FindingCode } from '../../kernel/index.ts';

export class Refusal extends Error {
  readonly code: FindingCode;
  readonly offset: number | undefined;

  constructor(code: FindingCode, message: string, offset?: number) {
    super(message);
    this.code = code;
    this.offset = offset;
  }
}
