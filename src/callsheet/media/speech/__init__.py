"""Speech written down: one contract, and the engines that meet it."""
