// A client: npm simple-oauth2, asking for tokens as the lines on stdin say. `encoding` is strict (its default) or loose.
import { ClientCredentials } from 'simple-oauth2';
import { serve, failure, tokens, version } from '../peer.mjs';

await serve({ peer: 'simple-oauth2', version: version('simple-oauth2') }, async (ask) => {
  const client = configure(ask);
  try {
    switch (ask.action ?? 'token') {
      case 'introspect':
        return failure(null, 'unsupported', 'the library has no introspection');
      case 'revoke':
        await client.createToken({ access_token: ask.token }).revoke('access_token');
        return { ok: true, status: 200 };
      default: {
        const { token } = ask.grant === 'refresh_token'
          ? await client.createToken({ refresh_token: ask.refresh_token }).refresh()
          : await client.getToken({});
        return tokens(token);
      }
    }
  } catch (error) {
    return failure(error.data?.res?.statusCode ?? null, error.data?.payload?.error, error.message);
  }
});

function configure({ token_url, revocation_url, client_id, client_secret, method, encoding }) {
  const { origin, pathname } = new URL(token_url);
  return new ClientCredentials({
    client: { id: client_id, secret: client_secret },
    auth: { tokenHost: origin, tokenPath: pathname, ...(revocation_url && { revokePath: new URL(revocation_url).pathname }) },
    http: { timeout: 30_000 },
    options: {
      authorizationMethod: method === 'post' ? 'body' : 'header',
      credentialsEncodingMode: encoding ?? 'strict',
    },
  });
}
