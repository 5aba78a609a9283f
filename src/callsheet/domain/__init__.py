"""The words of Callsheet as records, with the rules that need nothing but those words."""
