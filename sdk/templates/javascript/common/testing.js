// For the tests, which run in Node.js: stands in for what the host gives to a plugin.

import { register } from 'node:module';

const host = `
  export const send = (request) => globalThis.windlassHost.send(request);
  export const emit = (...values) => globalThis.windlassHost.emit(...values);
`;
const hooks = `
  const host = ${JSON.stringify(`data:text/javascript,${encodeURIComponent(host)}`)};
  export const resolve = (name, context, next) =>
    name.startsWith('windlass:host/') ? { url: host, shortCircuit: true } : next(name, context);
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

/** Runs `work` while `answer` stands in for the other side: it gets each request and returns or throws. */
export function answering(answer, work) {
  globalThis.windlassHost = { send: answer, emit: () => {} };
  try {
    return work();
  } finally {
    delete globalThis.windlassHost;
  }
}
