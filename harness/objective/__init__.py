"""The objective: the paper's equations, in whose units its weights are meant, and every row's own terms."""
