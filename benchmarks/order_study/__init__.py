"""The study of orders: all orders of stages over scenes with exact truth, and verdicts on claims."""
