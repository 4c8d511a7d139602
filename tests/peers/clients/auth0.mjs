// A client: npm auth0's ManagementClient, asking relatch's Auth0 shape as the lines on stdin say.
import { ManagementClient } from 'auth0';
import { serve, version } from '../peer.mjs';

// One a login, as a program has it: it keeps its access token.
const clients = new Map();

await serve({ peer: 'auth0', version: version('auth0') }, async (ask) => {
  const { clients: api } = client(ask);
  const options = { queryParams: ask.query, headers: ask.headers };
  try {
    switch (ask.action) {
      case 'list': {
        const page = await api.list({ per_page: 2, ...ask.body }, options);
        const ids = [];
        for await (const client of page) ids.push(client.client_id);
        return { ok: true, status: 200, ids };
      }
      case 'show': return told(await api.get(ask.id, {}, options).withRawResponse());
      case 'create': return told(await api.create(ask.body, options).withRawResponse());
      case 'set': return told(await api.update(ask.id, ask.body, options).withRawResponse());
      case 'remove': return told(await api.delete(ask.id, options).withRawResponse());
      case 'rotate': return told(await api.rotateSecret(ask.id, options).withRawResponse());
      default: throw new Error(`what is ${ask.action}?`);
    }
  } catch (error) {
    if (error.name === 'Error') throw error;
    const body = typeof error.body === 'object' ? error.body : { error: error.error, message: error.message };
    return { ok: false, status: error.statusCode ?? null, error: error.name, body };
  }
});

function client({ domain, token, client_id, client_secret }) {
  const key = JSON.stringify([domain, token, client_id, client_secret]);
  if (!clients.has(key)) {
    const way = token ? { token } : { clientId: client_id, clientSecret: client_secret };
    clients.set(key, new ManagementClient({ domain, ...way }));
  }
  return clients.get(key);
}

function told({ data, rawResponse }) {
  return { ok: true, status: rawResponse.status, body: data ?? null };
}
