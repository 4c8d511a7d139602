#!/usr/bin/env bash
# Installs the real servers and clients that the tests talk to, into target/peers. Run again it is done at once.
#
#   install.sh            npm and PyPI packages, and what is missing of Debian's (as root; else it says what is missing)
#   install.sh --no-apt   leaves Debian's packages alone
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=$(cd "$here/../.." && pwd)/target/peers

main() {
  mkdir -p "$peers"
  # Two test runs at once install once.
  exec 9>"$peers/.lock"
  flock 9
  [[ ${1-} == --no-apt ]] || debian
  node_packages
  python_packages
}

# A stamp holds the hash of the files an installation came from, and is written last: a broken one is made anew.
fresh() { [[ -x $3 && -f $1 && $(<"$1") == "$2" ]]; }
hash_of() { cat "$@" | sha256sum | cut -d' ' -f1; }

node_packages() {
  local stamp=$peers/.node-stamp want
  want=$(hash_of "$here/package.json" "$here/package-lock.json")
  ln -sfn ../../target/peers/node_modules "$here/node_modules"
  fresh "$stamp" "$want" "$peers/node_modules" && return
  command -v npm >/dev/null || die "npm is missing: install Node.js 20.19 or later"
  say "installing npm packages"
  rm -f "$stamp"
  cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$peers/"
  (cd "$peers" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
  echo "$want" >"$stamp"
}

python_packages() {
  local stamp=$peers/.python-stamp want base python=$peers/venv/bin/python
  want=$(hash_of "$here/requirements.txt")
  fresh "$stamp" "$want" "$python" && return
  say "installing PyPI packages"
  rm -rf "$stamp" "$peers/venv"
  base=$(python_with_venv)
  "$base" -m venv "$peers/venv"
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --no-binary sslyze -r "$here/requirements.txt"
  echo "$want" >"$stamp"
}

# The python3 of the path, or Debian's own where that one comes without venv.
python_with_venv() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  die "no python3 here can make a venv: install python3-venv"
}

debian() {
  local package missing=()
  while read -r package proof; do
    present "$proof" || missing+=("$package")
  done <<'LIST'
prometheus prometheus
prometheus promtool
curl curl
nginx nginx
libnginx-mod-http-js /usr/lib/nginx/modules/ngx_http_js_module.so
haproxy haproxy
apache2-bin apache2
nghttp2-client nghttp
nghttp2-client h2load
testssl.sh testssl
wrk wrk
valgrind valgrind
gcc gcc
make make
chromium chromium
faketime faketime
strace strace
LIST
  (python_with_venv) >/dev/null 2>&1 || missing+=(python3-venv)
  [[ ${#missing[@]} -eq 0 ]] && return
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (no apt-get here: install them by hand, then run with --no-apt)"
  [[ $EUID -eq 0 ]] || die "missing: ${missing[*]} (run: sudo apt-get install --no-install-recommends ${missing[*]})"
  say "installing ${missing[*]}"
  apt-get update -qq
  without_starting_services env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A proof is a command (also one that only root has on its path) or a file.
present() {
  if [[ $1 == /* ]]; then [[ -e $1 ]]; else PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; fi
}

# Debian starts a service as it installs it, unless policy-rc.d says no. One that is there already stays as it is.
without_starting_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  # Ours can only be there when an earlier run was killed: then the one to give back is saved already.
  if [[ -e $policy ]] && ! grep -q relatch "$policy"; then
    cp -p "$policy" "$peers/.policy-rc.d"
  fi
  trap restore_policy EXIT
  printf '#!/bin/sh\n# Put here by the installer of relatch test peers while it runs.\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  "$@" || status=$?
  restore_policy
  trap - EXIT
  return "$status"
}

restore_policy() {
  if [[ -e $peers/.policy-rc.d ]]; then
    mv -f "$peers/.policy-rc.d" /usr/sbin/policy-rc.d
  else
    rm -f /usr/sbin/policy-rc.d
  fi
}

say() { echo "peers: $*" >&2; }
die() { say "$*"; exit 1; }

main "$@"
