// What every Node peer has in common: JSON lines in, JSON lines out, gone when stdin closes.
//
// The first line on stdout says that the peer is ready; after it, each line on stdin gets exactly one line in answer, in order.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

// Libraries may chat on console.log; stdout belongs to the protocol.
console.log = console.info = console.debug = console.error;

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

// The version that is really installed, for the ready line.
export function version(name) {
  const manifest = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest)).version;
}

export async function serve(ready, answer) {
  say({ ready: true, ...ready });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === '') continue;
    try {
      say(await answer(JSON.parse(line)));
    } catch (error) {
      say({ ok: false, status: null, error: 'peer_bug', detail: String(error?.stack ?? error) });
    }
  }
  process.exit(0);
}

// A failure as the protocol tells it. `status` is null when no HTTP answer came at all.
export const failure = (status, error, detail) => ({ ok: false, status, error: error ?? null, detail: detail ?? null });

// A token answer: the fields that tests look at.
export const tokens = ({ access_token, refresh_token, expires_in }) => ({
  ok: true, status: 200, access_token, refresh_token, expires_in,
});
