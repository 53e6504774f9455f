// What tests of handlers do with a running server all the time: load one with a worker, ask it, and take it away.
import assert from 'node:assert/strict';
import type { Suite } from './compat-suite.ts';
import type { Exchanged } from './http-exchange.ts';

export interface HandlerCalls {
  /** Registers with one worker, and waits for it. */
  load(url: string): Promise<Exchanged>;
  unload(model: string): Promise<Exchanged>;
  /** Loads, asks and unloads: what the model answered. Rejects with the server's output when it does not load. */
  ask(model: string, body?: string | Buffer, headers?: Readonly<Record<string, string>>): Promise<string>;
  /** Runs Python as the body of a handler; the model `obey` must be there. */
  run(code: string): Promise<Exchanged>;
}

/** `suite.server` is only asked for when a call is made. */
export function handlerCalls(suite: Suite): HandlerCalls {
  const predict = (model: string, body: string | Buffer, headers = {}): Promise<Exchanged> =>
    suite.server.infer(`/predictions/${model}`, { method: 'POST', body, headers });
  const load = (url: string): Promise<Exchanged> => suite.server.admin(`/models?url=${url}&initial_workers=1`, 'POST');
  const unload = (model: string): Promise<Exchanged> => suite.server.admin(`/models/${model}`, 'DELETE');
  return {
    load,
    unload,
    ask: async (model, body = 'x', headers = {}) => {
      const answer = await load(model);
      assert.equal(answer.status, 200, `${answer.text}\n${suite.server.output().slice(-3000)}`);
      const { text } = await predict(model, body, headers);
      await unload(model);
      return text;
    },
    run: (code) => predict('obey', code),
  };
}
