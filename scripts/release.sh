#!/usr/bin/env bash
# Builds the release archive and its checksum in dist/:
#   stein-VERSION-linux-amd64.tar.gz
#   stein-VERSION-linux-amd64.tar.gz.sha256
# VERSION is the tag of the commit without its v; without a tag, the topmost version in
# CHANGELOG.md with the suffix -dev. The same source, Go and libzmq give the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

tag=$(git describe --tags --exact-match 2>/dev/null || true)
next=$(sed -nE 's/^## ([0-9]+\.[0-9]+\.[0-9]+).*/\1/p' CHANGELOG.md | head -n 1)
version=${VERSION:-${tag#v}}
version=${version:-$next-dev}
if [[ "$tag" == v* && "$next" != "${tag#v}" ]]; then
	echo "release: the commit is tagged $tag, but CHANGELOG.md's topmost version is $next" >&2
	exit 1
fi
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
name=stein-$version-$(go env GOOS)-$(go env GOARCH)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root" dist

echo "release: building $name"
buildvcs=$(git status >/dev/null 2>&1 && echo true || echo false)
revision=$(git rev-parse HEAD 2>/dev/null || true)
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || revision+=+
runs=github.com/stein-rl/stein/runs
go build -trimpath -buildvcs="$buildvcs" -o "$root/stein" \
	-ldflags="-s -w -X $runs.releaseVersion=$version -X $runs.releaseRevision=$revision" ./cmd/stein
cp LICENSE NOTICE THIRD_PARTY.md README.md CHANGELOG.md CITATION.cff "$root"
cp deploy/INSTALL.md "$root"

# The full licences of everything that is compiled in.
missing=0
while read -r module; do
	if ! grep -qF "| $module |" THIRD_PARTY.md; then
		echo "release: THIRD_PARTY.md does not list $module" >&2
		missing=1
	fi
	from=$(go list -m -f '{{.Dir}}' "$module")
	to=$root/licences/$module
	mkdir -p "$to"
	find "$from" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|copying\|notice\)[^/]*' -exec cp {} "$to" \;
	if [ -z "$(ls "$to")" ]; then
		echo "release: $module has no licence file" >&2
		missing=1
	fi
done < <(go version -m "$root/stein" | awk '$1 == "dep" { print $2 }')
mkdir -p "$root/licences/go" "$root/licences/uplot"
cp "$(go env GOROOT)/LICENSE" "$root/licences/go"
cp report/web/uplot/LICENSE "$root/licences/uplot"
[ "$missing" = 0 ] || exit 1
find "$root" -type d -exec chmod 755 {} + && find "$root" -type f -exec chmod 644 {} + && chmod 755 "$root/stein"

# Check that it runs from the unpacked folder, and is what the archive is named after.
"$root/stein" version
[ "$("$root/stein" --version)" = "stein $version" ]
"$root/stein" configs >/dev/null
echo "release: needs $(readelf -d "$root/stein" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p' | paste -sd' ')," \
	"glibc $(objdump -T "$root/stein" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1 | cut -d_ -f2) or newer"

(cd "$root" && find . -type f ! -name SHA256SUMS -print0 | sort -z | xargs -0 sha256sum >SHA256SUMS)
tar -C "$work" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -cf - "$name" | gzip -9n >"dist/$name.tar.gz"
(cd dist && sha256sum "$name.tar.gz" | tee "$name.tar.gz.sha256")
