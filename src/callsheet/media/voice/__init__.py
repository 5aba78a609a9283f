"""Speech synthesis: sentences, the local engine, and the assembly of spoken sentences."""
