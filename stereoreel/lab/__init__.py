"""The laboratory: scenes whose depth is known exactly, and what helps to look at results and compare them."""
