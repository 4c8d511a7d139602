// The Copy button: there only where it works. What was shown once is gone when the page is left, by any way back too.
'use strict';
const secret = document.querySelector('#secret');
const copy = document.querySelector('#copy');
const said = document.querySelector('#copied');
if (secret && copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(secret.textContent);
      said.textContent = 'Copied';
    } catch {
      said.textContent = 'Copying is not allowed here: select it by hand';
    }
  });
}
addEventListener('pagehide', () => { if (secret) secret.textContent = 'shown once'; });
