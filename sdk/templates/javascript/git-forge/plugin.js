// A git forge: turns what a vendor posts into what happened to which ref.
//
// The host has verified the signature by what the manifest declares; the plugin never sees the secret.

import { decode, failure, guarded, manifest as describe, parse } from './windlass.js';

export const manifest = {
  describe: () =>
    describe('git-forge', {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Reads the webhooks of an example forge',
      webhooks: {
        schemes: [
          {
            name: 'hmac-sha256',
            algorithm: 'hmac-sha256',
            header: 'x-signature',
            prefix: 'sha256=',
            encoding: 'hex',
            signed: '{body}',
          },
        ],
        deliveryHeaders: ['x-delivery'],
        eventHeaders: ['x-event'],
      },
    }),
};

export const forge = guarded({
  parseWebhook(delivery) {
    const body = json(delivery.body);
    switch (body.event) {
      case 'ping':
        return { tag: 'ping' };
      case 'push':
        return { tag: 'push', val: push(body) };
      default:
        return { tag: 'unsupported', val: text(body, 'event') };
    }
  },
});

const malformed = (message) => failure('malformed-payload', message);

/** The vendor's body, which `fixtures` has a real one of. */
function json(bytes) {
  let body;
  try {
    body = parse(decode(bytes));
  } catch (error) {
    throw malformed(`The body is no JSON: ${error.message}.`);
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) throw malformed('The body has to be an object.');
  return body;
}

function text(object, name, otherwise) {
  const value = object?.[name] ?? otherwise;
  if (typeof value !== 'string') throw malformed(`\`${name}\` has to be a text.`);
  return value;
}

/** Zeros only are git's way to say that there is no commit. */
const isNoCommit = (sha) => /^0*$/.test(sha);

function push(body) {
  const reference = text(body, 'ref');
  const [before, after] = [text(body, 'before', ''), text(body, 'after', '')];
  const message = text(body, 'message', '');
  const isGone = isNoCommit(after);
  const found = /^refs\/(head|tag)s\/(.+)$/s.exec(reference);
  if (!found) throw malformed(`\`${reference}\` is neither a branch nor a tag.`);
  const change = {
    kind: { tag: `${found[1] === 'head' ? 'branch' : 'tag'}-${isGone ? 'deleted' : 'pushed'}` },
    name: found[2],
    before: isNoCommit(before) ? null : before,
    after: isGone ? null : after,
    head: isGone ? null : { sha: after, message, author: '', at: null },
    skipCi: /\[(skip ci|ci skip|no ci|skip actions|actions skip)\]/i.test(message),
    paths: [],
    extras: [],
  };
  return {
    repository: {
      fullName: text(body.repository, 'name'),
      urls: [text(body.repository, 'clone_url')],
      defaultBranch: body.repository.default_branch == null ? null : text(body.repository, 'default_branch'),
    },
    sender: text(body, 'sender', ''),
    changes: [change],
  };
}
