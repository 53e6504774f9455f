// Where the analyzers of one file put what they notice. Denials are thrown as a Refusal; the rest is collected here.
import { makeFinding, type Finding, type FindingCode } from '../../kernel/index.ts';

/** A hostile archive can trigger any number of findings; a reader needs the first few of each file. */
const MAX_FINDINGS_PER_FILE = 100;

export class Report {
  readonly findings: Finding[] = [];
  readonly #member: string;

  constructor(member: string) {
    this.#member = member;
  }

  add(code: FindingCode, message: string, offset?: number): void {
    if (this.findings.length < MAX_FINDINGS_PER_FILE) {
      this.findings.push(makeFinding(code, message, this.#member, offset));
    }
  }
}
