// Maps a request to the named values a handler gets (surface spec 2.4) and the headers it sees (2.5).
import type { Header, InputPart } from '../serving/index.ts';
import { contiguous, type Body } from './body.ts';
import { parseForm } from './form.ts';
import { parseMultipart, type FormPart } from './multipart.ts';
import type { Query } from './target.ts';

/** `contentType` is the header as received. Throws Fault `bad_request`. */
export function inputOf(contentType: string | undefined, body: Body): InputPart[] {
  const mediaType = contentType === undefined ? undefined : mediaTypeOf(contentType);
  switch (mediaType?.toLowerCase()) {
    case 'multipart/form-data':
      return parseMultipart(contentType ?? '', contiguous(body)).map(inputPart);
    case 'application/x-www-form-urlencoded':
      return parseForm(contiguous(body)).map(inputPart);
    default:
      return [{ name: 'body', contentType: mediaType, chunks: body.chunks, bytes: body.bytes }];
  }
}

/** Query parameters as values, for the routes that pass them on. */
export function queryInput(query: Query): InputPart[] {
  return query.pairs.map(([name, value]) =>
    inputPart({ name, contentType: undefined, content: Buffer.from(value, 'utf8') }),
  );
}

/** Headers only the server may set, and the key, which is for the server and not for a model's code. */
const NEVER_FROM_CLIENT = ['explain', 'describe', 'url_path'];

export class HandlerHeaders {
  readonly #withheld: ReadonlySet<string>;

  /** `withholdKey`: the Authorization header was consumed by the gate. */
  constructor(sequenceStartHeader: string, withholdKey: boolean) {
    this.#withheld = new Set([
      ...NEVER_FROM_CLIENT,
      sequenceStartHeader.toLowerCase(),
      ...(withholdKey ? ['authorization'] : []),
    ]);
  }

  /** `rawHeaders` of the request, in the client's own spelling, without what a client may not say. */
  from(rawHeaders: readonly string[]): Header[] {
    const headers: Header[] = [];
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at] as string;
      if (!this.#withheld.has(name.toLowerCase())) headers.push([name, rawHeaders[at + 1] as string]);
    }
    return headers;
  }
}

function mediaTypeOf(contentType: string): string | undefined {
  const semicolon = contentType.indexOf(';');
  return (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim() || undefined;
}

function inputPart({ name, contentType, content }: FormPart): InputPart {
  return { name, contentType, chunks: [content], bytes: content.byteLength };
}
