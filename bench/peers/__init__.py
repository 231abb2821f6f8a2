"""cnnengine beside other engines on whole networks: python -m bench.peers (README.md)."""
