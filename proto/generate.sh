#!/bin/sh
# Generates Go and Python code from proto/stein/env/v1/env.proto.
#
#   proto/generate.sh           into the repository
#   proto/generate.sh DIR       the same tree under DIR (what the staleness test does)
#
# protoc comes from grpcio-tools of the project's virtual environment (PYTHON
# names another interpreter), protoc-gen-go from the module versions of go.mod.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root}
python=${PYTHON:-$root/.venv/bin/python}

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
(cd "$root" && go build -o "$tools/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go)

mkdir -p "$out/envbridge/envpb" "$out/python_env/stein_env" "$tools/py"
protoc() {
	PATH="$tools:$PATH" "$python" -m grpc_tools.protoc "$@"
}
protoc -I "$root/proto" \
	--go_out="$out" --go_opt=module=github.com/stein-rl/stein \
	stein/env/v1/env.proto
# Python has no package path option: stein_env is flat, so the file is compiled
# from its own folder.
protoc -I "$root/proto/stein/env/v1" \
	--python_out="$out/python_env/stein_env" --pyi_out="$out/python_env/stein_env" \
	env.proto
