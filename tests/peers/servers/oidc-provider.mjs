// A token server: npm oidc-provider on plain HTTP, at a free port of 127.0.0.1.
//
// It knows one secret per client, as most servers do. Clients, secrets and seeded refresh tokens come over stdin:
//   {"cmd":"client","client_id":"a","client_secret":"s","token_endpoint_auth_method":?,"ttl":?}   add it, or replace its secret at once
//   {"cmd":"remove","client_id":"a"}
//   {"cmd":"refresh_token","client_id":"a"}    what a browser login would have ended in
//   {"cmd":"stats"}                            answers so far, by path and status
//   {"cmd":"secure","cert":PEM,"key":PEM}      the same over TLS, by HTTP/1.1 and HTTP/2, at the port it answers
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { serve, failure, version } from '../peer.mjs';
import { Provider } from 'oidc-provider';

const clients = new Map();
const ttls = new Map();
const tables = new Map([['Client', clients]]);
const stats = {};

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const url = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(url, configuration());
// Host and X-Forwarded-* are believed, as behind any reverse proxy.
provider.proxy = true;
provider.on('server_error', (ctx, error) => console.error(error));
const handle = provider.callback();
const take = (request, response) => {
  response.on('finish', () => count(new URL(request.url, url).pathname, response.statusCode));
  handle(request, response);
};
server.on('request', take);

await serve({
  peer: 'oidc-provider', version: version('oidc-provider'), url,
  token: '/token', introspection: '/token/introspection', revocation: '/token/revocation',
}, answer);

async function answer({ cmd, client_id, client_secret, token_endpoint_auth_method, ttl, cert, key }) {
  switch (cmd) {
    case 'client':
      clients.set(client_id, {
        client_id,
        client_secret,
        token_endpoint_auth_method: token_endpoint_auth_method ?? 'client_secret_basic',
        grant_types: ['client_credentials', 'refresh_token', 'authorization_code'],
        redirect_uris: ['https://client.example/callback'],
        response_types: ['code'],
        scope: 'openid offline_access',
      });
      if (ttl !== undefined) ttls.set(client_id, ttl);
      // Validates the metadata now, not at the first request.
      await provider.Client.find(client_id);
      return { ok: true };
    case 'remove':
      return { ok: clients.delete(client_id) };
    case 'refresh_token':
      return { ok: true, refresh_token: await seedRefreshToken(client_id) };
    case 'secure':
      return { ok: true, port: await secure(cert, key) };
    case 'stats':
      return { ok: true, stats };
    default:
      return failure(null, 'unknown_command', cmd);
  }
}

// No "openid" in the scope: an ID token would bind the clients to the issuer, which is not what is tested.
async function seedRefreshToken(client_id) {
  const client = await provider.Client.find(client_id);
  const grant = new provider.Grant({ accountId: 'someone', clientId: client_id });
  grant.addOIDCScope('offline_access');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId: 'someone', client, grantId, gty: 'authorization_code', scope: 'offline_access',
  });
  return token.save();
}

async function secure(cert, key) {
  const secured = createSecureServer({ cert, key, allowHTTP1: true }, take);
  await new Promise((listening) => secured.listen(0, '127.0.0.1', listening));
  return secured.address().port;
}

function configuration() {
  return {
    adapter: Memory,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
    },
    findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access'],
    ttl: {
      AccessToken: (ctx, token, client) => ttls.get(client.clientId) ?? 3600,
      ClientCredentials: (ctx, token, client) => ttls.get(client.clientId) ?? 3600,
      Grant: 86400,
      RefreshToken: 86400,
    },
  };
}

function count(path, status) {
  stats[path] ??= {};
  stats[path][status] = (stats[path][status] ?? 0) + 1;
}

// The provider's storage contract over maps. Clients are read from `clients`, so a changed secret counts from the next request on.
function Memory(model) {
  if (!tables.has(model)) tables.set(model, new Map());
  const rows = tables.get(model);
  return {
    upsert: async (id, payload) => { rows.set(id, payload); },
    find: async (id) => rows.get(id),
    findByUid: async (uid) => [...rows.values()].find((row) => row.uid === uid),
    findByUserCode: async (code) => [...rows.values()].find((row) => row.userCode === code),
    consume: async (id) => { rows.get(id).consumed = Math.floor(Date.now() / 1000); },
    destroy: async (id) => { rows.delete(id); },
    revokeByGrantId: async (grantId) => {
      for (const [id, row] of rows) if (row.grantId === grantId) rows.delete(id);
    },
  };
}
