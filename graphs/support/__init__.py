"""Customer support, linear: look an order up, refund it once, tell the customer."""
