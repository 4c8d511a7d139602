// A client: npm @ory/client's OAuth2Api, asking relatch's Hydra shape as the lines on stdin say.
import { Configuration, OAuth2Api } from '@ory/client';
import { serve, version } from '../peer.mjs';

await serve({ peer: '@ory/client', version: version('@ory/client') }, async (ask) => {
  const api = new OAuth2Api(new Configuration({ basePath: ask.url, accessToken: ask.token }));
  const options = { params: ask.query, headers: ask.headers };
  try {
    switch (ask.action) {
      case 'show': return told(await api.getOAuth2Client({ id: ask.id }, options));
      case 'rotate': return told(await api.rotateOAuth2ClientSecret({ id: ask.id }, options));
      case 'finish': return told(await api.deleteRotatedOAuth2ClientSecrets({ id: ask.id }, options));
      default: throw new Error(`what is ${ask.action}?`);
    }
  } catch (error) {
    if (!error.isAxiosError) throw error;
    return { ok: false, status: error.response?.status ?? null, error: error.code, body: error.response?.data ?? error.message };
  }
});

function told({ data, status }) {
  return { ok: true, status, body: data };
}
