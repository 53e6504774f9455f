// One line of text for each of the other announcements.
import { inspect } from 'node:util';
import { Fault } from '../../kernel/index.ts';
import type { AccessEvent, AuditEvent, ModelEvent, NoticeEvent } from '../../serving/index.ts';
import { escapeText, MAX_LINE_CHARS } from './escape.ts';
import { redactText } from './redact.ts';

/** Room for the rest of the line around a client's path. */
const MAX_TARGET_CHARS = 2048;

/** `/127.0.0.1:53514 "POST /models HTTP/1.1" 405 0`. A raw quote in the path would forge the fields behind it. */
export function accessText(event: AccessEvent): string {
  const target = escapeText(redactText(event.target.slice(0, 2 * MAX_TARGET_CHARS)), MAX_TARGET_CHARS).replaceAll(
    '"',
    '%22',
  );
  const remote = event.remote.includes(':') ? `/${event.remote}` : event.remote;
  const method = escapeText(event.method, 32);
  return `${remote} "${method} ${target} ${event.protocol}" ${event.status} ${Math.floor(event.durationMs)}`;
}

export function auditText(event: AuditEvent): string {
  const parts = [event.outcome, event.action, `principal=${event.principal}`];
  if (event.remote !== undefined) parts.push(`remote=${event.remote}`);
  if (event.subject !== undefined) parts.push(`subject=${event.subject}`);
  return parts.join(' ') + detailText(event.detail);
}

export function modelText(event: ModelEvent): string {
  if (event.change === 'registered')
    return `Model ${event.model} loaded. version=${event.version}${detailText(event.detail)}`;
  return `Model ${event.model} ${event.change.replace('_', ' ')}. version=${event.version}${detailText(event.detail)}`;
}

export function noticeText(event: NoticeEvent): string {
  const cause = event.cause === undefined ? '' : ` cause: ${causeText(event.cause)}`;
  return event.message + detailText(event.detail) + cause;
}

/** ` {key: value}` through `inspect`, which honours Secret and survives cycles and getters. */
function detailText(detail: Readonly<Record<string, unknown>> | undefined): string {
  if (detail === undefined || Object.keys(detail).length === 0) return '';
  return ` ${inspect(detail, { breakLength: Infinity, depth: 4, maxArrayLength: 20, maxStringLength: 1024 })}`;
}

/** Stack of an error with the causes below it; a Fault is expected, so its message is enough. */
function causeText(cause: unknown, depth = 0): string {
  if (!(cause instanceof Error)) return inspect(cause, { breakLength: Infinity, depth: 2, maxStringLength: 1024 });
  const own = cause instanceof Fault ? `${cause.code}: ${cause.message}` : (cause.stack ?? cause.message);
  const below = cause.cause === undefined || depth >= 4 ? '' : ` <- ${causeText(cause.cause, depth + 1)}`;
  return (own + below).slice(0, MAX_LINE_CHARS);
}
