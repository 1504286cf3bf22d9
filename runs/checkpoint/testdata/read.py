"""Prints what the safetensors package makes of the file on the command line."""

import json
import sys

from safetensors import deserialize

with open(sys.argv[1], "rb") as f:
    tensors = deserialize(f.read())
print(
    json.dumps(
        {n: [t["dtype"], t["shape"], bytes(t["data"]).hex()] for n, t in tensors}
    )
)
