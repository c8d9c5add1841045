#!/usr/bin/env bash
# Installs what the tests use and a Go toolchain does not bring: Prometheus with promtool,
# Chromium, Redis and PostgreSQL, from Debian's packages. The tests start and end them by themselves, on ports that
# are free. Where all is there it does nothing, and needs neither root nor a network.
#
# Where a package is missing and cannot be installed, it says which modules' tests are left out for that, and fails if there
# are others, or in CI, where nothing may be left out. "deps.sh skipped" prints these modules.
set -euo pipefail

declare -A package=([prometheus]=prometheus [promtool]=prometheus [chromium]=chromium [redis-server]=redis-server
	[pg_createcluster]=postgresql) # its server is not on the PATH
declare -A module=([redis-server]=./contrib/redis [postgresql]=./contrib/sql) # that can do without the rest
missing=()
for program in "${!package[@]}"; do
	command -v "$program" >/dev/null || missing+=("${package[$program]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

skipped=()
for name in "${missing[@]}"; do
	[ -z "${module[$name]:-}" ] || skipped+=("${module[$name]}")
done
if [ "${1:-}" = skipped ]; then
	echo "${skipped[@]}"
	exit 0
fi

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
	if [ -z "${CI:-}" ] && [ ${#skipped[@]} -eq ${#missing[@]} ]; then
		echo "SKIPPED: the tests of ${skipped[*]}, for want of ${missing[*]}, which cannot be installed without root and apt-get" >&2
		exit 0
	fi
	echo "missing: ${missing[*]}. Without root and apt-get they must be installed by hand." >&2
	exit 1
fi

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
