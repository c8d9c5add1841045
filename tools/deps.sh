#!/usr/bin/env bash
# Installs what the tests use and a Go toolchain does not bring: Prometheus with promtool,
# Chromium and Redis, from Debian's packages. The tests start and end them by themselves, on ports that
# are free. Where all is there it does nothing, and needs neither root nor a network.
set -euo pipefail

declare -A package=([prometheus]=prometheus [promtool]=prometheus [chromium]=chromium [redis-server]=redis-server)
missing=()
for program in "${!package[@]}"; do
	command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
	echo "missing: ${missing[*]}. Without apt-get they must be installed by hand." >&2
	exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)

# Debian starts the service of a package that it installs. No test wants that one, and its
# port may be taken.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
	"${as_root[@]}" chmod +x "$policy"
	trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
echo "== apt-get install ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
