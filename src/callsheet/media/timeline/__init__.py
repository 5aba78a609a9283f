"""The specification of an edit: what a film is to be made of, in the words that editors use."""
