// The kernel: what every room may use. No I/O.
export { Fault, toFault, type FaultOptions } from './fault.ts';
export { FAULTS, type FaultCode, type FaultEntry } from './fault-catalog.ts';
export { systemClock, type Clock, type Timer } from './clock.ts';
export { Secret, equalSecret } from './secret.ts';
export { newRequestId } from './ids.ts';
export { Channel } from './channel.ts';
export { FINDINGS, makeFinding, type Finding, type FindingCode, type FindingEntry, type Severity } from './findings.ts';
export { ByteBudget } from './byte-budget.ts';
export { mergeCrumbs, releaseBytes } from './bytes.ts';
export { UnreadAnswers, type Reader } from './unread-answers.ts';
export { displayUrl } from './display-url.ts';
export { bindFailure } from './bind-failure.ts';
export { fileFailure } from './file-failure.ts';
