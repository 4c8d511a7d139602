// A client: npm openid-client, asking for tokens as the lines on stdin say.
import * as openid from 'openid-client';
import { serve, failure, tokens, version } from '../peer.mjs';

await serve({ peer: 'openid-client', version: version('openid-client') }, async (ask) => {
  const config = configure(ask);
  try {
    switch (ask.action ?? 'token') {
      case 'introspect': {
        const { active } = await openid.tokenIntrospection(config, ask.token);
        return { ok: true, status: 200, active };
      }
      case 'revoke':
        await openid.tokenRevocation(config, ask.token);
        return { ok: true, status: 200 };
      default:
        return tokens(ask.grant === 'refresh_token'
          ? await openid.refreshTokenGrant(config, ask.refresh_token)
          : await openid.clientCredentialsGrant(config));
    }
  } catch (error) {
    return explain(error);
  }
});

function configure({ token_url, introspection_url, revocation_url, client_id, client_secret, method }) {
  const server = {
    issuer: new URL(token_url).origin,
    token_endpoint: token_url,
    introspection_endpoint: introspection_url,
    revocation_endpoint: revocation_url,
  };
  const authenticate = method === 'post' ? openid.ClientSecretPost : openid.ClientSecretBasic;
  const config = new openid.Configuration(server, client_id, undefined, authenticate(client_secret));
  openid.allowInsecureRequests(config);
  return config;
}

// With a WWW-Authenticate header in the answer the library speaks of the challenge only and leaves the body to be read.
async function explain(error) {
  if (error instanceof openid.WWWAuthenticateChallengeError) {
    const body = await error.response.json().catch(() => ({}));
    return failure(error.status, body.error, error.code);
  }
  const status = error.status ?? error.cause?.status ?? null;
  return failure(status, error.error ?? error.code, `${error.message}: ${error.cause?.message ?? ''}`);
}
