"""Operations on whole files: split, concat, mux, silence and scene detection."""
