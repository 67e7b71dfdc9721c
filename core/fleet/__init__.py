"""Which worker processes there are, and what waits for them."""
