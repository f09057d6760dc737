"""`python -m ymir_local.demo`: train, mine and infer on generated data."""
