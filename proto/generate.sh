#!/bin/sh
# Generates Go and Python code from the files below proto/stein.
#
#   proto/generate.sh           into the repository
#   proto/generate.sh DIR       the same tree under DIR (what the staleness tests do)
#
# protoc comes from grpcio-tools of the project's virtual environment (PYTHON
# names another interpreter), protoc-gen-go and protoc-gen-go-grpc from the module
# versions of go.mod.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root}
python=${PYTHON:-$root/.venv/bin/python}

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
(cd "$root" && go build -o "$tools/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc)

mkdir -p "$out/envbridge/envpb" "$out/serve/servepb" "$out/python_env/stein_env" "$tools/py"
protoc() {
	PATH="$tools:$PATH" "$python" -m grpc_tools.protoc "$@"
}
protoc -I "$root/proto" \
	--go_out="$out" --go_opt=module=github.com/stein-rl/stein \
	--go-grpc_out="$out" --go-grpc_opt=module=github.com/stein-rl/stein \
	stein/env/v1/env.proto stein/serve/v1/serve.proto
# Python has no package path option: stein_env is flat, so each file is compiled
# from its own folder.
for file in env serve; do
	protoc -I "$root/proto/stein/$file/v1" \
		--python_out="$out/python_env/stein_env" --pyi_out="$out/python_env/stein_env" \
		$file.proto
done
