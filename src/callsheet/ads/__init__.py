"""The ads loop: credit of deals to ads, and the budget of ads by what they return."""
