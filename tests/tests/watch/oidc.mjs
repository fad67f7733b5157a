// An OpenID provider for tests: `node oidc.mjs FOLDER REDIRECT`. Prints its issuer. Whoever logs in says who they are in the field
// `login`; ada's address is verified, mallory's is not, and grace is in a group.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [, , folder, redirect] = process.argv;
const require = createRequire(pathToFileURL(`${folder}/package.json`));
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const people = {
  ada: { email: 'ada@example.org', email_verified: true, preferred_username: 'ada' },
  mallory: { email: 'mallory@example.org', email_verified: false, preferred_username: 'admin' },
  grace: { email: 'grace@elsewhere.org', email_verified: true, preferred_username: 'grace', groups: ['ops'] },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: 'windlass', client_secret: 'a-secret-of-the-client', redirect_uris: [redirect] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'groups'] },
    pkce: { required: () => true },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
