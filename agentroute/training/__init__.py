"""What is learned from the outcomes of steps, offline: chances of tiers, and what another policy would have done."""
