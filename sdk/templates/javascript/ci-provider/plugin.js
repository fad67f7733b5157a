// A CI/CD provider: makes jobs at a vendor, runs them, and says how they ended.
//
// Each call is a short step of one or two requests.

import { send, success } from './http.js';
import { failure, guarded, manifest as describe } from './windlass.js';

export const manifest = {
  describe: () =>
    describe('ci-provider', {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Runs the jobs of an example vendor',
      credentials: [{ name: 'token', summary: 'A token with the right `run`', injection: 'bearer', required: true }],
      permissions: [
        { methods: ['GET'], path: '/me', reason: 'tests the connection' },
        { methods: ['GET', 'PUT', 'POST', 'DELETE'], path: '/jobs/**', reason: 'makes, runs, reads and deletes jobs' },
      ],
    }),
};

export const provider = guarded({
  testConnection: () => ({ name: text(success(send('GET', '/me')).json(), 'login'), serverVersion: '', extras: [] }),

  createJob(_connection, { name, repositoryUrl, branch, pipeline }) {
    const body = { repository: repositoryUrl, branch, pipeline: pipeline[0]?.content ?? null };
    success(send('PUT', jobPath(name), { body }));
    return job(name);
  },

  triggerJob(_connection, id, { refName, idempotencyKey }) {
    const body = { ref: refName ?? null, key: idempotencyKey };
    const response = send('POST', `${jobPath(id)}/builds`, { body, idempotencyKey });
    return build(found(response, 'no-such-job', id).json());
  },

  getJobStatus(_connection, id) {
    // A proxy's page says nothing about a job, and is no JSON.
    found(send('GET', jobPath(id)), 'no-such-job', id).json();
    return job(id);
  },

  getBuildStatus: (_connection, id, number) =>
    build(found(send('GET', buildPath(id, number)), 'no-such-build', number).json()),

  getBuildLogs(_connection, id, number, cursor) {
    const from = cursor ?? '0';
    const response = send('GET', `${buildPath(id, number)}/log?from=${encodeURIComponent(from)}`);
    found(response, 'no-such-build', number);
    const complete = response.header('x-complete') === 'true';
    return { text: response.text(), cursor: response.header('x-next') ?? from, complete };
  },

  cancelBuild(_connection, id, number) {
    success(send('POST', `${buildPath(id, number)}/cancel`));
  },

  deleteJob(_connection, id) {
    const response = send('DELETE', jobPath(id));
    // One that is not there is deleted already.
    if (response.status !== 404) success(response);
  },
});

const jobPath = (id) => `/jobs/${encodeURIComponent(id)}`;
const buildPath = (id, number) => `${jobPath(id)}/builds/${encodeURIComponent(number)}`;
const job = (id) => ({ id, name: id, url: null, triggerUrl: null, buildable: true, lastBuild: null, extras: [] });

/** A successful response; a 404 is the failure of that code. */
function found(response, code, what) {
  if (response.status === 404) throw failure(code, `The vendor knows no \`${what}\`.`, { requestSent: true });
  return success(response);
}

function text(values, name) {
  const value = values?.[name];
  if (typeof value === 'string') return value;
  throw failure('malformed-answer', `The vendor's answer has no \`${name}\`.`, { requestSent: true });
}

const WORDS = { queued: 'pending', running: 'running', passed: 'success', failed: 'failure', stopped: 'cancelled' };

function build(values) {
  const state = text(values, 'state');
  const status = Object.hasOwn(WORDS, state) ? { tag: WORDS[state] } : { tag: 'other', val: state };
  const unknown = { url: null, started: null, finished: null, pollAfter: null };
  return { id: text(values, 'id'), number: '', status, ...unknown, extras: [] };
}
