// A client: npm oauth4webapi, asking for tokens as the lines on stdin say.
import * as oauth from 'oauth4webapi';
import { serve, failure, tokens, version } from '../peer.mjs';

await serve({ peer: 'oauth4webapi', version: version('oauth4webapi') }, async (ask) => {
  const server = {
    issuer: new URL(ask.token_url).origin,
    token_endpoint: ask.token_url,
    introspection_endpoint: ask.introspection_url,
    revocation_endpoint: ask.revocation_url,
  };
  const client = { client_id: ask.client_id };
  const authenticate = ask.method === 'post' ? oauth.ClientSecretPost : oauth.ClientSecretBasic;
  const credentials = authenticate(ask.client_secret);
  const options = { [oauth.allowInsecureRequests]: true, signal: () => AbortSignal.timeout(30_000) };
  try {
    switch (ask.action ?? 'token') {
      case 'introspect': {
        const response = await oauth.introspectionRequest(server, client, credentials, ask.token, options);
        const { active } = await oauth.processIntrospectionResponse(server, client, response);
        return { ok: true, status: 200, active };
      }
      case 'revoke': {
        const response = await oauth.revocationRequest(server, client, credentials, ask.token, options);
        await oauth.processRevocationResponse(response);
        return { ok: true, status: 200 };
      }
      default:
        return tokens(await token(server, client, credentials, ask, options));
    }
  } catch (error) {
    return explain(error);
  }
});

async function token(server, client, credentials, { grant, refresh_token }, options) {
  if (grant === 'refresh_token') {
    const response = await oauth.refreshTokenGrantRequest(server, client, credentials, refresh_token, options);
    return oauth.processRefreshTokenResponse(server, client, response);
  }
  const response = await oauth.clientCredentialsGrantRequest(server, client, credentials, {}, options);
  return oauth.processClientCredentialsResponse(server, client, response);
}

// With a WWW-Authenticate header in the answer the library speaks of the challenge only and leaves the body to be read.
async function explain(error) {
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    const body = await error.response.json().catch(() => ({}));
    return failure(error.status, body.error, error.code);
  }
  const status = error.status ?? error.cause?.status ?? null;
  return failure(status, error.error ?? error.code, `${error.message}: ${error.cause?.message ?? ''}`);
}
