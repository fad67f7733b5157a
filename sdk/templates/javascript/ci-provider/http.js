// Requests to the connection. The credential is only named; the host injects it.

import { send as hand } from 'windlass:host/http@0.1.0';

import { decode, encode, failure, parse } from './windlass.js';

/** Sends one request and answers with `{ status, header(name), text(), json() }`; throws a failure if there is no answer. */
export function send(method, path, { body, idempotencyKey = null } = {}) {
  const hasBody = body !== undefined;
  let response;
  try {
    response = hand({
      method,
      path,
      headers: hasBody ? [['content-type', 'application/json']] : [],
      body: encode(hasBody ? JSON.stringify(body) : ''),
      credential: 'token',
      idempotencyKey,
      timeoutMs: null,
    });
  } catch (error) {
    throw unanswered(error?.payload ?? error);
  }
  const text = () => decode(response.body);
  return {
    status: response.status,
    header: (name) => response.headers.find(([known]) => known === name)?.[1] ?? null,
    text,
    json() {
      try {
        return parse(text());
      } catch (error) {
        throw failure('malformed-answer', `The vendor's answer is no JSON: ${error.message}.`, { requestSent: true });
      }
    },
  };
}

/** A response that is a success; anything else is thrown as the failure that it means. */
export function success(response) {
  const { status } = response;
  if (status >= 200 && status <= 299) return response;
  const after = Number.parseInt(response.header('retry-after') ?? '', 10);
  const pause = Number.isInteger(after) && after >= 0 && after < 2 ** 32 ? after : null;
  const disposition =
    status === 401 || (status === 403 && pause === null)
      ? { tag: 'auth-required' }
      : status === 403 || status === 429
        ? { tag: 'rate-limited', val: pause }
        : status === 408 || status >= 500
          ? { tag: 'retry', val: pause }
          : { tag: 'permanent' };
  throw failure(`status-${status}`, `The vendor answered with status ${status}.`, { disposition, requestSent: true });
}

function unanswered({ tag, val }) {
  const never = ['denied', 'address-refused', 'tls'].includes(tag);
  const again = ['timeout', 'connect', 'other'].includes(tag);
  const disposition = again ? { tag: 'retry', val: null } : { tag: 'permanent' };
  return failure(`request-${tag}`, `The request got no answer: ${val ?? tag}.`, { disposition, requestSent: !never });
}
