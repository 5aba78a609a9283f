"""Language models behind any server with the API of OpenAI's chat completions, such as Ollama, vLLM or llama.cpp."""
