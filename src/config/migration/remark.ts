// One thing that somebody who comes from TorchServe should know: what stays, what differs, what to write instead.

/** `change`: it will be refused or behave differently until it is changed. `note`: different, but nothing to do. */
export type RemarkKind = 'same' | 'note' | 'change';

export interface Remark {
  readonly kind: RemarkKind;
  /** File, file and line, or flag. */
  readonly where: string;
  /** Key, flag, archive or member that it is about. */
  readonly subject: string;
  readonly message: string;
  /** Exactly what to write or do instead, one line each. */
  readonly write?: readonly string[];
}
