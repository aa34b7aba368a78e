"""PURE: what happened. Events are facts, the state is a fold over them, and a decision follows from the state."""
