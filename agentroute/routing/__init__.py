"""PURE: what next. Health estimates become weights, weights become routes, routes become decisions."""
