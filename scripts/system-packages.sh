#!/bin/sh
# Checks for the system packages that the build and the simulator need. Installs missing
# ones with apt if possible; otherwise prints what to install.
#   scripts/system-packages.sh         for make train
#   scripts/system-packages.sh test    the browser for the test of the report's page
#   scripts/system-packages.sh data    Fashion-MNIST
set -eu

if [ "${1:-}" = test ]; then
	for browser in chromium chromium-browser google-chrome; do
		command -v $browser >/dev/null && exit 0
	done
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		echo "stein: installing chromium"
		export DEBIAN_FRONTEND=noninteractive
		apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium >/dev/null && exit 0
	fi
	echo "stein: no chromium: the test of the report's page in a browser is skipped" >&2
	exit 0
fi

if [ "${1:-}" = data ]; then
	pictures=/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz
	[ ! -e $pictures ] || exit 0
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		echo "stein: installing dataset-fashion-mnist"
		export DEBIAN_FRONTEND=noninteractive
		apt-get -qq update
		apt-get -qq install -y --no-install-recommends dataset-fashion-mnist >/dev/null
		exit 0
	fi
	echo "stein: no Fashion-MNIST; run: sudo apt-get install -y dataset-fashion-mnist; or put its" >&2
	echo "four files (https://github.com/zalandoresearch/fashion-mnist) in ~/.cache/stein/data/fashion-mnist" >&2
	exit 1
fi

PYTHON=${PYTHON:-python3}
missing=""
need() { # need PACKAGE COMMAND...: the package is missing if the command fails
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
library() { # library NAME: succeeds if the loader finds this shared library
	PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | grep -q "$1"
}

if ! command -v go >/dev/null; then
	echo "stein: no Go: install 1.26 or newer (any 1.21 fetches it), https://go.dev/dl" >&2
	exit 1
fi
if ! command -v "$PYTHON" >/dev/null; then
	echo "stein: no $PYTHON: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2
	exit 1
fi
if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	echo "stein: $("$PYTHON" --version) is too old: 3.11 or newer is needed; name one with make PYTHON=/path/to/python3" >&2
	exit 1
fi

need gcc command -v gcc
need libc6-dev test -e /usr/include/stdlib.h
need pkg-config command -v pkg-config
need libzmq3-dev pkg-config --exists libzmq
need python3-venv "$PYTHON" -c 'import ensurepip, venv'
# Rendering without a screen, for videos.
need libegl1 library libEGL.so.1
need libegl-mesa0 library libEGL_mesa.so.0
need libgl1 library libGL.so.1

[ -n "$missing" ] || exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
	echo "stein: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update
	# shellcheck disable=SC2086 # a list of names
	apt-get -qq install -y --no-install-recommends $missing >/dev/null
elif command -v apt-get >/dev/null; then
	echo "stein: missing system packages; run: sudo apt-get install -y$missing" >&2
	exit 1
else
	echo "stein: missing (names as in Debian):$missing; install them with your package manager" >&2
	exit 1
fi
